"""What the programs under inferlets/ that think in several contexts claim to show, on a real model."""

from __future__ import annotations

import itertools
import json
from typing import Any

from tests.conftest import Server
from tests.inferlets import cost, on, refusal, result
from tests.wire import Peer


def test_skeleton_of_thought_writes_its_points_at_once(server: Server) -> None:
    async def main(peer: Peer) -> None:
        options = ["--prompt=How does a lighthouse work?", "--points=6", "--max-tokens=24"]
        together, at_once = await cost(
            peer, "model.steps.count", result(peer, "skeleton-of-thought", *options)
        )
        apart, in_turn = await cost(
            peer, "model.steps.count", result(peer, "skeleton-of-thought", *options, "--one-by-one")
        )
        assert together == apart
        said = json.loads(together)
        lines = said["outline"].splitlines()
        assert [line.split(".")[0] for line in lines] == list("123456")
        assert len(said["points"]) == 6 and all(said["points"])
        assert in_turn * 3 > at_once * 5, (at_once, in_turn)

    on(server, main)


def test_tree_of_thought_follows_the_thoughts_that_are_judged_best(server: Server) -> None:
    async def main(peer: Peer) -> None:
        options = ["--prompt=How do I get across a river?", "--branch=3", "--keep=2", "--max-tokens=16"]
        text, steps = await cost(peer, "model.steps.count", result(peer, "tree-of-thought", *options))
        said: dict[str, Any] = json.loads(text)
        thoughts = said["thoughts"]
        assert len(thoughts) == 3 + 6 + 6
        level = {-1}
        for _ in range(3):
            children = [one for one in thoughts if one["parent"] in level]
            assert {one["parent"] for one in children} == level
            best = sorted(children, key=lambda one: -one["score"])[:2]
            level = {one["id"] for one in best}
        # The path is that of the best of the last level, and levels are written and judged at once.
        assert said["best"] == best[0]["id"]
        path, at = [], said["best"]
        while at >= 0:
            path.insert(0, thoughts[at]["text"])
            at = thoughts[at]["parent"]
        assert said["path"] == path and len(path) == 3
        assert steps < 2 * 3 * (16 + 4), steps
        assert len({one["text"] for one in thoughts}) > 10
        assert await result(peer, "tree-of-thought", *options) == text

    on(server, main)


def errors_of(got: str, digits: str) -> int:
    """As graph-of-thought counts them."""
    wrong = sum(abs(got.count(digit) - digits.count(digit)) for digit in "0123456789")
    return wrong + sum(a > b for a, b in itertools.pairwise(got))


def test_graph_of_thought_merges_the_best_of_its_tries(server: Server) -> None:
    async def main(peer: Peer) -> None:
        digits = "3150926484117359"
        text, steps = await cost(
            peer, "model.steps.count", result(peer, "graph-of-thought", f"--digits={digits}", "--tries=6")
        )
        said = json.loads(text)
        thoughts = said["thoughts"]
        assert [len(one["from"]) for one in thoughts] == [4, 4, 4, 4, 8, 8, 16]
        for one in thoughts:
            assert len(one["tries"]) == 6 and all(len(each) == len(one["from"]) for each in one["tries"])
            assert errors_of(one["best"], one["from"]) == min(
                errors_of(each, one["from"]) for each in one["tries"]
            )
        best = [one["best"] for one in thoughts]
        assert "".join(one["from"] for one in thoughts[:4]) == digits
        assert [one["from"] for one in thoughts[4:]] == [
            best[0] + best[1], best[2] + best[3], best[4] + best[5]]  # fmt: skip
        assert (said["result"], said["errors"]) == (best[6], errors_of(best[6], digits))
        # 42 tries, but no more steps than the longest of each of the three rounds.
        assert steps < 3 * 2 * 16 + 20, steps
        assert "two for each part" in await refusal(peer, "graph-of-thought", "--digits=123")

    on(server, main)


def test_recursion_of_thought_answers_what_one_question_does_not(coder_server: Server) -> None:
    async def main(peer: Peer) -> None:
        numbers = [12, 7, 30, 5]
        options = ["--model=coder", f"--numbers={','.join(map(str, numbers))}"]
        said = json.loads(await result(peer, "recursion-of-thought", *options))
        assert said["sum"] == sum(numbers)
        assert said["questions"] == len(numbers) - 1
        direct = json.loads(await result(peer, "recursion-of-thought", *options, "--direct"))
        assert direct["questions"] == 1 and direct["sum"] != sum(numbers)
        few = json.loads(await result(peer, "recursion-of-thought", "--model=coder", "--numbers=17,25"))
        # No context is longer because the problem is; the one question is.
        assert said["tokens"] <= few["tokens"] + 4 < direct["tokens"]
        assert "[--numbers] got 'x'" in await refusal(peer, "recursion-of-thought", "--numbers=1,x")

    on(coder_server, main)


def test_reflexion_ends_with_the_first_attempt_that_is_good(server: Server) -> None:
    async def main(peer: Peer) -> None:
        options = ["--task=Write one sentence about the sea.", "--must=lighthouse", "--attempts=8"]
        later = 0
        for seed in (1, 2, 3):
            said = json.loads(await result(peer, "reflexion", *options, f"--seed={seed}"))
            attempts = said["attempts"]
            for one in attempts:
                assert one["missing"] == ([] if "lighthouse" in one["text"] else ["lighthouse"])
                assert ("reflection" in one) == bool(one["missing"])
            assert [bool(one["missing"]) for one in attempts[:-1]] == [True] * (len(attempts) - 1)
            assert said["good"] == (not attempts[-1]["missing"])
            later += said["good"] and len(attempts) > 1
        assert later > 0, "an attempt that was good because of what was said before"

    on(server, main)


def test_mcts_finds_better_texts_the_longer_it_looks(server: Server) -> None:
    async def main(peer: Peer) -> None:
        options = ["--prompt=The old man went out. He", "--goal= and caught a big fish.", "--step=6"]
        rewards = []
        for iterations in (1, 4, 24):
            said = json.loads(await result(peer, "mcts", *options, f"--iterations={iterations}"))
            rewards.append(said["reward"])
            assert 0 < said["reward"] < 1 and said["text"]
            assert sum(one["visits"] for one in said["first"]) == iterations
        assert rewards == sorted(rewards) and rewards[2] > rewards[0]
        # Where the mean reward is greatest it has looked most.
        first = said["first"]
        assert len(first) == 3
        assert max(first, key=lambda one: one["visits"]) == max(first, key=lambda one: one["reward"])

    on(server, main)
