"""Prefix cache and oversubscription on a real server (inferlet-host.md, section 2; protocol.md, 8)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import INFERLETS, Server
from tests.wire import Peer

COMPLETED = 1


@contextlib.contextmanager
def serving(folder: Path, *settings: str) -> Iterator[Server]:
    """A server with settings of its own. One thread a step: on a busy machine two wait for each
    other most of the time."""
    home = folder / "home"
    home.mkdir()
    settings = ("model_threads = 1", *settings)
    (home / "config.toml").write_text("".join(f"{line}\n" for line in settings))
    server = Server(home).start()
    try:
        yield server
    finally:
        assert server.stop() == 0, server.log.read_text()[-4000:]


async def status(peer: Peer) -> dict[str, int]:
    """The figures that are whole numbers, without the model's name in front."""
    answer = await peer.call("query", subject="model_status", record="")
    figures = json.loads(answer["result"])
    return {k.split(".", 1)[1]: int(v) for k, v in figures.items() if v.isdigit()}


async def agent(peer: Peer, program: str, **options: int) -> str:
    """Launches an agent."""
    words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    return await peer.launch(program, words)


async def completed(peer: Peer, instance: str) -> list[str]:
    """The tokens of each of an agent's turns, once it has completed."""
    end = await peer.final(instance, 300)
    assert end["event"] == COMPLETED, end
    return [
        f["message"]
        for f in peer.frames
        if f["type"] == "instance_event" and f["instance_id"] == instance and f["event"] == 0
    ]


def test_a_prompt_is_computed_once_for_one_user_and_again_for_another(tmp_path: Path) -> None:
    async def main(server: Server) -> None:
        async with (
            Peer(server.url, username="ann") as ann,
            Peer(server.url, username="bob") as bob,
        ):
            program = await ann.upload_file(INFERLETS / "agent.wasm")
            await bob.upload_file(INFERLETS / "agent.wasm")
            first = await completed(ann, await agent(ann, program, context=200))
            assert (await status(ann))["prefix_cache.hits"] == 0
            again = await completed(ann, await agent(ann, program, context=200))
            after = await status(ann)
            assert after["prefix_cache.hits"] == 1
            assert after["prefix_cache.tokens_saved"] == 192  # the last token's page is computed
            assert after["resource.g0.kv_page.used"] == 0
            assert after["prefix_cache.kv_pages"] > 0
            other = await completed(bob, await agent(bob, program, context=200))
            assert (await status(bob))["prefix_cache.hits"] == 1
            assert first == again == other
            # Each instance's own figures, while it runs.
            third = await agent(ann, program, context=200, turns=2, pause_ms=60_000)
            await ann.wait_for(
                lambda f: f["type"] == "instance_event" and f["instance_id"] == third and f["event"] == 0
            )
            figures = await status(ann)
            assert figures[f"instance.{third}.prefix_cache.hits"] == 1
            assert figures[f"instance.{third}.prefix_cache.tokens_saved"] == 192
            await ann.call("terminate_instance", instance_id=third)
            assert f"instance.{third}.prefix_cache.hits" not in await status(ann)

    with serving(tmp_path) as server:
        asyncio.run(main(server))


def test_the_operator_decides_whether_users_share_and_whether_there_is_a_cache(
    tmp_path: Path,
) -> None:
    async def main(server: Server) -> int:
        async with (
            Peer(server.url, username="ann") as ann,
            Peer(server.url, username="bob") as bob,
        ):
            for peer in (ann, bob):
                program = await peer.upload_file(INFERLETS / "agent.wasm")
                await completed(peer, await agent(peer, program, context=100))
            return (await status(ann))["prefix_cache.hits"]

    for name, setting, hits in (
        ("shared", "prefix_cache_shared = true", 1),
        ("off", "prefix_cache = false", 0),
    ):
        folder = tmp_path / name
        folder.mkdir()
        with serving(folder, setting) as server:
            assert asyncio.run(main(server)) == hits


