"""A text whose tokens see the first ones and the last ones: each token's row of the mask, as JSON.

`python3 -m tools.pictures` draws them. Rows are the SDK's own books (`_sequence`): a program has no need of them.
"""

from inferlet import Context, Sampler

PROMPT = "The lighthouse keeper climbed the stairs every evening, lit the lamp, and wrote in his log:"
SINK, WINDOW, TOKENS = 4, 20, 80


def rows(context: Context) -> list[list[list[int]]]:
    """What each token of the next pass attends to: ranges of positions, ends not included."""
    sequence = context._sequence
    found = []
    for slot in range(sequence.computed, len(sequence)):
        ranges: list[list[int]] = []
        for at in [at for at in range(slot) if not sequence.masked[at]] + [slot]:
            position = sequence.positions[at]
            if ranges and ranges[-1][1] == position:
                ranges[-1][1] += 1
            else:
                ranges.append([position, position + 1])
        found.append(ranges)
    return found


async def main() -> dict[str, object]:
    """Goes on with the prompt, token by token, with a window that moves along."""
    context = Context()
    context.fill(PROMPT)
    prompt, size = len(context), context.model.kv_page_size
    attended, given_back = rows(context), []
    while len(attended) < TOKENS:
        await context.decode_step(Sampler.greedy())
        context.mask_token_range(SINK, max(len(context) - WINDOW, 0))
        held = {position // size for position in context._sequence.positions}
        context.drop_masked_pages()
        for page in sorted(held - {position // size for position in context._sequence.positions}):
            given_back.append({"page": page, "token": len(attended)})
        attended += rows(context)
    return {
        "page_size": size, "sink": SINK, "window": WINDOW, "prompt": prompt, "rows": attended, "given_back": given_back,
        "pages": context.kv_page_count,
    }  # fmt: skip
