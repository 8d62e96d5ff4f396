"""The table of evidence of our own: what `evaluate` measured on patients, as published."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode, Vessel
from training.evaluation.wording import interval
from training.folder import write_whole
from training.records import Measure
from training.terms import Quantity

Column = Literal["internal", "external"]
BEGIN, END = "<!-- evidence:begin -->", "<!-- evidence:end -->"
ABSENT = "not yet available on clinical data"
HEAD = ("vessel", "internal", "external", "normal-ECG")
_NORMAL = "normal ECG: yes"
_ROW = re.compile(r"^\| *(RCA|LM|LAD|LCX) *\|([^|]*)\|([^|]*)\|([^|]*)\|$", re.MULTILINE)


def fill(path: Path, measures: Sequence[Measure], column: Column, *, is_clinical: bool) -> None:
    """Put the areas of a study into the table between the marks; nothing else is touched.

    `internal` or `external` from all its ECGs; `normal-ECG` from those whose statement is normal.

    Args:
        is_clinical: neither the ECGs nor the training of the bundle are synthetic.

    Raises:
        SetupFault: `settings_invalid`: the study is not clinical, or the file has no marks.
    """
    if not is_clinical:
        fact = "the table of evidence is for clinical data; this one is synthetic, or not called so"
        raise SetupFault(ReasonCode.SETTINGS_INVALID, fact)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "the evidence cannot be read") from None
    filled = filled_text(text, measures, column)
    write_whole(path, lambda aside: aside.write_text(filled, encoding="utf-8"))


def filled_text(text: str, measures: Sequence[Measure], column: Column) -> str:
    """The file's text with the table renewed; cells that this study does not measure stay.

    Raises:
        SetupFault: `settings_invalid`, no marked block.
    """
    start, stop = text.find(BEGIN), text.find(END)
    if start < 0 or stop < start:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, f"no {BEGIN} and {END} in this order")
    rows = _rows(text[start:stop])
    for vessel in Vessel:
        for name, normal in ((column, False), ("normal-ECG", True)):
            if (cell := _cell(measures, vessel, normal=normal)) is not None:
                rows[vessel][name] = cell
    lines = [f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD)]
    lines += [
        f"| {vessel} | " + " | ".join(rows[vessel][name] for name in HEAD[1:]) + " |"
        for vessel in Vessel
    ]
    return text[: start + len(BEGIN)] + "\n" + "\n".join(lines) + "\n" + text[stop:]


def _rows(block: str) -> dict[Vessel, dict[str, str]]:
    rows = {vessel: dict.fromkeys(HEAD[1:], ABSENT) for vessel in Vessel}
    for found in _ROW.finditer(block):
        cells = (found[place].strip() for place in (2, 3, 4))
        rows[Vessel(found[1])] = dict(zip(HEAD[1:], cells, strict=True))
    return rows


def _cell(measures: Sequence[Measure], vessel: Vessel, *, normal: bool) -> str | None:
    """`0.744 (0.712 to 0.776), 310 positive`."""
    for one in measures:
        belongs = one.group == (_NORMAL if normal else "overall")
        if one.scope == vessel and one.quantity is Quantity.AUROC and belongs:
            return f"{interval(one.estimate)}, {one.n_positives:,} positive"
    return None
