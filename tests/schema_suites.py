"""The suites of JSON Schemas. They are no part of the repository: shared/data has them."""

from __future__ import annotations

import gzip
import json
from typing import Any

from tests.conftest import ROOT

SUITES = ("maskbench", "json-schema-2020-12")
FOLDERS = (ROOT / "shared" / "data", ROOT.parent / "shared" / "data")


def suite(name: str) -> list[dict[str, Any]]:
    """Its schemas, each with valid and invalid instances; FileNotFoundError where it is not there."""
    for folder in FOLDERS:
        file = folder / f"{name}.jsonl.gz"
        if file.exists():
            with gzip.open(file, "rt") as lines:
                return [json.loads(line) for line in lines]
    raise FileNotFoundError(f"[schemas] got no {name}.jsonl.gz, expected one in shared/data")


def name_of(case: dict[str, Any]) -> str:
    """How messages call a schema of a suite."""
    return str(case.get("name") or f"{case['file']}: {case['description']}")