def test_clients_that_come_together_compute_what_they_have_in_common_once(tmp_path: Path) -> None:
    async def main(server: Server) -> None:
        async with Peer(server.url, username="ann") as peer:
            program = await peer.upload_file(INFERLETS / "agent.wasm")
            # Alone, one after the other, without a cache between them: prompts of other prefixes.
            instances = await asyncio.gather(
                *(agent(peer, program, context=250, prefix=230, seed=seed, tokens=4)
                  for seed in range(1, 17)))  # fmt: skip
            for instance in instances:
                assert len(await completed(peer, instance)) == 1
            after = await status(peer)
            assert after["prefix_cache.hits"] == 15
            assert after["prefix_cache.tokens_saved"] == 15 * 224

    with serving(tmp_path) as server:
        asyncio.run(main(server))


def test_agents_that_pause_outnumber_the_pages_and_none_dies(tmp_path: Path) -> None:
    """A small form of the benchmark `oversubscribed_4x`: KV for a quarter of the agents."""
    agents, turns = 8, 3
    pages_each = -(-(60 + (turns - 1) * 20 + turns * 2) // 16)

    async def main(server: Server) -> list[list[str]]:
        async with Peer(server.url, username="ann") as peer:
            program = await peer.upload_file(INFERLETS / "agent.wasm")
            instances = [
                await agent(peer, program, context=32 + 4 * i, turns=turns, tokens=2, seed=i,
                            pause_ms=100 + 60 * i)
                for i in range(agents)
            ]  # fmt: skip
            texts = [await completed(peer, instance) for instance in instances]
            after = await status(peer)
            assert after["resource.g0.kv_page.used"] == 0
            assert after["swap.kv_page.used"] == 0
            if server.home.parent.name == "small":
                assert after["swap.kv_page.stored"] > 0
                assert after["swap.kv_page.loaded"] > 0
            return texts

    results = []
    for name, pages in (("small", agents * pages_each // 4), ("large", agents * pages_each)):
        folder = tmp_path / name
        folder.mkdir()
        with serving(folder, f"kv_pages = {pages}", "prefix_cache = false") as server:
            results.append(asyncio.run(main(server)))
    assert all(len(texts) == turns for texts in results[0])
    # The same tokens but where two are as likely as each other (see docs/NUMERICS.md).
    same = sum(a == b for a, b in zip(*results, strict=True))
    assert same >= agents * 3 // 4, results


def test_a_snapshot_survives_kill_9_and_another_user_does_not_see_it(tmp_path: Path) -> None:
    async def save(server: Server) -> list[str]:
        async with Peer(server.url, username="ann") as peer:
            program = await peer.upload_file(INFERLETS / "agent.wasm")
            expected = await completed(peer, await agent(peer, program, context=100))
            saved = await peer.launch(program, ["--context=99", "--save=mine"])
            assert await completed(peer, saved) == ["saved"]
            brief = await peer.launch(program, ["--context=40", "--save=brief", "--ttl=1"])
            assert await completed(peer, brief) == ["saved"]
            return expected

    async def load(server: Server, expected: list[str]) -> None:
        async with (
            Peer(server.url, username="ann") as ann,
            Peer(server.url, username="bob") as bob,
        ):
            program = await ann.upload_file(INFERLETS / "agent.wasm")
            await bob.upload_file(INFERLETS / "agent.wasm")
            # It goes on as one does that was not saved.
            before = (await status(ann))["swap.kv_page.loaded"]
            loaded = await ann.launch(program, ["--load=mine", "--from=99", "--context=1"])
            assert await completed(ann, loaded) == expected
            assert (await status(ann))["swap.kv_page.loaded"] - before == 7
            theirs = await bob.final(await bob.launch(program, ["--load=mine"]))
            assert theirs["event"] != COMPLETED and "got the name 'mine'" in theirs["message"]
            await asyncio.sleep(1.1)  # the other one's time to live
            names = await ann.final(await ann.launch(program, ["--list"]))
            assert names["message"] == "mine:99 "
            removed = await ann.final(await ann.launch(program, ["--remove=mine"]))
            assert removed["message"] == "removed"
            names = await ann.final(await ann.launch(program, ["--list"]))
            assert names["message"] == ""

    with serving(tmp_path) as server:
        expected = asyncio.run(save(server))
        server.kill()
        server.start()
        asyncio.run(load(server, expected))
