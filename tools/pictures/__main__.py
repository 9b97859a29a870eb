"""`python3 -m tools.pictures` runs the programs of docs/pictures and draws the pictures of docs/PROGRAMS.md.

Each program runs by `pie run` on a server of its own, and what it returns is what the picture shows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tools.pictures import drafts, fork, mask
from tools.pictures.canvas import Figures

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
DRAWN: dict[str, Callable[[Figures], str]] = {"drafts": drafts.draw, "fork": fork.draw, "mask": mask.draw}
_RUN_S = 300


def measure(name: str, pie: Path) -> Figures:
    """What a program of docs/pictures gives, on a fresh server."""
    with tempfile.TemporaryDirectory() as home:
        environment = dict(os.environ, PIE_HOME=home)
        done = subprocess.run([str(pie), "run", str(PICTURES / f"{name}.py")], env=environment, check=False,
                              text=True, capture_output=True, timeout=_RUN_S)  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"[pictures] {name}.py ended with {done.returncode}:\n{done.stderr}")
    figures: Figures = json.loads(done.stdout)
    return figures


def main() -> None:
    """Runs and draws."""
    parser = argparse.ArgumentParser(prog="python3 -m tools.pictures", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(DRAWN)}; all")
    parser.add_argument("--pie", type=Path, default=ROOT / "build" / "bin" / "pie", help="the built command")
    parser.add_argument("--out", type=Path, default=PICTURES, help="folder of the pictures")
    options = parser.parse_args()
    for name in options.names or DRAWN:
        if name not in DRAWN:
            parser.error(f"got {name}, expected one of {', '.join(DRAWN)}")
        (options.out / f"{name}.svg").write_text(DRAWN[name](measure(name, options.pie)))
        print(options.out / f"{name}.svg")


if __name__ == "__main__":
    main()
