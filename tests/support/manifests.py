"""Small labelled cohorts on disk: real ECG files, or plain beats as WFDB, with their manifest."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgbatch.terms import LEADS
from tests.support.ecgs import heartbeats
from tests.support.experiments import experiment
from training.settings.experiment import Experiment

VESSELS = ("RCA", "LM", "LAD", "LCX")
COLUMNS: dict[str, Any] = {
    "patient": "patient_id",
    "ecg_path": "ecg_path",
    "vessels": {vessel: vessel for vessel in VESSELS},
    "ecg_at": "ecg_at",
    "ccta_at": "ccta_at",
}


def write_csv(path: Path, rows: Sequence[Mapping[str, object]], encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as opened:
        table = csv.DictWriter(opened, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


def row(patient: str, path: str, **changed: object) -> dict[str, object]:
    """A row whose ECG was made on 2 January 2020, three days before a CCTA without a lesion."""
    plain = {
        "patient_id": patient,
        "ecg_path": path,
        **dict.fromkeys(VESSELS, "none"),
        "ecg_at": "2020-01-02",
        "ccta_at": "2020-01-05",
    }
    return {**plain, **changed}


def write_ecg(folder: Path, name: str, seed: int, comment: str) -> None:
    """Beats as format 16, 1000 counts per mV; the wfdb library takes ten times as long."""
    counts = np.rint(heartbeats(seed) * 1000).astype("<i2")
    (folder / f"{name}.dat").write_bytes(counts.T.tobytes())
    lines = [
        f"{name}.dat 16 1000(0)/mV 16 0 {row[0]} {_checksum(row)} 0 {lead}"
        for lead, row in zip(LEADS, counts, strict=True)
    ]
    header = [f"{name} 12 500 5000", *lines, f"# {comment}", "# age: 61", "# sex: F", ""]
    (folder / f"{name}.hea").write_text("\n".join(header), encoding="ascii")


def _checksum(counts: NDArray[np.int16]) -> int:
    return int(counts.sum(dtype=np.int64)) % 65536


def of_beats(folder: Path, n: int) -> list[dict[str, object]]:
    """`n` WFDB records below `folder`, two per patient, and their rows; half the patients have a
    severe lesion of RCA and LAD."""
    (folder / "ecg").mkdir(parents=True)
    rows = []
    for number in range(n):
        patient = f"P{number // 2}"
        write_ecg(folder / "ecg", f"e{number}", number, f"subject_id: {patient}")
        grade = "severe" if number // 2 % 2 else "mild"
        at = f"2020-01-0{1 + number % 2}"
        rows.append(row(patient, f"ecg/e{number}.hea", RCA=grade, LAD=grade, ecg_at=at))
    return rows


def settings(labels: Mapping[str, Any] | None = None, **data: Any) -> Experiment:
    """An experiment whose `[data]` is these columns and what is given."""
    changed = {"columns": COLUMNS, **data}
    return experiment(data=changed, labels={"fewest_positives": 1, **(labels or {})})
