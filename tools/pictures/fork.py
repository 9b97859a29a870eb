"""Which KV pages a context and its forks share, and which each has for itself."""

from __future__ import annotations

from tools.pictures.canvas import WIDTH, Canvas, Figures

_LEFT, _TOP, _ROW, _GAP, _HEIGHT = 96, 96, 50, 5, 36
_RIGHT = 96


def draw(figures: Figures) -> str:
    """One row a context, one column a page; a page that several have is one box over all their rows."""
    size, contexts = figures["page_size"], figures["contexts"]
    lists = [context["pages"] for context in contexts]
    shared = [page for page in lists[0] if all(page in pages for pages in lists)]
    columns = max(len(pages) for pages in lists)
    width = min((WIDTH - _LEFT - _RIGHT - _GAP * (columns - 1)) / columns, 70)
    uses, held = sum(map(len, lists)), len({page for pages in lists for page in pages})
    bottom = _TOP + _ROW * len(lists)
    canvas = Canvas(
        "A context and its forks share the pages that are full",
        f"{len(lists)} rows: a context named {contexts[0]['name']} and its forks "
        f"{', '.join(context['name'] for context in contexts[1:])}. The first {len(shared)} pages of {size} "
        "tokens belong to all of them. Behind these each has pages of its own. Together they use "
        f"{uses} pages, and {held} hold them all.",
        bottom + 84,
        figures,
    )

    def left(column: int) -> float:
        return _LEFT + column * (width + _GAP)

    for column in range(columns):
        tokens = f"{column * size}-{(column + 1) * size - 1}"
        canvas.text(left(column) + width / 2, _TOP - 12, tokens, "quiet small", "middle")
    canvas.text(24, _TOP - 12, "tokens", "quiet small")
    for column, page in enumerate(shared):
        canvas.rect(left(column), _TOP, width, _ROW * len(lists) - (_ROW - _HEIGHT), "blue", 5)
        middle = _TOP + (bottom - _TOP) / 2 - 4
        canvas.text(left(column) + width / 2, middle, f"page {page}", "blue-text", "middle")
    for row, context in enumerate(contexts):
        top = _TOP + row * _ROW
        canvas.text(24, top + 23, context["name"])
        for column, page in enumerate(context["pages"][len(shared) :], len(shared)):
            filled = min(context["tokens"] - column * size, size) / size
            canvas.rect(left(column), top, width, _HEIGHT, "orange" if filled == 1 else "empty", 5)
            if filled < 1:
                canvas.rect(left(column) + 1, top + _HEIGHT - 7, (width - 2) * filled, 6, "strong-orange", 2)
            canvas.text(left(column) + width / 2, top + 22, f"page {page}", "text", "middle")
        end = left(len(context["pages"])) + 6
        canvas.text(end, top + 23, f"{context['tokens']} tokens", "quiet small")
    canvas.key(_LEFT, bottom + 22, "blue", "computed once, read by all")
    canvas.key(_LEFT + 230, bottom + 22, "orange", "its own (a bar: as far as it is full)")
    sentence = f"The {len(lists)} contexts use {uses} pages; as {len(shared)} are shared, {held} are enough."
    canvas.text(_LEFT, bottom + 56, sentence)
    return canvas.svg()
