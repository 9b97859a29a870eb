"""The short form of each reliability program; `make crash` and `make soak` run the long ones."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import ROOT

SEED = "20261124"
PROGRAMS = ["attackers", "client_messages", "crash", "cross_user", "environments", "fault_injection",
            "hostile_calls", "soak", "state_machine"]  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS)
def test_short_form(program: str) -> None:
    command = [sys.executable, "-m", f"tests.reliability.{program}", "--short", "--seed", SEED]
    done = subprocess.run(command, cwd=ROOT, text=True, check=False, timeout=160,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    again = f"\nagain: {' '.join(command)}"
    assert done.returncode == 0, done.stdout[-8000:] + again
    assert done.stdout.rstrip().endswith("0 lost, 0 leaked, 0 crashed"), done.stdout[-8000:] + again
