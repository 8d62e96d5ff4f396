"""Where the last figures are kept, with machine and date: `benchmarks/results/NAME.json`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def keep(name: str, answer: Mapping[str, object]) -> None:
    FOLDER.mkdir(exist_ok=True)
    _path(name).write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")


def last(name: str) -> dict[str, Any] | None:
    """The figures that were kept last; None if none were."""
    if not _path(name).is_file():
        return None
    answer: dict[str, Any] = json.loads(_path(name).read_text(encoding="utf-8"))
    return answer


def _path(name: str) -> Path:
    return FOLDER / f"{name}.json"
