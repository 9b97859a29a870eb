"""Thinks in several directions and follows the promising ones: thoughts are forks, judged by the model itself.

All thoughts of a level are written and judged at once; the best few go on. Returns every thought of
the tree, and the path to the best of the last level.
"""

import argparse
import asyncio
import math
from dataclasses import dataclass
from itertools import count
from typing import Any, Self

from inferlet import Context, Sampler

YES, NO = "Yes", "No"


@dataclass
class Thought:
    """A step of thinking, and the context that has read all steps up to it."""

    context: Context
    text: str = ""
    parent: Self | None = None
    score: float = 0.0

    @property
    def path(self) -> list[str]:
        """The texts from the first step to this one."""
        return [*self.parent.path, self.text] if self.parent else []


async def think(parent: Thought, seed: int, max_tokens: int) -> Thought:
    """One next step, and how likely the model says that it is a good one."""
    context = parent.context.fork()
    if parent.parent:
        context.fill_user("Go on with the next step.")
    text = await context.generate(Sampler.top_p(1.0, 0.95).with_seed(seed), max_tokens=max_tokens)
    await context.flush()  # for the judge, and for who follows
    with context.fork() as judge:
        judge.fill_user("Is that a good next step? Answer yes or no.")
        words = [judge.model.tokenizer.tokenize(word)[0] for word in (YES, NO)]
        yes, no = await judge.log_probabilities(words)
    return Thought(context, text, parent, 1 / (1 + math.exp(no - yes)))


async def main(args: list[str]) -> dict[str, Any]:
    """Grows the tree."""
    parser = argparse.ArgumentParser("tree_of_thought")
    parser.add_argument("-p", "--prompt", required=True)
    parser.add_argument("-n", "--max-tokens", type=int, default=24)
    parser.add_argument("-s", "--seed", type=int, default=1)
    for name, default in (("--depth", 3), ("--branch", 3), ("--keep", 2)):
        parser.add_argument(name, type=int, default=default)
    options = parser.parse_args(args)

    root = Thought(Context())
    root.context.fill_user(f"{options.prompt}\nThink step by step, one short sentence at a time.")
    await root.context.flush()
    seeds = count(options.seed)
    level, tree = [root], []
    for _ in range(options.depth):
        parents = [parent for parent in level for _ in range(options.branch)]
        thoughts = await asyncio.gather(*(think(parent, next(seeds), options.max_tokens) for parent in parents))
        tree += thoughts
        level = sorted(thoughts, key=lambda thought: -thought.score)[: options.keep]
    told = [{"path": thought.path, "score": thought.score} for thought in tree]
    return {"thoughts": told, "best": level[0].path}
