"""bench-generate in Python: says "ready", waits for a message, then answers in the engine's own loop.

It reads every token, and returns nanoseconds and tokens.
"""

import argparse
import asyncio
import random
import time

from inferlet import Context, Drafting, Sampler, Stop, receive, send


async def count_pieces(context: Context, tokens: int) -> int:
    """Reads an answer piece by piece; its tokens."""
    answer = context.generate(Sampler.greedy(), Stop.max_len(tokens), drafting=Drafting(tokens_max=0))
    async for _ in answer:
        pass
    return len(answer.tokens)


async def main(args: list[str]) -> dict[str, int]:
    """Measures `--sequences` answers of `--tokens` tokens behind `--prefix` random ones, at once."""
    parser = argparse.ArgumentParser("bench_generate")
    parser.add_argument("--sequences", type=int, default=1)
    parser.add_argument("--prefix", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=64)
    options = parser.parse_args(args)
    root = Context()
    root.fill_tokens(random.randrange(1000, 40_000) for _ in range(options.prefix + 1))
    await root.flush()
    contexts = [root.fork() for _ in range(options.sequences)]
    send("ready")
    await receive()
    started = time.perf_counter_ns()
    counts = await asyncio.gather(*(count_pieces(one, options.tokens) for one in contexts))
    return {"ns": time.perf_counter_ns() - started, "tokens": sum(counts)}
