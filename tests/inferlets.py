"""What the tests of the programs under inferlets/ share: runs, their ends, and the server's figures."""

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


async def ended(peer: Peer, instance: str) -> str:
    """What an instance returns."""
    end = await peer.final(instance)
    assert end["event"] == COMPLETED, end["message"]
    return str(end["message"])


async def result(peer: Peer, program: str, *arguments: str) -> str:
    """What a program of the registry returns."""
    return await ended(peer, await peer.launch(f"std/{program}", list(arguments)))


async def told(peer: Peer, program: str, *arguments: str) -> tuple[str, str]:
    """What a program returns, and what it says on stderr."""
    instance = await peer.launch(f"std/{program}", list(arguments))
    return await ended(peer, instance), peer.output(instance, "Stderr")


async def refusal(peer: Peer, program: str, *arguments: str) -> str:
    """Why a program fails."""
    end = await peer.final(await peer.launch(f"std/{program}", list(arguments)))
    assert end["event"] != COMPLETED, end["message"]
    return str(end["message"])


async def figure(peer: Peer, name: str) -> int:
    """A figure of `query model_status`, without the model's name in front."""
    answer = await peer.call("query", subject="model_status", record="")
    return next(int(v) for k, v in json.loads(answer["result"]).items() if k.split(".", 1)[1] == name)


async def cost(peer: Peer, name: str, work: Coroutine[Any, Any, Any]) -> tuple[Any, int]:
    """What some work gives, and by how much a figure grows meanwhile."""
    before = await figure(peer, name)
    value = await work
    return value, await figure(peer, name) - before
