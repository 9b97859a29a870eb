"""Exported resources (inferlet-host.md, section 2): names, copy-on-write, who may import what."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.conftest import Server
from tests.probe import Probe, hexed, numbers
from tests.wire import Peer

EXCEPTION, OUT_OF_RESOURCES = 3, 5
TEXT = "The capital of France is Paris, and the capital of Italy is Rome. The capital of Spain is"
NAME = hexed("context")


def pages(count: int) -> int:
    """How many pages hold so many tokens."""
    return -(-count // 16)


async def fill(probe: Probe, ids: list[int], held: list[int], start: int = 0) -> dict[int, float]:
    """Adds tokens from slot `start` on; the distribution after the last one."""
    length = start + len(ids)
    await probe.forward(f"tokens {numbers(ids)} @{numbers(range(start, length))}",
                        f"kv {numbers(held[: pages(length)])} {(length - 1) % 16 + 1}",
                        f"dist {len(ids) - 1} 1 -")  # fmt: skip
    return await probe.distribution()


async def alloc(probe: Probe, count: int) -> list[int]:
    """Fresh pages."""
    return [int(word) for word in (await probe(f"alloc 0 {count}")).split(",")]


def close(a: dict[int, float], b: dict[int, float]) -> bool:
    """The same distribution, but for rounding."""
    likely = sorted(a, key=lambda id: -a[id])[:5]
    return all(abs(a[id] - b.get(id, 0.0)) < 0.02 for id in likely)


async def probe_of(peer: Peer) -> Probe:
    """A probe that is ready."""
    probe = await Probe.launch(peer)
    await probe.ready()
    return probe


async def exported_pages(peer: Peer) -> int:
    """The server's own count."""
    answer = await peer.call("query", subject="model_status", record="")
    figures = json.loads(answer["result"])
    return int(next(v for k, v in figures.items() if k.endswith("kv_page.exported_count")))


def test_importers_diverge_and_nobody_sees_the_others_tokens(own_server: Server) -> None:
    async def main() -> None:
        async with Peer(own_server.url, username="writer") as peer:
            exporter, second, third = [await probe_of(peer) for _ in range(3)]
            ids = await exporter.tokenize(TEXT)
            endings = [(await exporter.tokenize(t))[-6:] for t in (
                " a large and beautiful city in the south", " one two three four five six seven",
                " red green blue yellow black white")]  # fmt: skip
            assert len(ids) % 16 not in (0, 15)  # the last page is shared half full
            fresh = await probe_of(peer)
            expected = []
            for ending in endings:
                held = await alloc(fresh, pages(len(ids) + 6))
                expected.append(await fill(fresh, ids + ending, held))
            held = await alloc(exporter, pages(len(ids)))
            await fill(exporter, ids, held)
            await exporter(f"export 0 {numbers(held)} {NAME}")
            assert await exporter("exports 0") == f"{NAME}:{len(held)}"
            assert await exported_pages(peer) == len(held)
            got = []
            for probe, ending in zip((exporter, second, third), endings, strict=True):
                mine = held
                if probe is not exporter:
                    mine = [int(w) for w in (await probe(f"import 0 {NAME}")).split(",")]
                mine = mine + await alloc(probe, pages(len(ids) + 6) - len(mine) or 0) if pages(
                    len(ids) + 6) > len(mine) else mine  # fmt: skip
                got.append(await fill(probe, ending, mine, start=len(ids)))
            for mine, wanted in zip(got, expected, strict=True):
                assert close(wanted, mine)
            # What is under the name is still what was exported.
            late = await probe_of(peer)
            mine = [int(w) for w in (await late(f"import 0 {NAME}")).split(",")]
            mine += await alloc(late, 2)
            assert close(expected[1], await fill(late, endings[1], mine, start=len(ids)))

    asyncio.run(main())


