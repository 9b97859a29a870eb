"""Questions about a long text that is computed once for all times: its pages are kept on disk.

The first launch computes the text; later ones, also after a restart of the server, go on behind it.
All questions are answered at once, on forks. The text is `--prefix`, or a file beside the program.
"""

import argparse
import asyncio
import hashlib
import sys

from inferlet import Context, list_snapshots, program_file

DAY = 24 * 60 * 60


async def load_or_compute(prefix: str, days: int) -> Context:
    """A context that has read the text."""
    name = "prefix-" + hashlib.sha256(prefix.encode()).hexdigest()
    is_there = any(entry.name == name for entry in list_snapshots())
    if is_there:
        context = Context.load(name)
    else:
        context = Context()
        context.fill(prefix)
        context.save(name, ttl=days * DAY)
    print(f"[prefix] {len(context)} tokens {'loaded' if is_there else 'computed'}", file=sys.stderr)
    return context


async def answer(context: Context, question: str, max_tokens: int) -> str:
    """Goes on from the text with a question."""
    context.fill(question)
    return await context.generate(max_tokens=max_tokens)


async def main(args: list[str]) -> list[str]:
    """Answers the questions."""
    parser = argparse.ArgumentParser("prefix_caching")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("-p", "--prefix", help="the long text")
    where.add_argument("-f", "--file", help="a file of the program that has it")
    parser.add_argument("-n", "--max-tokens", type=int, default=32)
    parser.add_argument("-d", "--days", type=int, default=7, help="how long it is kept")
    parser.add_argument("questions", nargs="*", help="text that goes on from the prefix")
    options = parser.parse_args(args)

    prefix = options.prefix or program_file(options.file).decode()
    root = await load_or_compute(prefix, options.days)
    answers = (answer(root.fork(), question, options.max_tokens) for question in options.questions)
    return list(await asyncio.gather(*answers))
