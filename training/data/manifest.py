"""The site's table, read strictly: every cell a value, a missing value, or a fault with its row."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode, Vessel
from training.data import cells
from training.data.cells import CellFaults, Moment
from training.data.sheet import Cell, Sheet
from training.records import COVARIATES, Array, Grades, Labels
from training.settings.data import BinaryTask, DataSettings, LabelSettings
from training.terms import GRADES, NO_GRADE, Grade

Moments = tuple[Moment | None, ...]

_TEXTS = ("device", "site")
_TIMES = ("ecg_at", "ccta_at", "revascularised_at", "event_at", "death_at", "followed_until")
_VALUES: dict[str, Callable[[Cell], Any]] = {
    "sex": cells.sex_of,
    "age_years": cells.age_of,
    "statement_normal": cells.truth_of,
    "pretest_probability": cells.probability_of,
    "gap_days": cells.number_of,
}


@dataclass(frozen=True, slots=True, eq=False)
class Manifest:
    """The table's rows, in its order.

    Attributes:
        rows: number of each row; the header is row 1.
        patients: identifiers as the site writes them; paths: None where the row has no ECG.
        labels: (N, T); grades: (N, 4).
        covariates: N rows, the columns of COVARIATES; of a column that the manifest does not have
            all is missing. `mapped` names those that it has.
        digest: SHA-256 of the file.
    """

    rows: tuple[int, ...]
    patients: tuple[str, ...] = field(repr=False)
    paths: tuple[str | None, ...] = field(repr=False)
    tasks: tuple[str, ...]
    labels: Labels = field(repr=False)
    grades: Grades = field(repr=False)
    ecg_at: Moments = field(repr=False)
    ccta_at: Moments = field(repr=False)
    revascularised_at: Moments = field(repr=False)
    gap_days: Array = field(repr=False)
    covariates: pd.DataFrame = field(repr=False)
    mapped: frozenset[str]
    digest: str

    def __len__(self) -> int:
        return len(self.rows)


def parse_manifest(
    sheet: Sheet,
    settings: DataSettings,
    labels: LabelSettings,
    is_placeholder: Callable[[str], bool],
) -> Manifest:
    """Every mapped column of the sheet.

    Raises:
        SetupFault: `manifest_invalid`: a mapped column is not there, or a cell holds what cannot
            be; the first such cells are named by row and column, never by their content.
    """
    reader = _Reader(sheet, settings)
    reader.refuse_absent(labels)
    patients, paths = reader.patients(is_placeholder), reader.texts("ecg_path")
    graded, judged = reader.grades(), reader.binary(labels.binary)
    times = {name: reader.moments(name) for name in _TIMES}
    values = {name: reader.values(name, parse) for name, parse in _VALUES.items()}
    values |= {name: reader.texts(name) for name in _TEXTS}
    if settings.gap_is == "absolute":
        reader.refuse_negative(values["gap_days"])
    reader.faults.refuse()
    return Manifest(
        rows=sheet.rows,
        patients=tuple(patients),
        paths=tuple(paths),
        tasks=task_names(labels),
        labels=judged if labels.binary else labels_of(graded, labels),
        grades=graded,
        ecg_at=times["ecg_at"],
        ccta_at=times["ccta_at"],
        revascularised_at=times["revascularised_at"],
        gap_days=np.array(values["gap_days"], dtype=np.float64),
        covariates=_covariates(values, times),
        mapped=frozenset(reader.mapped),
        digest=sheet.digest,
    )


def task_names(labels: LabelSettings) -> tuple[str, ...]:
    """The four vessels, or the tasks of an intermediate stage."""
    return tuple(task.name for task in labels.binary) or tuple(vessel.value for vessel in Vessel)


def labels_of(grades: Grades, labels: LabelSettings) -> Labels:
    """(N, 4): 1 from the vessel's own grade upwards, 0 below, NaN where it was not graded."""
    least = np.array([GRADES.index(labels.positive_from[vessel]) for vessel in Vessel])
    positive = (grades >= least).astype(np.float32)
    return np.where(grades == NO_GRADE, np.float32(np.nan), positive)


