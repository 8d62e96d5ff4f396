"""A synthetic cohort as files: one WFDB record per ECG and one table of grades."""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path

import wfdb

from ecgbatch.errors import SetupFault
from ecgbatch.terms import LEADS, SAMPLING_FREQUENCY, ReasonCode, Vessel
from training.synthetic.cohort import COUNTS_PER_MV, SyntheticEcg

TABLE = "manifest.csv"
COLUMNS = ("patient_id", "ecg_path", "acquired_at", "age_years", "sex", *Vessel)


def write_cohort(folder: Path, ecgs: Iterable[SyntheticEcg], on_written: Callable[[], None]) -> int:
    """Write every ECG below `folder`, and `manifest.csv` beside them.

    The table holds one row per ECG: patient, path relative to `folder`, wall clock, age, sex and
    the grade of each vessel (empty where not assessable).

    Args:
        folder: made if absent; must be empty.

    Returns:
        How many ECGs were written.

    Raises:
        SetupFault: `settings_invalid`, the folder is not empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "the output folder is not empty")
    n_written = 0
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as opened:
        table = csv.writer(opened, lineterminator="\n")
        table.writerow(COLUMNS)
        for ecg in ecgs:
            table.writerow(_row(ecg, write_record(folder, ecg)))
            on_written()
            n_written += 1
    return n_written


def write_record(folder: Path, ecg: SyntheticEcg) -> Path:
    """Write one WFDB record (format 16) and return its header's path relative to `folder`."""
    place = Path("records") / f"{ecg.patient.index // 1000:04d}"
    (folder / place).mkdir(parents=True, exist_ok=True)
    n_leads = len(LEADS)
    wfdb.wrsamp(
        ecg.name,
        fs=SAMPLING_FREQUENCY,
        units=["mV"] * n_leads,
        sig_name=list(LEADS),
        d_signal=ecg.counts.T,
        fmt=["16"] * n_leads,
        adc_gain=[float(COUNTS_PER_MV)] * n_leads,
        baseline=[0] * n_leads,
        comments=[
            f"Age: {ecg.patient.age_years:.0f}",
            f"Sex: {_sex(ecg)}",
            "synthetic ECG, no patient",
        ],
        base_date=ecg.acquired_at.date(),
        base_time=ecg.acquired_at.time(),
        write_dir=str(folder / place),
    )
    return place / f"{ecg.name}.hea"


def _row(ecg: SyntheticEcg, path: Path) -> tuple[str, ...]:
    patient = ecg.patient
    return (
        patient.patient_id,
        path.as_posix(),
        ecg.acquired_at.isoformat(timespec="seconds"),
        f"{patient.age_years:.1f}",
        _sex(ecg),
        *("" if grade is None else grade.value for grade in patient.grades),
    )


def _sex(ecg: SyntheticEcg) -> str:
    return "Female" if ecg.patient.is_female else "Male"
