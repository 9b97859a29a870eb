"""What came in each pass, where the engine drafts what is likely to come."""

from __future__ import annotations

import textwrap

from tools.pictures.canvas import WIDTH, Canvas, Figures

_LEFT, _TOP, _LETTER, _LINE, _BOX = 24, 62, 8.4, 36, 24
_BAR, _BARS = 34, 110
_COLUMNS = 100


def _lines(pieces: list[list[str]]) -> list[list[tuple[float, str, bool]]]:
    """Tokens in lines: where each begins, what it is, and whether it was a draft."""
    lines: list[list[tuple[float, str, bool]]] = [[]]
    x: float = _LEFT
    for piece in pieces:
        for number, token in enumerate(piece):
            shown = token.replace("\n", "\u21b5").strip() or "\u2423"
            width = len(shown) * _LETTER + 8
            if x + width > WIDTH - _LEFT:
                lines.append([])
                x = _LEFT
            lines[-1].append((x, shown, number < len(piece) - 1))
            x += width + 3
    return lines


def draw(figures: Figures) -> str:
    """The text token by token, and below it a bar for each pass."""
    pieces = figures["pieces"]
    tokens, passes = sum(map(len, pieces)), figures["passes"]
    drafted, accepted = figures["drafted"], figures["accepted"]
    lines = _lines(pieces)
    before = textwrap.wrap(f"Before: \u2026 {figures['before']}", _COLUMNS)
    text = _TOP + len(before) * 19 + 34
    bars = text + len(lines) * _LINE + 30
    unit = _BARS / max(map(len, pieces))
    bottom = bars + _BARS
    canvas = Canvas(
        "Drafts: several tokens in one pass, where the text goes on as it did before",
        f"A text that is written again with an edit: {tokens} tokens in {passes} passes. {drafted} tokens "
        f"were drafted, and {accepted} were right. Each pass gives the drafts that were right and one "
        "token more, which the model drew.",
        bottom + 88,
        figures,
    )
    for number, words in enumerate(before):
        canvas.text(_LEFT, _TOP + number * 19, words, "quiet")
    canvas.text(_LEFT, text - 20, f"Now: \u2026 {figures['now']}", "quiet")
    for number, line in enumerate(lines):
        top = text + number * _LINE - 12
        for x, shown, is_draft in line:
            kind = "blue" if is_draft else "orange"
            width = len(shown) * _LETTER + 8
            canvas.rect(x, top, width, _BOX, kind, 4)
            canvas.text(x + 4, top + 17, shown, f"mono {kind}-text", width=width - 8)
    canvas.text(_LEFT, bars - 14, "tokens of each pass", "quiet small")
    step = min((WIDTH - 2 * _LEFT) / len(pieces), _BAR)
    for number, piece in enumerate(pieces):
        x = _LEFT + number * step
        canvas.rect(x, bottom - unit, step - 6, unit, "strong-orange")
        if len(piece) > 1:
            canvas.rect(x, bottom - unit * len(piece), step - 6, unit * (len(piece) - 1) - 1, "strong-blue")
        canvas.text(x + (step - 6) / 2, bottom + 16, str(len(piece)), "quiet small", "middle")
    canvas.line(_LEFT, bottom, WIDTH - _LEFT, bottom)
    canvas.key(_LEFT, bottom + 42, "blue", "a draft that was right")
    canvas.key(_LEFT + 210, bottom + 42, "orange", "drawn by the model, one in each pass")
    sentence = f"{tokens} tokens in {passes} passes; of {drafted} drafted tokens {accepted} were right."
    canvas.text(_LEFT, bottom + 68, sentence)
    return canvas.svg()
