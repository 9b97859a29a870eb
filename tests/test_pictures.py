"""The pictures of docs/PROGRAMS.md: of the script as it is now, and of figures that hold here too."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import ROOT
from tools.pictures.__main__ import DRAWN, PICTURES
from tools.pictures.canvas import Figures, dark, figures_of

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_what_the_script_draws_of_its_figures(name: str) -> None:
    committed = (PICTURES / f"{name}.svg").read_text()
    assert committed == DRAWN[name](figures_of(committed)), "run `python3 -m tools.pictures`"


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_is_read_by_eyes_and_by_screen_readers(name: str) -> None:
    text = (PICTURES / f"{name}.svg").read_text()
    picture = ElementTree.fromstring(text)
    named = {child.get("id"): child.text or "" for child in picture if child.get("id")}
    assert picture.get("role") == "img" and picture.get("aria-labelledby") == " ".join(named)
    assert len(named["title"]) > 20 and len(named["desc"]) > 100
    colours = picture.findtext(f"{SVG}style") or ""
    light, night = colours.split("@media (prefers-color-scheme:dark)")
    used = {kind for shape in picture.iter() for kind in (shape.get("class") or "").split()} - {
        "title",
        "small",
        "mono",
    }
    for sheet in (light, night):
        assert used <= set(re.findall(r"\.([\w-]+)\{", sheet)), sheet
    assert "@media" not in dark(text)
    page = (ROOT / "docs" / "PROGRAMS.md").read_text()
    alternative = re.search(rf"!\[([^\]]+)\]\(pictures/{name}\.svg\)", page)
    assert alternative and len(alternative.group(1)) > 60


def holds_of_forks(figures: Figures) -> None:
    """Full pages of the root are in all forks, and no other page is in two contexts."""
    root, *forks = figures["contexts"]
    shared = root["tokens"] // figures["page_size"]
    assert shared >= 2 and len(forks) == 3
    for context in figures["contexts"]:
        assert context["pages"][:shared] == root["pages"][:shared]
        assert len(context["pages"]) == -(-context["tokens"] // figures["page_size"])
    own = [page for context in figures["contexts"] for page in context["pages"][shared:]]
    assert len(set(own)) == len(own) and not set(own) & set(root["pages"][:shared])


def holds_of_masks(figures: Figures) -> None:
    """A token attends to the sink and to the window; the pages between are given back at once."""
    size, sink, window = figures["page_size"], figures["sink"], figures["window"]
    for token, ranges in enumerate(figures["rows"]):
        seen = {slot for begin, end in ranges for slot in range(begin, end)}
        if token >= figures["prompt"]:
            assert seen == {slot for slot in range(token + 1) if slot < sink or slot > token - window}
        else:
            assert seen == set(range(token + 1))
    assert [gone["page"] for gone in figures["given_back"]] == list(range(1, len(figures["given_back"]) + 1))
    for gone in figures["given_back"]:
        assert gone["token"] == (gone["page"] + 1) * size + window - 1
    assert figures["pages"] == -(-len(figures["rows"]) // size) - len(figures["given_back"])


def holds_of_drafts(figures: Figures) -> None:
    """Each pass gives its accepted drafts and one token more; the most of the text was drafted."""
    tokens = sum(map(len, figures["pieces"]))
    assert len(figures["pieces"]) == figures["passes"]
    assert tokens - figures["passes"] <= figures["accepted"] <= figures["drafted"]
    assert figures["passes"] * 4 < tokens * 3


def test_the_script_runs_and_its_figures_hold(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.pictures", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, text=True, check=False, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr
    for folder in (tmp_path, PICTURES):
        holds_of_forks(figures_of((folder / "fork.svg").read_text()))
        holds_of_masks(figures_of((folder / "mask.svg").read_text()))
        holds_of_drafts(figures_of((folder / "drafts.svg").read_text()))
