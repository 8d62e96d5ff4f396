"""The run folder: one experiment's every file, by name; written whole or not at all."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import pandas as pd

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from training.terms import person

_UNFINISHED = ".unfinished"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where things lie in a run folder; makes nothing by itself.

    `data/private.parquet` (mode 0600) alone holds what the manifest says of who a patient is and
    where an ECG lies; nothing else in the folder leads back to a patient.
    """

    path: Path

    @property
    def settings(self) -> Path:
        """The experiment as it was resolved, JSON."""
        return self.path / "settings.json"

    @property
    def environment(self) -> Path:
        """Versions, machine, seeds, threads: JSON."""
        return self.path / "environment.json"

    @property
    def cohort(self) -> Path:
        return self.path / "data" / "cohort.parquet"

    @property
    def private(self) -> Path:
        """key, patient, path, row of the manifest."""
        return self.path / "data" / "private.parquet"

    @property
    def excluded(self) -> Path:
        """Row of the manifest, reason, detail: every ECG that is not in the cohort."""
        return self.path / "data" / "excluded.parquet"

    @property
    def data_report(self) -> Path:
        """Counts of ECGs, patients, grades, positives and exclusions: JSON."""
        return self.path / "data" / "report.json"

    @property
    def place(self) -> Path:
        """Which manifest it was, where the ECGs and the prepared arrays lie: JSON, mode 0600."""
        return self.path / "data" / "place.json"

    @property
    def cache(self) -> Path:
        """Prepared arrays, where the command line names no other place."""
        return self.path / "cache"

    @property
    def parts(self) -> Path:
        """key, part (of the final fit), fold: Parquet."""
        return self.path / "parts.parquet"

    @property
    def final(self) -> Path:
        """The fit that a bundle is made of; `fold(n)` is laid out alike."""
        return self.path / "final"

    def fold(self, number: int) -> Path:
        return self.path / "folds" / str(number)

    def predictions(self, name: str) -> Path:
        """`out_of_fold`, `cut`, `test`."""
        return self.path / "predictions" / f"{name}.parquet"

    @property
    def operating_points(self) -> Path:
        return self.path / "operating_points.json"

    def evaluation(self, name: str) -> Path:
        """The folder of one evaluation: metrics, figures, report."""
        return self.path / "evaluation" / name


@contextmanager
def readable(what: str) -> Iterator[None]:
    """Around the reading of a file of the run that is there.

    Raises:
        SetupFault: `run_folder_unfit`, it cannot be read or holds something else.
    """
    try:
        yield
    except (OSError, ValueError, KeyError):
        # pyarrow's own errors are of these kinds.
        raise SetupFault(ReasonCode.RUN_FOLDER_UNFIT, f"{what} is damaged") from None


def people(run: RunFolder) -> dict[str, str] | None:
    """Identifier of the patient of each ECG, by key, as `person` folds it; None where the private
    table is gone. For comparisons: it must not be written anywhere."""
    if not run.private.is_file():
        return None
    with readable("data/private.parquet"):
        private = pd.read_parquet(run.private, columns=["key", "identifier"])
    return dict(zip(private["key"], map(person, private["identifier"]), strict=True))


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file beside `path`, then put it in place: after a kill there is the old
    file or the new one, never half of one.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.name}.", suffix=_UNFINISHED, delete=False
    ) as opened:
        aside = Path(opened.name)
    try:
        write(aside)
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def clear_unfinished(folder: Path) -> None:
    """Remove what writes that a kill cut short have left; only where nothing else writes."""
    for aside in folder.glob(f".*{_UNFINISHED}"):
        aside.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """UTF-8, indented, keys in the order given, NaN refused; whole or not at all."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(path, lambda aside: aside.write_text(f"{text}\n", encoding="utf-8"))
