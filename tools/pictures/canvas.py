"""An SVG file: shapes with classes, colours for light and dark, and the figures that it shows."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.sax.saxutils import escape, unescape

WIDTH = 760
Figures = dict[str, Any]

# Class: what it is of light and of dark. Text on a fill is of that fill's `text` class.
_COLOURS = {
    "card": ("fill:#ffffff;stroke:#d1d9e0", "fill:#0d1117;stroke:#3d444d"),
    "text": ("fill:#1f2328", "fill:#f0f6fc"),
    "quiet": ("fill:#59636e", "fill:#9198a1"),
    "line": ("stroke:#8c959f;fill:none", "stroke:#656c76;fill:none"),
    "blue": ("fill:#c6defa;stroke:#2a6fc4", "fill:#143d6e;stroke:#5b9df0"),
    "blue-text": ("fill:#0a3069", "fill:#d4e6ff"),
    "strong-blue": ("fill:#2a6fc4", "fill:#5b9df0"),
    "orange": ("fill:#ffdfb6;stroke:#b35900", "fill:#5a3206;stroke:#f0a04b"),
    "orange-text": ("fill:#5c2e00", "fill:#ffe2bd"),
    "strong-orange": ("fill:#d9730d", "fill:#f0a04b"),
    "empty": ("fill:#f6f8fa;stroke:#b35900", "fill:#151b23;stroke:#f0a04b"),
    "grey": ("fill:#d8dee4", "fill:#353c45"),
    "faint": ("fill:#f3e3d3", "fill:#54391d"),
}
_FONTS = (
    "text{font:13px system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}"
    "text.title{font-size:16px;font-weight:600}"
    "text.small{font-size:12px}"
    "text.mono{font-family:ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace}"
)


def _style() -> str:
    light = "".join(f".{name}{{{colours[0]}}}" for name, colours in _COLOURS.items())
    dark = "".join(f".{name}{{{colours[1]}}}" for name, colours in _COLOURS.items())
    return f"{_FONTS}{light}@media (prefers-color-scheme:dark){{{dark}}}"


class Canvas:
    """Shapes in the order in which they are put; `svg` gives the file."""

    def __init__(self, title: str, description: str, height: float, figures: Figures) -> None:
        self._title, self._description, self._height = title, description, height
        self._figures = figures
        self._shapes: list[str] = []
        self.text(24, 34, title, "title text")

    def rect(self, x: float, y: float, width: float, height: float, kind: str, radius: float = 0) -> None:
        """A rectangle of a class of colours."""
        corners = f' rx="{radius:g}"' if radius else ""
        self._shapes.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"{corners} class="{kind}"/>'
        )

    def line(self, x: float, y: float, to_x: float, to_y: float, *, dashed: bool = False) -> None:
        """A line."""
        dashes = ' stroke-dasharray="3 3"' if dashed else ""
        self._shapes.append(f'<line x1="{x:g}" y1="{y:g}" x2="{to_x:g}" y2="{to_y:g}"{dashes} class="line"/>')

    def text(self, x: float, y: float, text: str, kind: str = "text", anchor: str = "start",
             width: float = 0) -> None:  # fmt: skip
        """A line of text on its base line; with a `width` it is made to fit that."""
        place = "" if anchor == "start" else f' text-anchor="{anchor}"'
        fit = f' textLength="{width:g}" lengthAdjust="spacingAndGlyphs"' if width else ""
        self._shapes.append(f'<text x="{x:g}" y="{y:g}"{place}{fit} class="{kind}">{escape(text)}</text>')

    def key(self, x: float, y: float, kind: str, text: str) -> None:
        """A line of a legend."""
        self.rect(x, y - 10, 12, 12, kind)
        self.text(x + 20, y, text)

    def svg(self) -> str:
        """The file."""
        inner = f'width="{WIDTH - 1}" height="{self._height - 1:g}"'
        size = f'viewBox="0 0 {WIDTH} {self._height:g}" width="{WIDTH}" height="{self._height:g}"'
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title desc">',
            f'<title id="title">{escape(self._title)}</title>',
            f'<desc id="desc">{escape(self._description)}</desc>',
            f"<metadata>{escape(json.dumps(self._figures))}</metadata>",
            f"<style>{_style()}</style>",
            f'<rect x="0.5" y="0.5" {inner} rx="8" class="card"/>',
            *self._shapes,
            "</svg>",
        ]
        return "\n".join(lines) + "\n"


def figures_of(svg: str) -> Figures:
    """The figures that a picture was drawn out of."""
    found = re.search(r"<metadata>(.*?)</metadata>", svg, re.S)
    if found is None:
        raise ValueError("[picture] got a file without figures, expected one of tools.pictures")
    figures: Figures = json.loads(unescape(found.group(1)))
    return figures


def dark(svg: str) -> str:
    """The picture as those see it who like it dark, for programs that show only one way."""
    return re.sub(r"@media \(prefers-color-scheme:dark\)\{(.*)\}</style>", r"\1</style>", svg)