def test_a_name_outlives_its_exporter_and_goes_when_released(own_server: Server) -> None:
    async def main() -> None:
        async with Peer(own_server.url, username="writer") as peer:
            exporter, importer = await probe_of(peer), await probe_of(peer)
            ids = await exporter.tokenize(TEXT)
            held = await alloc(exporter, pages(len(ids) + 1))
            expected = await fill(exporter, ids, held)
            # The export takes effect in the queue's order: passes before it are in it.
            await exporter(f"export 0 {numbers(held)} {NAME}")
            await peer.call("terminate_instance", instance_id=exporter.instance)
            mine = [int(w) for w in (await importer(f"import 0 {NAME}")).split(",")]
            await importer(f"release 0 {NAME}")
            assert await importer("exports 0") == ""
            assert await exported_pages(peer) == 0
            # Whoever imported keeps its pages: the last token again gives the same.
            again = await fill(importer, ids[-1:], mine, start=len(ids) - 1)
            assert close(expected, again)
            end = await importer.ends(f"import 0 {NAME}")
            assert end.event == EXCEPTION and "import-resources" in end.message
            assert "context" in end.message
            async with asyncio.timeout(30):
                while (await used_pages(peer)) != "0":
                    await asyncio.sleep(0.02)

    asyncio.run(main())


async def used_pages(peer: Peer) -> str:
    """Pages of the pool that anything refers to."""
    answer = await peer.call("query", subject="model_status", record="")
    figures: dict[str, str] = json.loads(answer["result"])
    return next(v for k, v in figures.items() if k.endswith("g0.kv_page.used"))


def test_names_are_per_user_and_internal_publishes_to_all(own_server: Server) -> None:
    async def main() -> None:
        token = (own_server.home / "run" / "internal_token").read_text()
        async with (
            Peer(own_server.url, username="ann") as ann,
            Peer(own_server.url, username="bob") as bob,
            Peer(own_server.url, username=None) as operator,
        ):
            assert (await operator.call("internal_authenticate", token=token))["successful"]
            hers, his, published = await probe_of(ann), await probe_of(bob), await probe_of(operator)
            await hers(f"export 0 {(await alloc(hers, 2))[0]} {NAME}")
            assert await his("exports 0") == ""
            await his(f"export 0 {numbers(await alloc(his, 3))} {NAME}")  # a name of his own
            assert await his("exports 0") == f"{NAME}:3"
            await published(f"export 0 {(await alloc(published, 1))[0]} {hexed('for-all')}")
            assert await hers("exports 0") == f"{NAME}:1 {hexed('for-all')}:1"
            assert len((await hers(f"import 0 {hexed('for-all')}")).split(",")) == 1
            end = await hers.ends(f"release 0 {hexed('for-all')}")
            assert end.event == EXCEPTION
            end = await his.ends(f"import 0 {hexed('unknown')}")
            assert end.event == EXCEPTION and "unknown" in end.message

    asyncio.run(main())


@pytest.mark.parametrize(
    ("setup", "command", "parts"),
    [
        (["alloc 0 1"], f"export 0 7 {NAME}", ["export-resources", "7"]),
        (["alloc 0 1", f"export 0 0 {NAME}"], f"export 0 0 {NAME}", ["context", "release it first"]),
        (["alloc 0 1"], "export 0 0 -", ["0 bytes"]),
        ([], f"export 3 - {NAME}", ["export-resources"]),
        ([], f"import 9 {NAME}", ["import-resources", "9"]),
        ([], f"release 1 {NAME}", ["release-exported-resources", "context"]),
    ],
)
def test_mistakes_name_the_call_and_the_value(
    own_server: Server, setup: list[str], command: str, parts: list[str]
) -> None:
    async def main() -> None:
        async with Peer(own_server.url) as peer:
            probe = await probe_of(peer)
            await probe.all(*setup)
            end = await probe.ends(command)
            assert end.event == EXCEPTION
            assert all(part in end.message for part in parts), end.message

    asyncio.run(main())


def test_exported_pages_count_towards_the_users_quota(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.toml").write_text("[limits]\nuser_kv_pages_max = 10\n")
    one = Server(home).start()

    async def main() -> None:
        async with Peer(one.url) as peer:
            probe = await probe_of(peer)
            held = await alloc(probe, 5)
            await probe(f"export 0 {numbers(held)} {NAME}")
            await peer.call("terminate_instance", instance_id=probe.instance)
            other = await probe_of(peer)
            await alloc(other, 5)
            end = await other.ends("alloc 0 1")
            assert end.event == OUT_OF_RESOURCES and "used 10 pages" in end.message
            third = await probe_of(peer)
            await third(f"release 0 {NAME}")
            await alloc(third, 10)

    asyncio.run(main())
    assert one.stop() == 0
