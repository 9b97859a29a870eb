"""What the speculative rows go on from: a file that is written again, a page that is quoted, a story."""

from __future__ import annotations

_FIELDS = ["name", "address", "city", "country", "phone", "email", "birthday", "balance", "limit", "state"]


def _file() -> str:
    """A module of about sixty lines, none like another."""
    lines = ["class Account:", "    def __init__(self, record):"]
    lines += [f"        self.{field} = record['{field}']" for field in _FIELDS]
    for i, field in enumerate(_FIELDS):
        lines.append("")
        lines.append(f"    def set_{field}(self, value):")
        lines.append(f"        if value is None or len(str(value)) > {10 + 7 * i}:")
        lines.append(f"            raise ValueError('{field} is not valid')")
        lines.append(f"        self.{field} = value")
    return "\n".join(lines)


_PAGE = """The lighthouse of Farrow Point was built in 1874 by the engineer Ada Whitcombe after three ships
had been lost on the rocks in one winter. Its tower is 41 metres high and has 199 steps. The lamp burned whale
oil until 1902, then paraffin, and has been electric since 1938. The last keeper, Tomas Hale, left in 1986,
when the light was automated. Today the tower belongs to a trust, which opens it on Sundays from May to
September. Visitors may climb to the gallery, from which the islands of Great and Little Sorrow can be seen on
clear days."""

_CODE = f"""# accounts.py
{_file()}

# accounts.py, once more, with one more method at its end
class Account:
    def __init__(self, record):
"""

_RAG = f"""Page:
{_PAGE}

Question: When was the lighthouse built, who kept it last, and when is it open? Quote the page word for word.
Answer: The lighthouse of Farrow Point was built"""

PROMPTS = {
    "code": _CODE,
    "rag": _RAG,
    "story": "Write a story about a clockmaker who finds a door in the back of a clock.\n\n",
}
