"""What the programs under inferlets/ claim to show, on a real server and its model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from tests.conftest import Server
from tests.wire import Peer

COMPLETED = 1


def on(server: Server, test: Callable[[Peer], Coroutine[Any, Any, None]]) -> None:
    """Runs a test with one peer."""

    async def main() -> None:
        async with Peer(server.url) as peer:
            await test(peer)

    asyncio.run(main())


async def result(peer: Peer, program: str, *arguments: str) -> str:
    """What a program of the registry returns."""
    instance = await peer.launch(f"std/{program}", list(arguments))
    end = await peer.final(instance)
    assert end["event"] == COMPLETED, end["message"]
    return str(end["message"])


async def refusal(peer: Peer, program: str, *arguments: str) -> str:
    """Why a program fails."""
    end = await peer.final(await peer.launch(f"std/{program}", list(arguments)))
    assert end["event"] != COMPLETED, end["message"]
    return str(end["message"])


async def figure(peer: Peer, name: str) -> int:
    """A figure of `query model_status`, without the model's name in front."""
    answer = await peer.call("query", subject="model_status", record="")
    return next(int(v) for k, v in json.loads(answer["result"]).items() if k.split(".", 1)[1] == name)


def test_parallel_generation_gives_the_same_texts_in_fewer_steps(server: Server) -> None:
    async def main(peer: Peer) -> None:
        options = ["--prompt=Tell me about a lighthouse.", "--count=6", "--max-tokens=24"]
        begin = await figure(peer, "model.steps.count")
        together = await result(peer, "parallel-generation", *options)
        middle = await figure(peer, "model.steps.count")
        apart = await result(peer, "parallel-generation", *options, "--one-by-one")
        end = await figure(peer, "model.steps.count")
        assert together == apart
        assert len(set(json.loads(together))) == 6
        assert (middle - begin) * 3 < end - middle, (begin, middle, end)
        assert "[--count] got 0" in await refusal(peer, "parallel-generation", "--prompt=x", "--count=0")

    on(server, main)
