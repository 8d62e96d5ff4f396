"""The frozen values that cross between the trainer's parts, and their Parquet form."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ecgbatch.bundle.operating_points import Scope
from ecgbatch.terms import ANY_VESSEL, Stratum, Vessel
from training.terms import GRADES, NO_GRADE, Grade, Quantity

Labels = NDArray[np.float32]
"""(N, T): 1 positive, 0 negative, NaN missing (masked, never negative)."""
Grades = NDArray[np.int8]
"""(N, 4): code of the grade in GRADES, NO_GRADE where the vessel was not graded."""
Rows = NDArray[np.int64]
Array = NDArray[np.float64]

COVARIATES: dict[str, str] = {
    "sex": "string",
    "age_years": "float64",
    "device": "string",
    "site": "string",
    "statement_normal": "boolean",
    "pretest_probability": "float64",
    "ecg_at": "datetime64[s]",
    "ccta_at": "datetime64[s]",
    "gap_days": "float64",
    "event_at": "datetime64[s]",
    "death_at": "datetime64[s]",
    "followed_until": "datetime64[s]",
}
"""Columns of `Cohort.covariates` with their pandas types; each may be missing in any row.
sex is `female` or `male`."""


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Readable ECGs with labels, one row per ECG, in the manifest's order.

    Attributes:
        tasks: names of the columns of `labels`.
        keys: file digest of each ECG, unique.
        patients: a number in place of each patient's identifier, `p000001`; it means nothing
            outside the run.
        is_index: whether the ECG stands for its CCTA; the others are kept for repeatability.
        labels: (N, T); grades: (N, 4).
        covariates: N rows, the columns of COVARIATES.
        experimental: vessels left out of any vessel, by the settings or for want of positives.
    """

    tasks: tuple[str, ...]
    keys: tuple[str, ...] = field(repr=False)
    patients: tuple[str, ...] = field(repr=False)
    is_index: NDArray[np.bool_] = field(repr=False)
    labels: Labels = field(repr=False)
    grades: Grades = field(repr=False)
    covariates: pd.DataFrame = field(repr=False)
    experimental: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.keys)

    def at(self, rows: Rows) -> Self:
        """The same for some rows."""
        return type(self)(
            tasks=self.tasks,
            keys=tuple(self.keys[row] for row in rows),
            patients=tuple(self.patients[row] for row in rows),
            is_index=self.is_index[rows],
            labels=self.labels[rows],
            grades=self.grades[rows],
            covariates=self.covariates.iloc[rows].reset_index(drop=True),
            experimental=self.experimental,
        )

    def index_only(self) -> Self:
        return self.at(np.flatnonzero(self.is_index))

    def save(self, path: Path) -> None:
        """One Parquet file; grades as words, labels as `label_TASK`."""
        columns: dict[str, object] = {
            "key": self.keys,
            "patient": self.patients,
            "is_index": self.is_index,
        }
        for index, task in enumerate(self.tasks):
            columns[f"label_{task}"] = self.labels[:, index]
        for index, vessel in enumerate(Vessel):
            words = [
                None if code == NO_GRADE else GRADES[code].value for code in self.grades[:, index]
            ]
            columns[f"grade_{vessel}"] = pd.array(words, dtype="string")
        frame = pd.concat([pd.DataFrame(columns), self.covariates], axis=1)
        frame.attrs = {"tasks": list(self.tasks), "experimental": list(self.experimental)}
        frame.to_parquet(path, index=False)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises: OSError, the file is not there."""
        frame = pd.read_parquet(path)
        tasks = tuple(frame.attrs["tasks"])
        return cls(
            tasks=tasks,
            keys=tuple(frame["key"]),
            patients=tuple(frame["patient"]),
            is_index=frame["is_index"].to_numpy(dtype=bool),
            labels=frame[[f"label_{task}" for task in tasks]].to_numpy(dtype=np.float32),
            grades=np.column_stack([_codes(frame[f"grade_{vessel}"]) for vessel in Vessel]),
            covariates=frame[list(COVARIATES)].astype(COVARIATES),
            experimental=tuple(frame.attrs["experimental"]),
        )


def _codes(words: "pd.Series[str]") -> NDArray[np.int8]:
    return np.array(
        [NO_GRADE if pd.isna(word) else GRADES.index(Grade(word)) for word in words], dtype=np.int8
    )


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Logits of some ECGs of a cohort, none of which the weights behind them have seen.

    Attributes:
        keys: as in the cohort. logits: (N, T) float64, before any calibrator.
        origin: (N,) what made each row: `fold 0`, `final`, or a bundle's digest.
    """

    tasks: tuple[str, ...]
    keys: tuple[str, ...] = field(repr=False)
    logits: Array = field(repr=False)
    origin: tuple[str, ...] = field(repr=False)

    def save(self, path: Path) -> None:
        """Parquet: key, origin, `logit_TASK`."""
        columns: dict[str, object] = {"key": self.keys, "origin": self.origin}
        for index, task in enumerate(self.tasks):
            columns[f"logit_{task}"] = self.logits[:, index]
        pd.DataFrame(columns).to_parquet(path, index=False)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises: OSError, the file is not there."""
        frame = pd.read_parquet(path)
        names = [str(name) for name in frame.columns if str(name).startswith("logit_")]
        return cls(
            tasks=tuple(name.removeprefix("logit_") for name in names),
            keys=tuple(frame["key"]),
            logits=frame[names].to_numpy(dtype=np.float64),
            origin=tuple(frame["origin"]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """What an evaluation looks at: risks of the four vessels beside what the CCTA found.

    Attributes:
        name: what the data is called in every table and figure.
        keys: of the ECGs; patients: (N,) who each is of.
        probabilities: (N, 4) calibrated, in the order of Vessel.
        labels: (N, 4), NaN missing; grades: (N, 4), all NO_GRADE where there are none.
        covariates: N rows, the columns of COVARIATES.
        experimental: vessels left out of any vessel.
        is_synthetic: said on every table, figure and entry.
    """

    name: str
    keys: tuple[str, ...] = field(repr=False)
    patients: tuple[str, ...] = field(repr=False)
    probabilities: Array = field(repr=False)
    labels: Array = field(repr=False)
    grades: Grades = field(repr=False)
    covariates: pd.DataFrame = field(repr=False)
    experimental: tuple[Vessel, ...]
    is_synthetic: bool

    def __len__(self) -> int:
        return len(self.keys)

    def at(self, rows: Rows) -> Self:
        """The same for some rows."""
        return type(self)(
            name=self.name,
            keys=tuple(self.keys[row] for row in rows),
            patients=tuple(self.patients[row] for row in rows),
            probabilities=self.probabilities[rows],
            labels=self.labels[rows],
            grades=self.grades[rows],
            covariates=self.covariates.iloc[rows].reset_index(drop=True),
            experimental=self.experimental,
            is_synthetic=self.is_synthetic,
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One task (or any vessel) of a study, as the statistics take it.

    Attributes:
        labels: (N,) 1, 0 or NaN. scores: (N,) probabilities. patients: (N,).
    """

    labels: Array
    scores: Array
    patients: Sequence[str] = field(repr=False)

    def known(self) -> "Task":
        """Without the ECGs whose label is missing."""
        return self.at(np.flatnonzero(np.isfinite(self.labels)))

    def at(self, rows: Rows) -> "Task":
        return Task(self.labels[rows], self.scores[rows], [self.patients[row] for row in rows])


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of an evaluation.

    Attributes:
        scope: `macro` is the mean over the vessels that are not experimental.
        group: `overall`, or a subgroup such as `sex: female`.
        cut: `low` or `high`, for what is measured at a cut: at or above it against below it.
        stratum: for what is measured within one stratum.
        at: a day, or the prevalence that PPV and NPV are stated at.
    """

    scope: Scope | Literal["macro"]
    quantity: Quantity
    estimate: Estimate
    n: int
    n_positives: int
    group: str = "overall"
    cut: Literal["low", "high"] | None = None
    stratum: Stratum | None = None
    at: float | None = None


_MEASURE_COLUMNS = {
    "scope": "string",
    "quantity": "string",
    "group": "string",
    "cut": "string",
    "stratum": "string",
    "at": "float64",
    "value": "float64",
    "low": "float64",
    "high": "float64",
    "n": "int64",
    "n_positives": "int64",
}


def save_measures(path: Path, measures: Sequence[Measure]) -> None:
    """Parquet, a row per measure in the order given; what does not apply is missing."""
    rows = [
        {
            "scope": str(one.scope),
            "quantity": one.quantity.value,
            "group": one.group,
            "cut": one.cut,
            "stratum": one.stratum,
            "at": one.at,
            "value": one.estimate.value,
            "low": one.estimate.low,
            "high": one.estimate.high,
            "n": one.n,
            "n_positives": one.n_positives,
        }
        for one in measures
    ]
    frame = pd.DataFrame(rows, columns=list(_MEASURE_COLUMNS)).astype(_MEASURE_COLUMNS)
    frame.to_parquet(path, index=False)


def load_measures(path: Path) -> tuple[Measure, ...]:
    """Raises: OSError, the file is not there."""
    frame = pd.read_parquet(path)
    return tuple(_measure(row) for row in frame.to_dict("records"))


def _scope(word: str) -> Scope | Literal["macro"]:
    if word == ANY_VESSEL:
        return "any_vessel"
    return "macro" if word == "macro" else Vessel(word)


def _measure(row: Mapping[Hashable, Any]) -> Measure:
    return Measure(
        scope=_scope(str(row["scope"])),
        quantity=Quantity(row["quantity"]),
        estimate=Estimate(float(row["value"]), float(row["low"]), float(row["high"])),
        n=int(row["n"]),
        n_positives=int(row["n_positives"]),
        group=str(row["group"]),
        cut=None if pd.isna(row["cut"]) else row["cut"],
        stratum=None if pd.isna(row["stratum"]) else Stratum(row["stratum"]),
        at=None if pd.isna(row["at"]) else float(row["at"]),
    )


Progress = Callable[[str, int, int], None]
"""(what is being done, how much is done, of how much)."""


class Inputs(Protocol):
    """Prepared arrays of a cohort, in its order; in memory or mapped from a file."""

    def __len__(self) -> int: ...

    def take(self, rows: Rows) -> NDArray[np.float32]:
        """(B, 12, 5000), a copy."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ArrayInputs:
    """Inputs held in memory: (N, 12, 5000)."""

    signals: NDArray[np.float32] = field(repr=False)

    def __len__(self) -> int:
        return len(self.signals)

    def take(self, rows: Rows) -> NDArray[np.float32]:
        return self.signals[rows]
