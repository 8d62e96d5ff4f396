"""Figures on docs/reliability.md: the block between two marks is what a command measured."""

import datetime
import os
import re
from collections.abc import Sequence
from pathlib import Path

_PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"


def write_figures(name: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Replace the block of this name by a table and where and when it was measured."""
    lines = [headings, ["---"] * len(headings), *rows]
    table = "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
    cores = len(os.sched_getaffinity(0))
    today = datetime.datetime.now(tz=datetime.UTC).date()
    block = f"<!-- {name} -->\n{table}\n\nMeasured on {today}, {cores} cores.\n<!-- end -->"
    text = _PAGE.read_text(encoding="utf-8")
    new, n_replaced = re.subn(rf"<!-- {name} -->.*?<!-- end -->", block, text, flags=re.DOTALL)
    if n_replaced != 1:
        raise LookupError(name)
    _PAGE.write_text(new, encoding="utf-8")
