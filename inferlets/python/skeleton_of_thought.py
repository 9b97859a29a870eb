"""A long answer in the time of a short one: an outline first, then all of its points at once.

Each point is written on a fork of the conversation that has the outline. `--one-by-one` gives the
same texts, later.
"""

import argparse
import asyncio
from typing import Any

from inferlet import Context, Grammar


def form_of(points: int) -> str:
    """The outline's form: a number and a short title on each line."""
    return "".join(rf"{number}\. [A-Z][A-Za-z ,'-]{{2,40}}\n" for number in range(1, points + 1))


async def write(context: Context, number: int, max_tokens: int) -> str:
    """The text of one point."""
    context.fill_user(f"Write one or two sentences on point {number} alone.")
    return await context.generate(max_tokens=max_tokens)


async def main(args: list[str]) -> dict[str, Any]:
    """Answers `--prompt` in `--points` points."""
    parser = argparse.ArgumentParser("skeleton_of_thought")
    parser.add_argument("-p", "--prompt", required=True)
    parser.add_argument("-c", "--points", type=int, default=4)
    parser.add_argument("-n", "--max-tokens", type=int, default=48)
    parser.add_argument("--one-by-one", action="store_true")
    options = parser.parse_args(args)

    root = Context()
    root.fill_user(f"{options.prompt}\nFirst give an outline of {options.points} short titles.")
    outline = await root.generate(max_tokens=512, grammar=Grammar.regex(form_of(options.points)))
    print(outline, end="")
    await root.flush()  # computed once, for all points
    points = [write(root.fork(), number, options.max_tokens) for number in range(1, options.points + 1)]
    written = [await point for point in points] if options.one_by_one else await asyncio.gather(*points)
    return {"outline": outline, "points": list(written)}
