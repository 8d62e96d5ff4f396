"""Where the last figures are kept, with machine and date: `benchmarks/results/NAME.json`."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.say import last_line

FOLDER = Path(__file__).parent / "results"


def parser(description: str, quick: str) -> argparse.ArgumentParser:
    """With `--quick`, to try it, and `--write`.

    Args:
        quick: what that leaves out.
    """
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--quick", action="store_true", help=quick)
    made.add_argument("--write", action="store_true", help="keep in benchmarks/results")
    return made


def parsed(of: argparse.ArgumentParser) -> argparse.Namespace:
    """Ends the program where a quick run shall be kept."""
    options = of.parse_args()
    if options.quick and options.write:
        of.error("a quick run is not kept")
    return options


def tell(name: str, figures: Mapping[str, object], *, is_kept: bool) -> None:
    """Name, machine and figures as the last line; kept too, if that was asked for."""
    answer = {"benchmark": name, "machine": machine.describe(), **figures}
    if is_kept:
        keep(name, answer)
    last_line(answer)


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
