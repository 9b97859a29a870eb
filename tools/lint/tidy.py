"""clang-tidy over the sources of src/ and cpp/, as .clang-tidy says; what was clean is not looked at again.

    python -m tools.lint.tidy [FILES...]     all, or some: src/base/*.cc

What a result depends on (source, headers of ours, flags, .clang-tidy, the tool) is hashed; a clean one leaves
a file of that name in ${PIE_CACHE:-~/.cache/pie}/tidy. The build folder must be up to date: it knows which
headers a source includes.
"""

from __future__ import annotations

import concurrent.futures
import fnmatch
import functools
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from tools.lint import ROOT, is_production, report

BUILD = ROOT / "build" / "cmake" / "release"
CACHE = Path(os.environ.get("PIE_CACHE") or Path.home() / ".cache" / "pie") / "tidy"
TOOL = "clang-tidy-22"
KEPT_S = 60 * 24 * 3600
"""A result that nobody asked for so long goes."""


def includes(listing: str, folder: Path) -> dict[str, list[str]]:
    """Object -> files, by their whole paths, from what `ninja -t deps` prints in a folder."""
    found: dict[str, list[str]] = {}
    files: list[str] = []
    for line in listing.splitlines():
        if line.startswith("    "):
            files.append(os.path.normpath(folder / line.strip()))
        elif "#deps" in line:
            files = found[line.split(": #deps")[0]] = []
    return found


@functools.cache
def digest(path: Path) -> bytes:
    """Of a file's content."""
    return hashlib.sha256(path.read_bytes()).digest()


def key_of(command: str, files: list[str], tool: bytes, root: Path) -> str:
    """What names a result: the same in every checkout (`root`) whose files are the same.

    Files of others (Debian's, ~/.cache/pie) are known by their paths. "": one of ours is gone, so the build
    folder is not up to date.
    """
    ours = [name for name in files if name.startswith(f"{root}/")]
    if not all(map(os.path.exists, ours)):
        return ""
    whole = hashlib.sha256(tool + command.replace(str(root), "").encode())
    for name in sorted(set(files)):
        whole.update(name.removeprefix(str(root)).encode())
    for name in sorted(set(ours)):
        whole.update(digest(Path(name)))
    return whole.hexdigest()


def look_at(source: str, key: str) -> str:
    """What clang-tidy says of one source; "" when it is clean."""
    mark = CACHE / key
    if key and mark.exists():
        os.utime(mark)
        return ""
    done = subprocess.run([TOOL, "-p", str(BUILD), "--quiet", source], cwd=ROOT, text=True, check=False,
                          capture_output=True)  # fmt: skip
    if done.returncode == 0 and key:
        mark.touch()
    return "" if done.returncode == 0 else done.stdout or done.stderr


def sources(patterns: list[str]) -> dict[str, tuple[str, str]]:
    """Source -> (command, object) of what is to be looked at."""
    found = {}
    for entry in json.loads((BUILD / "compile_commands.json").read_text()):
        path = os.path.relpath(entry["file"], ROOT)
        is_chosen = any(fnmatch.fnmatch(path, pattern) for pattern in patterns or ["src/*", "cpp/src/*"])
        made = re.search(r" -o (\S+)", entry["command"])
        if is_chosen and made and path.endswith(".cc") and is_production(path):
            found[path] = (entry["command"], made[1])
    return found


def forget_old() -> None:
    """Removes marks that nobody has asked for."""
    for mark in CACHE.iterdir():
        if mark.stat().st_mtime < time.time() - KEPT_S:
            mark.unlink(missing_ok=True)


def main(patterns: list[str]) -> int:
    """Looks at all, as many at a time as there are cores; the exit code."""
    CACHE.mkdir(parents=True, exist_ok=True)
    forget_old()
    version = subprocess.run([TOOL, "--version"], check=True, capture_output=True).stdout
    tool = version + (ROOT / ".clang-tidy").read_bytes()
    listing = subprocess.run(["ninja", "-C", str(BUILD), "-t", "deps"], text=True, check=True,
                             capture_output=True).stdout  # fmt: skip
    known = includes(listing, BUILD)
    jobs = {source: key_of(command, known[made], tool, ROOT) if made in known else ""
            for source, (command, made) in sources(patterns).items()}  # fmt: skip
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as workers:
        said = list(workers.map(look_at, jobs.keys(), jobs.values()))
    findings = {part for text in said for part in re.split(r"\n(?=/)", text.strip()) if part}
    return report(sorted(finding.replace(f"{ROOT}/", "") for finding in findings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
