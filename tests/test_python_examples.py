"""What the programs under inferlets/python claim to show, on a real server and its models."""

from __future__ import annotations

import asyncio
import io
import json
import re
import zipfile
from typing import Any

from pie.archive import archive_of

from tests.conftest import ROOT, Server
from tests.inferlets import cost, ended, on, result
from tests.test_inferlets_serving import STORY
from tests.wire import Peer, blake3_hex

EXAMPLES = ROOT / "inferlets" / "python"
STEPS, TOKENS = "model.steps.count", "model.steps.tokens"


async def launched(peer: Peer, name: str, *arguments: str) -> str:
    """An instance of an example."""
    program = archive_of(EXAMPLES / f"{name}.py")
    answer = await peer.upload(program)
    assert answer["successful"], answer
    return await peer.launch(blake3_hex(program), list(arguments))


async def said(peer: Peer, name: str, *arguments: str) -> Any:
    """What an example returns."""
    return json.loads(await ended(peer, await launched(peer, name, *arguments)))


def test_parallel_generation_gives_the_texts_of_its_twin_in_fewer_steps(server: Server) -> None:
    async def main(peer: Peer) -> None:
        options = ["--prompt=Tell me about a lighthouse.", "--count=6", "--max-tokens=24"]
        together, at_once = await cost(peer, STEPS, said(peer, "parallel_generation", *options))
        apart, in_turn = await cost(peer, STEPS, said(peer, "parallel_generation", *options, "--one-by-one"))
        assert together == apart and len(set(together)) == 6
        assert at_once * 3 < in_turn, (at_once, in_turn)
        assert together == json.loads(await result(peer, "parallel-generation", *options))

    on(server, main)


def test_structured_output_is_always_of_its_type(server: Server) -> None:
    async def main(peer: Peer) -> None:
        robots = await asyncio.gather(*(said(peer, "structured_output", f"--seed={i}") for i in range(12)))
        for robot in robots:
            assert set(robot) == {"name", "job", "age", "friendly", "colours"}
            assert isinstance(robot["name"], str) and 1 <= len(robot["name"]) <= 20
            assert robot["job"] in ("cook", "gardener", "librarian", "sailor")
            assert type(robot["age"]) is int and 0 <= robot["age"] <= 120
            assert type(robot["friendly"]) is bool
            assert len(robot["colours"]) <= 3 and set(robot["colours"]) <= {"red", "green", "blue", "silver"}
        assert len({json.dumps(robot) for robot in robots}) == 12
        end = await peer.final(await launched(peer, "structured_output", "--max-tokens=3"))
        assert "[--max-tokens] got 3, expected enough" in end["message"]

    on(server, main)


def test_tree_of_thought_follows_the_thoughts_that_are_judged_best(server: Server) -> None:
    async def main(peer: Peer) -> None:
        options = ["--prompt=How do I get across a river?", "--branch=3", "--keep=2", "--max-tokens=16"]
        found, steps = await cost(peer, STEPS, said(peer, "tree_of_thought", *options))
        thoughts = found["thoughts"]
        assert [len(one["path"]) for one in thoughts] == [1] * 3 + [2] * 6 + [3] * 6
        parents: list[list[str]] = [[]]
        for depth in (1, 2, 3):
            level = [one for one in thoughts if len(one["path"]) == depth]
            assert [one["path"][:-1] for one in level] == [parent for parent in parents for _ in range(3)]
            assert all(0 < one["score"] < 1 for one in level)
            parents = [one["path"] for one in sorted(level, key=lambda one: -one["score"])[:2]]
        assert found["best"] == parents[0]
        assert len({one["path"][-1] for one in thoughts}) > 10
        # 15 thoughts of 16 tokens, but no more steps than three levels of them have.
        assert steps < 3 * 2 * (16 + 4), steps
        assert await said(peer, "tree_of_thought", *options) == found

    on(server, main)


