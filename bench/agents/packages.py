"""What the peer's client needs from PyPI, pinned in requirements.txt and kept apart from build/venv."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import ours

REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"


def provide() -> None:
    """Installs them once, and makes them importable."""
    key = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:10]
    folder = ours.BUILD / "bench-packages" / key
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check",
                        "--require-hashes", "--upgrade", "--target", str(partial), "-r", str(REQUIREMENTS)],
                       check=True)  # fmt: skip
        partial.rename(folder)
    sys.path.append(str(folder))
