"""A synthetic cohort as files, written in blocks of patients by one or two processes.

A kill costs the blocks that were being written: a block's rows are put in place after its ECGs,
and the manifest after all blocks. What one run leaves, another one with the same arguments goes on
from, to the same bytes.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from training.settings.cohort import CohortSettings
from training.synthetic import manifest, muse_export
from training.synthetic.cohort import SyntheticEcg, draw_patient, ecgs_of
from training.synthetic.wfdb_record import HEADER, wfdb_record
from training.synthetic.workers import in_processes

if TYPE_CHECKING:
    from training.records import Progress

TABLE = "manifest.csv"
DESCRIPTION = "cohort.json"
"""The settings that the folder was written with; a folder with another one is left alone."""
GENERATOR = 2
"""Raised by hand when equal settings give other ECGs or other files."""
DOING = "writing patients"

Formats = Literal["wfdb", "muse", "both"]
"""`both`: MUSE for the share that the settings name, WFDB for the others."""

_BLOCK = 20
_FEWEST_BLOCKS = 4
"""Per process: fewer take less time than starting it."""
_IN_ONE_FOLDER = 200
_BLOCKS = ".blocks"


@dataclass(frozen=True, slots=True)
class Written:
    """What lies in the folder in the end, whichever run wrote it."""

    n_patients: int
    n_ecgs: int
    n_muse: int


def write_cohort(
    folder: Path,
    settings: CohortSettings,
    progress: "Progress",
    formats: Formats = "both",
    n_processes: int = 1,
) -> Written:
    """Write all patients' ECGs below `folder`, and `manifest.csv` beside them.

    Memory does not grow with the number of patients. The bytes depend on the settings alone,
    neither on `n_processes` nor on how often the writing was broken off.

    Args:
        folder: made if absent; empty, or begun with the same arguments.

    Raises:
        SetupFault: `settings_invalid`: something else is in the folder, or it cannot be written.
    """
    try:
        _claim(folder, settings, formats)
        if not (folder / TABLE).exists():
            _write_blocks(folder, settings, progress, formats, n_processes)
            _join(folder, settings.n_patients)
        _clear(folder)
        return _counted(folder / TABLE)
    except OSError:
        raise SetupFault(
            ReasonCode.SETTINGS_INVALID,
            "the output folder cannot be written: no permission, or its disk is full",
        ) from None


def _claim(folder: Path, settings: CohortSettings, formats: Formats) -> None:
    """Say in the folder what is written there, or see that it says the same."""
    description = {
        "synthetic": True,
        "generator": GENERATOR,
        "formats": formats,
        "cohort": settings.model_dump(mode="json"),
    }
    said = folder / DESCRIPTION
    if said.is_file():
        if _read(said) != json.loads(json.dumps(description)):
            raise SetupFault(
                ReasonCode.SETTINGS_INVALID, "the output folder holds a cohort of other settings"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    if any(path != _aside(said) for path in folder.iterdir()):
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "the output folder is not empty")
    _put(said, f"{json.dumps(description, indent=1)}\n".encode())


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


def _write_blocks(
    folder: Path,
    settings: CohortSettings,
    progress: "Progress",
    formats: Formats,
    n_processes: int,
) -> None:
    total, done = settings.n_patients, 0
    progress(DOING, done, total)
    arguments = (str(folder), settings.model_dump(mode="json"), formats)
    n_processes = max(1, min(n_processes, _n_blocks(total) // _FEWEST_BLOCKS))
    for n_patients in in_processes(_write_share, arguments, n_processes):
        done += n_patients
        progress(DOING, done, total)


def _n_blocks(n_patients: int) -> int:
    return -(-n_patients // _BLOCK)


def _write_share(
    arguments: tuple[str, dict[str, Any], Formats], rank: int, of: int
) -> Iterator[int]:
    """Write every block whose number is `rank` modulo `of`; yield how many patients are done.

    Settings come as plain values, which any start method can hand to a process.
    """
    folder, content, formats = Path(arguments[0]), arguments[1], arguments[2]
    settings = CohortSettings.model_validate(content)
    for block in range(rank, _n_blocks(settings.n_patients), of):
        patients = range(block * _BLOCK, min((block + 1) * _BLOCK, settings.n_patients))
        rows = _rows_of(folder, block)
        if rows.exists():
            yield len(patients)
            continue
        text = ""
        for index in patients:
            ecgs = ecgs_of(settings, draw_patient(settings, index))
            text += manifest.as_text(
                manifest.row(ecg, write_ecg(folder, ecg, formats)) for ecg in ecgs
            )
            yield 1
        _put(rows, text.encode("utf-8"))


def write_ecg(folder: Path, ecg: SyntheticEcg, formats: Formats) -> str:
    """Write one ECG; its path relative to `folder` (of a WFDB record the header's).

    Raises:
        OSError: the folder cannot be written.
    """
    place = Path("records") / f"{ecg.patient.index // _IN_ONE_FOLDER:05d}" / ecg.name
    as_muse = formats == "muse" or (formats == "both" and ecg.file_format == "muse")
    files = {muse_export.SUFFIX: muse_export.muse_export(ecg)} if as_muse else wfdb_record(ecg)
    for suffix, content in files.items():
        _put(folder / place.with_suffix(suffix), content)
    return place.with_suffix(muse_export.SUFFIX if as_muse else HEADER).as_posix()


def _put(path: Path, content: bytes) -> None:
    """Whole or not at all. What a kill leaves has the same name again, so nothing stays behind.

    Not flushed to the disk one by one: a cohort can be drawn again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(path)
    aside.write_bytes(content)
    aside.replace(path)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.part")


def _rows_of(folder: Path, block: int) -> Path:
    return folder / _BLOCKS / f"{block // 1000:04d}" / f"{block:07d}.csv"


def _join(folder: Path, n_patients: int) -> None:
    aside = _aside(folder / TABLE)
    with aside.open("w", encoding="utf-8", newline="") as opened:
        opened.write(manifest.as_text([manifest.COLUMNS]))
        for block in range(_n_blocks(n_patients)):
            opened.write(_rows_of(folder, block).read_text(encoding="utf-8"))
    aside.replace(folder / TABLE)


def _clear(folder: Path) -> None:
    """Remove the blocks' rows; the manifest has them."""
    blocks = folder / _BLOCKS
    for path in sorted(blocks.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
    if blocks.exists():
        blocks.rmdir()


def _counted(table: Path) -> Written:
    patients = n_ecgs = n_muse = 0
    last = ""
    with table.open(encoding="utf-8", newline="") as opened:
        for row in csv.DictReader(opened):
            patients += row["patient_id"] != last
            last = row["patient_id"]
            n_ecgs += 1
            n_muse += row["ecg_path"].endswith(muse_export.SUFFIX)
    return Written(patients, n_ecgs, n_muse)