def test_skeleton_of_thought_writes_its_points_at_once(server: Server) -> None:
    async def main(peer: Peer) -> None:
        options = ["--prompt=How does a lighthouse work?", "--points=6", "--max-tokens=24"]
        together, at_once = await cost(peer, STEPS, said(peer, "skeleton_of_thought", *options))
        apart, in_turn = await cost(peer, STEPS, said(peer, "skeleton_of_thought", *options, "--one-by-one"))
        assert together == apart
        assert [line.split(".")[0] for line in together["outline"].splitlines()] == list("123456")
        assert len(together["points"]) == 6 and all(together["points"])
        assert in_turn * 3 > at_once * 5, (at_once, in_turn)

    on(server, main)


def test_prefix_caching_computes_its_prefix_once_for_all_times(own_server: Server) -> None:
    prefix = STORY * 6
    questions = ["\nThe blue ship was called", "\nThe keeper wrote down"]
    answers = []

    async def first(peer: Peer) -> None:
        instance = await launched(peer, "prefix_caching", f"--prefix={prefix}", "--max-tokens=8", *questions)
        answers.append(json.loads(await ended(peer, instance)))
        assert re.fullmatch(r"\[prefix\] [2-9]\d\d tokens computed\n", peer.output(instance, "Stderr"))

    async def again(peer: Peer) -> None:
        # The same text, from a file beside the program.
        archive = io.BytesIO(archive_of(EXAMPLES / "prefix_caching.py"))
        with zipfile.ZipFile(archive, "a") as files:
            files.writestr("data/story.txt", prefix)
        program = archive.getvalue()
        assert (await peer.upload(program))["successful"]

        async def launch() -> str:
            options = ["--file=data/story.txt", "--max-tokens=8", *questions]
            return await peer.launch(blake3_hex(program), options)

        async def told() -> str:
            instance = await launch()
            answers.append(json.loads(await ended(peer, instance)))
            return peer.output(instance, "Stderr")

        stderr, tokens = await cost(peer, TOKENS, told())
        assert "tokens loaded" in stderr
        # Two questions, two answers, and what a fork has in its last page.
        assert tokens < 2 * (6 + 8 + 16), tokens

    on(own_server, first)
    own_server.stop()
    own_server.start()
    on(own_server, again)
    assert answers[0] == answers[1] and len(answers[0]) == 2


async def talk(peer: Peer, instance: str, message: str) -> None:
    """Says something, and waits for what is printed then."""
    before = len(peer.output(instance))
    await peer.send("signal_instance", instance_id=instance, message=message)
    await peer.wait_until(lambda: len(peer.output(instance)) > before)


def test_chat_goes_on_behind_what_is_computed(server: Server) -> None:
    async def main(peer: Peer) -> None:
        instance = await launched(peer, "chat", "--max-tokens=16", "--calls=0", f"--system={STORY * 6}")
        _, first = await cost(peer, TOKENS, talk(peer, instance, "Where is the keeper?"))
        _, second = await cost(peer, TOKENS, talk(peer, instance, "And the ships?"))
        assert second * 3 < first, (first, second)
        await peer.send("signal_instance", instance_id=instance, message="quit")
        assert await ended(peer, instance) == "2"

    on(server, main)


def test_chat_keeps_notes_by_its_tools(coder_server: Server) -> None:
    async def main(peer: Peer) -> None:
        for question, called, kept in (
            ("Please remember under the title 'oil': buy lamp oil on Monday.", "remember", ""),
            ("Recall the note with the title 'oil'.", "recall", "lamp oil"),
        ):
            # A conversation each; so small a model calls again and again where it may.
            instance = await launched(peer, "chat", "--model=coder", "--calls=1")
            await peer.send("signal_instance", instance_id=instance, message=question)
            await peer.send("signal_instance", instance_id=instance, message="quit")
            assert await ended(peer, instance) == "1"
            out = peer.output(instance)
            done = re.match(r"\[(\w+)\] (\{.*\}) -> (.*)\n(.+)", out)
            assert done, out
            assert done[1] == called and json.loads(done[2])["title"] == "oil", out
            assert kept in done[3] and done[4], out

    on(coder_server, main)