def _covariates(values: dict[str, list[Any]], times: dict[str, Moments]) -> pd.DataFrame:
    columns: dict[str, list[Any]] = {}
    for name in COVARIATES:
        if name in times:
            columns[name] = [moment and moment.at for moment in times[name]]
        else:
            columns[name] = values[name]
    return pd.DataFrame(columns, dtype=object).astype(COVARIATES)


class _Reader:
    """One sheet under one mapping; faults are gathered on the way."""

    def __init__(self, sheet: Sheet, settings: DataSettings) -> None:
        self._sheet = sheet
        self._settings = settings
        self._missing = {cells.folded(word) for word in settings.missing_words}
        self.faults = CellFaults()
        mapping = settings.columns.model_dump(exclude={"vessels"})
        self.mapped = {name: column for name, column in mapping.items() if column is not None}

    def refuse_absent(self, labels: LabelSettings) -> None:
        wanted = {f"data.columns.{name}": column for name, column in self.mapped.items()}
        for vessel, column in self._settings.columns.vessels.items():
            wanted[f"data.columns.vessels.{vessel}"] = column
        for task in labels.binary:
            wanted[f"labels.binary, {task.name}"] = task.column
        absent = [
            f"{column} ({key})"
            for key, column in wanted.items()
            if column.strip() not in self._sheet.columns
        ]
        if absent:
            raise SetupFault(ReasonCode.MANIFEST_INVALID, f"no column {', '.join(absent)}")

    def _column(self, column: str, parse: Callable[[Cell], Any], missing: bool = True) -> list[Any]:
        return cells.read_column(
            self._sheet.columns[column.strip()],
            self._sheet.rows,
            column,
            parse,
            self.faults,
            missing=self._missing if missing else (),
        )

    def values(self, name: str, parse: Callable[[Cell], Any], missing: bool = True) -> list[Any]:
        if name not in self.mapped:
            return [None] * len(self._sheet)
        return self._column(self.mapped[name], parse, missing)

    def texts(self, name: str) -> list[Any]:
        return self.values(name, cells.text_of)

    def patients(self, is_placeholder: Callable[[str], bool]) -> list[Any]:
        column = self.mapped["patient"]
        before = self.faults.n_found
        found = self.values(
            "patient", lambda cell: cells.identifier_of(cell, is_placeholder), missing=False
        )
        if self.faults.n_found == before:
            for row, value in zip(self._sheet.rows, found, strict=True):
                if value is None:
                    self.faults.add(row, column, "empty")
        return found

    def moments(self, name: str) -> Moments:
        return tuple(self.values(name, cells.moment_reader(self._settings.date_formats)))

    def grades(self) -> NDArray[np.int8]:
        """(N, 4) codes."""
        words = {cells.folded(word): grade for word, grade in self._settings.grades.items()}
        read = cells.word_in(words, "grade of data.grades")
        coded = np.full((len(self._sheet), len(Vessel)), NO_GRADE, dtype=np.int8)
        for place, vessel in enumerate(Vessel):
            if column := self._settings.columns.vessels.get(vessel):
                found: list[Grade | None] = self._column(column, read)
                coded[:, place] = [
                    NO_GRADE if grade is None else GRADES.index(grade) for grade in found
                ]
        return coded

    def binary(self, tasks: tuple[BinaryTask, ...]) -> Labels:
        """(N, T) of an intermediate stage's tasks."""
        columns = []
        for task in tasks:
            words = dict.fromkeys(map(cells.folded, task.negative), 0.0)
            words |= dict.fromkeys(map(cells.folded, task.positive), 1.0)
            read = cells.word_in(words, f"word of labels.binary, {task.name}")
            columns.append(self._column(task.column, read))
        return np.array(columns, dtype=np.float32).T

    def refuse_negative(self, gaps: list[Any]) -> None:
        for row, gap in zip(self._sheet.rows, gaps, strict=True):
            if gap is not None and gap < 0:
                self.faults.add(
                    row, self.mapped["gap_days"], 'negative; set data.gap_is = "signed"'
                )
