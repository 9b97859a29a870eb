"""A text that is written again with an edit: the tokens of each pass, as JSON. `python3 -m tools.pictures` draws them.

`context.generate()` does the same; here the engine's loop is read pass by pass, by the host's own interface.
"""

from inferlet import Context, Drafting, Sampler
from inferlet import _host as host
from pie_runtime.event_loop import running_loop

SAME = "The keeper climbed the stairs every evening before the sun went down."
BEFORE = (
    "He lit the lamp, wound the clock and wrote the weather in his log. When a ship came near, he counted its lights "
    "and noted its course. At dawn he put out the lamp, cleaned the glass and went down to sleep."
)
NOW = "She"
TOKENS, TRIES = 96, 8


async def write() -> dict[str, object]:
    """Whoever reads after each pass sees what it gave; two passes in one piece are two that nobody read between."""
    context = Context()
    context.fill(f"First version:\n{SAME} {BEFORE}\n\nSecond version, about a woman:\n{SAME} {NOW}")
    sequence = context._sequence
    sequence.take_pages(len(context) + TOKENS)
    request = host.decode.Request(
        sequence.page_numbers(), 0, [], context.tokens, 0, host.decode.Attention_Everything(),
        Sampler.greedy().for_engine(), Drafting().for_engine(), [], ["\n"], TOKENS, False, 0, 1,
    )  # fmt: skip
    pieces, end = [], None
    with host.call(host.decode.Generation.start, sequence.queue, request) as run, run.pollable() as pollable:
        while end is None:
            await running_loop().until_ready(pollable)
            end = run.end()
            tokens = run.read().tokens
            if tokens:
                pieces.append([context.model.tokenizer.detokenize([token]) for token in tokens])
    return {
        "before": BEFORE, "now": NOW, "pieces": pieces, "passes": end.passes, "drafted": end.drafted,
        "accepted": end.accepted,
    }  # fmt: skip


async def main() -> dict[str, object]:
    """Writes until every pass was read by itself."""
    for _ in range(TRIES):
        found = await write()
        if len(found["pieces"]) == found["passes"]:
            return found
    raise RuntimeError(f"[drafts] got several passes in one piece {TRIES} times, expected each in one of its own")
