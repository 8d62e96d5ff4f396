"""From dates to time under observation: one ECG per patient, a landmark, and what is left out."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from training.evaluation.competing import Ending, Endings
from training.records import Array, Rows, Study
from training.settings.evaluation import IncidenceSettings


@dataclass(frozen=True, slots=True, eq=False)
class FollowUp:
    """Patients under observation at the landmark, one row of the study each.

    Attributes:
        rows: of the study. days: since the ECG, all past the landmark. endings: codes of Ending.
        has_deaths: whether the study states any death; else deaths cannot compete.
        n_blanked: patients whose event by the landmark counts as none.
        n_unobserved: events and deaths dated after `followed_until`, which do not count.
        left_out: reason and number of patients.
        faults: ECG (first digits of its key), fault, days: dates that contradict the ECG's.
    """

    rows: Rows = field(repr=False)
    days: Array = field(repr=False)
    endings: Endings = field(repr=False)
    has_deaths: bool
    n_blanked: int
    n_unobserved: int
    left_out: dict[str, int]
    faults: pd.DataFrame = field(repr=False)


def follow_up(study: Study, settings: IncidenceSettings) -> FollowUp:
    """Time under observation from the first ECG of each patient, in calendar days.

    Dates are compared as days, so that a table that holds days and one that holds times agree.
    A date before the ECG is a fault: listed and left out, never made positive. Everyone starts
    at the landmark (`blanking_days`); an event by then belongs to the ECG and counts as none,
    and the patient is followed on; who has died or left by then is not at risk.
    """
    rows, n_undated = _first_dated(study)
    days = _days_since(study.covariates, rows)
    wrong = _faults(days)
    ended = _ended(days, settings)
    has_no_end = np.isnan(ended.days) & ~wrong.any(axis=1).to_numpy()
    is_early = ended.days <= settings.blanking_days
    is_wrong = wrong.any(axis=1).to_numpy()
    kept = ~is_wrong & ~has_no_end & ~is_early
    return FollowUp(
        rows=rows[kept],
        days=ended.days[kept],
        endings=ended.endings[kept],
        has_deaths=bool(study.covariates["death_at"].notna().any()),
        n_blanked=int((ended.blanked & kept).sum()),
        n_unobserved=int((ended.unobserved & kept).sum()),
        left_out={
            "no date of the ECG": n_undated,
            "a date before the ECG, or an event after death": int(is_wrong.sum()),
            "no end of observation": int(has_no_end.sum()),
            "died or left by the landmark": int((is_early & ~is_wrong).sum()),
        },
        faults=_listed(study, rows, days, wrong),
    )


def _first_dated(study: Study) -> tuple[Rows, int]:
    """Each patient's first ECG with a date, and how many patients have none."""
    at = study.covariates["ecg_at"].reset_index(drop=True)
    frame = pd.DataFrame({"patient": list(study.patients), "at": at})
    dated = frame.dropna(subset="at").sort_values("at", kind="stable")
    rows = dated.drop_duplicates("patient").index.to_numpy(dtype=np.int64)
    return np.sort(rows), frame["patient"].nunique() - len(rows)


def _days_since(covariates: pd.DataFrame, rows: Rows) -> pd.DataFrame:
    """event, death, followed: days since the ECG, NaN where there is no date."""
    part = covariates.iloc[rows]
    start = part["ecg_at"].dt.normalize()
    columns = {"event": "event_at", "death": "death_at", "followed": "followed_until"}
    found = {
        name: (part[column].dt.normalize() - start).dt.days.to_numpy(dtype=np.float64)
        for name, column in columns.items()
    }
    return pd.DataFrame(found)


def _faults(days: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "event before the ECG": days["event"] < 0,
            "death before the ECG": days["death"] < 0,
            "end of observation before the ECG": days["followed"] < 0,
            "event after death": days["event"] > days["death"],
        }
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Ended:
    days: Array
    endings: Endings
    blanked: Array
    unobserved: Array


def _ended(days: pd.DataFrame, settings: IncidenceSettings) -> _Ended:
    event, death, followed = (days[name].to_numpy() for name in ("event", "death", "followed"))
    blanked = event <= settings.blanking_days
    event = np.where(blanked, np.nan, event)
    # Where no end is stated, death is one. An event is none: to follow those with an event and
    # leave out those without one would make the incidence as large as one likes.
    until = np.where(np.isnan(followed), death, followed)
    unobserved = (event > until) | (death > until)
    until = np.minimum(until, settings.censor_days)
    endings = np.zeros(len(days), dtype=np.int8)
    endings[death <= until] = Ending.DEATH
    endings[event <= until] = Ending.EVENT
    last = np.where(endings == Ending.DEATH, death, until)
    last = np.where(endings == Ending.EVENT, event, last)
    return _Ended(last, endings, blanked, unobserved)


def _listed(study: Study, rows: Rows, days: pd.DataFrame, wrong: pd.DataFrame) -> pd.DataFrame:
    columns = {
        "event before the ECG": "event",
        "death before the ECG": "death",
        "end of observation before the ECG": "followed",
        "event after death": "event",
    }
    found = [
        (study.keys[rows[place]][:12], fault, float(days[columns[fault]].iloc[place]))
        for fault in wrong.columns
        for place in np.flatnonzero(wrong[fault])
    ]
    return pd.DataFrame(found, columns=["ECG", "fault", "days after the ECG"])
