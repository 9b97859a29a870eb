"""Which slots each token of a text attends to, where later ones see the first and the last."""

from __future__ import annotations

from tools.pictures.canvas import Canvas, Figures

_LEFT, _TOP, _SIDE = 118, 104, 540


def draw(figures: Figures) -> str:
    """One row a token, one column a slot; the upper right is what is still to come."""
    rows, size, prompt = figures["rows"], figures["page_size"], figures["prompt"]
    sink, window = figures["sink"], figures["window"]
    cell = _SIDE / len(rows)
    bottom = _TOP + _SIDE
    given_back = figures["given_back"]
    canvas = Canvas(
        "What each token attends to: the first tokens, and a window",
        f"A triangle of {len(rows)} tokens. The first {prompt} are the prompt and attend to all before them. "
        f"Each later one attends to the first {sink} tokens and to the last {window}, its own included: a "
        f"column at the left, and a band along the diagonal. Between them {len(given_back)} pages are given "
        "back, each once the last token that attends to it is computed.",
        bottom + 48,
        figures,
    )
    for row in range(len(rows)):
        canvas.rect(_LEFT, _TOP + row * cell, (row + 1) * cell, cell, "grey")
    for gone in given_back:
        top = _TOP + gone["token"] * cell
        canvas.rect(_LEFT + gone["page"] * size * cell, top, size * cell, bottom - top, "faint")
    for row, ranges in enumerate(rows):
        for begin, end in ranges:
            top = _TOP + row * cell
            canvas.rect(_LEFT + begin * cell, top + 0.5, (end - begin) * cell, cell - 1, "strong-blue")
    for page in range(-(-len(rows) // size)):
        x, width = _LEFT + page * size * cell, min(size, len(rows) - page * size) * cell
        canvas.line(x, _TOP - 22, x, _TOP - 4)
        canvas.line(x, _TOP + page * size * cell, x, bottom, dashed=True)
        canvas.text(x + width / 2, _TOP - 10, f"page {page}", "quiet small", "middle")
    canvas.text(_LEFT - 94, _TOP - 10, "slots", "quiet small")
    for top, end, name in ((0, prompt, "prompt"), (prompt, len(rows), "generated")):
        canvas.line(_LEFT - 8, _TOP + top * cell + 2, _LEFT - 8, _TOP + end * cell - 2)
        canvas.text(_LEFT - 14, _TOP + (top + end) / 2 * cell + 4, name, "text", "end")
    for gone in given_back:
        x, y = _LEFT + (gone["page"] + 0.5) * size * cell, (_TOP + gone["token"] * cell + bottom) / 2
        canvas.text(x, y + 4, "given back", "text small", "middle")
    key = _LEFT + _SIDE * 0.52
    canvas.key(key, _TOP + 30, "strong-blue", "attended to")
    canvas.key(key, _TOP + 54, "grey", "masked, its page is there")
    canvas.key(key, _TOP + 78, "faint", "masked, its page is given back")
    canvas.text(_LEFT, bottom + 26, f"After {len(rows)} tokens {figures['pages']} pages are held; "
                f"without the window it would be {-(-len(rows) // size)}.")  # fmt: skip
    return canvas.svg()
