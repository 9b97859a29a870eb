"""The peer: llama-server, and an asyncio client of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import peer

if TYPE_CHECKING:
    import aiohttp

FIELDS = ["content", "tokens", "tokens_predicted", "completion_probabilities"]
SAVED = "shared.bin"


@dataclass(frozen=True)
class Setting:
    """One way to run llama-server and to ask it."""

    name: str
    flags: tuple[str, ...] = ()
    primes: bool = False  # a text in common is computed once, saved, and restored into every slot
    forks: bool = False  # branches of one text are asked for by one request (n_cmpl)
    slots: int = 0  # 0: as many as the workload says


@dataclass(frozen=True)
class Written:
    """What an answer holds."""

    text: str
    tokens: list[int]
    ranked: list[tuple[int, float]]  # of the first token, when asked for: ids and log-probabilities


@dataclass(frozen=True)
class Llama:
    """A client of one llama-server."""

    session: aiohttp.ClientSession
    setting: Setting
    slots: int

    async def ask(self, prompt: list[int] | str, count: int, **more: Any) -> Any:
        """One /completion: an answer, or a list of them, as they come."""
        body = {
            "prompt": prompt, "n_predict": count, "temperature": 0.8, "top_k": 40, "top_p": 1.0, "min_p": 0.0,
            "samplers": ["top_k", "temperature"], "ignore_eos": True, "cache_prompt": True,
            "return_tokens": True, "response_fields": FIELDS, **more,
        }  # fmt: skip
        return await self._post("/completion", body)

    async def write(self, prompt: list[int] | str, count: int, seed: int, **more: Any) -> Written:
        """Exactly `count` tokens."""
        return exactly(count, await self.ask(prompt, count, seed=seed, **more))

    async def prime(self, tokens: list[int]) -> None:
        """Computes a text that all units begin with, once, and puts it into every slot."""
        await self.ask(tokens, 0, id_slot=0)
        await self._post("/slots/0?action=save", {"filename": SAVED})
        for slot in range(1, self.slots):
            await self._post(f"/slots/{slot}?action=restore", {"filename": SAVED})

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        async with self.session.post(path, json=body) as response:
            if response.status != 200:
                raise RuntimeError(f"[llama-server] got {response.status}: {await response.text()}")
            return await response.json()


def exactly(count: int, answer: dict[str, Any]) -> Written:
    """An answer that has as many tokens as were asked for."""
    tokens = answer["tokens"][:count]
    if len(tokens) != count:
        raise RuntimeError(f"[llama-server] got {len(tokens)} tokens, expected {count}")
    # Of a token that ends within a character the server gives none: that token stands alone.
    ranked = [(tokens[0], 0.0)] if tokens else []
    probabilities = answer.get("completion_probabilities") or []
    if tokens and probabilities and probabilities[0]["id"] == tokens[0]:
        ranked = [(each["id"], each["logprob"]) for each in probabilities[0]["top_logprobs"]]
    return Written(answer["content"], tokens, ranked)


@contextlib.contextmanager
def server(
    model: Path, cores: str, setting: Setting, slots: int, context: int, folder: Path
) -> Iterator[peer.Running]:
    """A llama-server with room for `context` tokens in each slot."""
    # The cache is given out in pieces of 256; a few tokens more than are asked for are computed.
    size = slots * (-(-(context + 8) // 256) * 256)
    flags = [*setting.flags] if "-fa" in setting.flags else ["-fa", "on", *setting.flags]
    more = [*flags, "--slot-save-path", str(folder), "--cache-ram", "8192"]
    with peer.server(model, cores, slots, size, len(cores.split(",")), more) as running:
        yield running


@contextlib.asynccontextmanager
async def client(port: int, setting: Setting, slots: int) -> AsyncIterator[Llama]:
    """A client with as many connections as it has requests."""
    import aiohttp  # packages.provide() has brought it; the tests do without

    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{port}", connector=connector, timeout=timeout
    ) as session:
        yield Llama(session, setting, slots)
