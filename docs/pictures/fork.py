"""A context and three forks of it: the KV pages of each, as JSON. `python3 -m tools.pictures` draws them.

Page numbers are the SDK's own books (`_sequence`): a program has no need of them.
"""

import asyncio

from inferlet import Context, Sampler

SYSTEM = (
    "You are the keeper of a small museum of lighthouses. You know each of its rooms, its lamps and its logs by heart. "
    "You answer visitors in short, plain sentences. You never make up a date: when you do not know one, you say so. "
    "The museum is open from ten to five, and closed on Mondays."
)
QUESTIONS = {"hours": "When are you open?", "lamps": "What is a Fresnel lens?", "logs": "What is a keeper's log?"}


def books(name: str, context: Context) -> dict[str, object]:
    """What a context has: its computed tokens, and the numbers of its pages."""
    return {"name": name, "tokens": context._sequence.computed, "pages": context._sequence.page_numbers()}


async def ask(context: Context, question: str) -> str:
    """One visitor."""
    context.fill_user(question)
    return await context.generate(Sampler.greedy(), max_tokens=28)


async def main() -> dict[str, object]:
    """Three visitors, who have the keeper in common."""
    root = Context()
    root.fill_system(SYSTEM)
    await root.flush()  # computed once
    forks = {name: root.fork() for name in QUESTIONS}
    await asyncio.gather(*(ask(forks[name], question) for name, question in QUESTIONS.items()))
    return {
        "page_size": root.model.kv_page_size,
        "contexts": [books("root", root), *(books(name, fork) for name, fork in forks.items())],
    }
