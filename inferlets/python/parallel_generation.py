"""Several answers to one prompt at once: forks share its pages, the engine computes all of them in one batch.

Prints the answers as they end, and returns them in order. `--one-by-one` gives the same texts, later.
"""

import argparse
import asyncio

from inferlet import Context, Sampler


async def answer(context: Context, sampler: Sampler, max_tokens: int) -> str:
    """One of them."""
    text = await context.generate(sampler, max_tokens=max_tokens)
    print(text)
    return text


async def main(args: list[str]) -> list[str]:
    """Draws `--count` answers to `--prompt`."""
    parser = argparse.ArgumentParser("parallel_generation")
    parser.add_argument("-p", "--prompt", required=True)
    parser.add_argument("-c", "--count", type=int, default=4)
    parser.add_argument("-n", "--max-tokens", type=int, default=64)
    parser.add_argument("-t", "--temperature", type=float, default=0.8)
    parser.add_argument("-s", "--seed", type=int, default=1)
    parser.add_argument("--one-by-one", action="store_true")
    options = parser.parse_args(args)

    root = Context()
    root.fill_user(options.prompt)
    root.open_answer()
    await root.flush()  # what a fork shares is what is computed
    sampler = Sampler.multinomial(options.temperature)
    answers = [
        answer(root.fork(), sampler.with_seed(options.seed + i), options.max_tokens) for i in range(options.count)
    ]
    if options.one_by_one:
        return [await one for one in answers]
    return list(await asyncio.gather(*answers))
