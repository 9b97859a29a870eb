"""Which setting of the peer is measured for each workload: the best of those that were tried."""

from __future__ import annotations

import json
from pathlib import Path

from agents.llama import Setting
from agents.table import Workload

FILE = Path(__file__).resolve().parent / "peer_settings.json"


def _tried() -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = json.loads(FILE.read_text()) if FILE.exists() else {}
    return found


def chosen(workload: Workload) -> Setting:
    """The best one; the first where none was tried."""
    rates = _tried().get(workload.name, {})
    return max(workload.settings, key=lambda setting: rates.get(setting.name, 0.0))


def keep(workload: Workload, rates: dict[str, float]) -> None:
    """Writes what was found, in tokens per second."""
    tried = _tried()
    tried[workload.name] = rates
    FILE.write_text(json.dumps(tried, indent=1) + "\n")
