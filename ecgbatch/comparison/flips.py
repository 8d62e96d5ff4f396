"""What changes if the challenger took the champion's place: strata that flip, risks that shift."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgbatch.comparison.agreement import Interval, kappa, mean_interval, share_interval
from ecgbatch.store.pairs import Pair
from ecgbatch.terms import ANY_VESSEL, Stratum, Vessel

TASKS = (*(vessel.value for vessel in Vessel), ANY_VESSEL)
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_STRATA = tuple(Stratum)


@dataclass(frozen=True, slots=True)
class Flips:
    """One task over the ECGs that both bundles have scored.

    Attributes:
        n_ecgs: scored by both. n_patients: their patients; an ECG of nobody known counts as one.
        counts: 3 x 3, champion's stratum in rows, challenger's in columns: low, intermediate,
            high; ECGs without a stratum from both are in none.
        agreement: share of the same stratum among those counted; None if none is.
        agreement_ci: Wilson's, with the number of ECGs reduced by the design effect of patients.
        kappa: Cohen's; None if nothing is counted or chance alone agrees.
        mean_shift: of challenger minus champion probability, -1..1; `mean_shift_ci` has patients
            as units. `quantiles`: of the shift, at `QUANTILES`.
        become_high, leave_high: ECGs that are high under the challenger alone, the champion alone.
    """

    task: str
    n_ecgs: int
    n_patients: int
    counts: tuple[tuple[int, int, int], ...]
    agreement: float | None
    agreement_ci: Interval | None
    kappa: float | None
    mean_shift: float
    mean_shift_ci: Interval | None
    mean_abs_shift: float
    quantiles: tuple[float, ...]
    become_high: int
    leave_high: int


def flips(pairs: Iterable[Pair]) -> tuple[Flips, ...]:
    """Every task that there are pairs of, in bundle order, any vessel last."""
    of_task: dict[str, list[Pair]] = {task: [] for task in TASKS}
    for pair in pairs:
        of_task[pair.task].append(pair)
    return tuple(_of(task, found) for task, found in of_task.items() if found)


def shifts(pairs: Iterable[Pair]) -> NDArray[np.float64]:
    """Challenger minus champion probability of each pair."""
    return np.array([pair.challenger_risk - pair.champion_risk for pair in pairs], np.float64)


def _of(task: str, pairs: Sequence[Pair]) -> Flips:
    clusters = _clusters(pairs)
    counts = np.zeros((len(_STRATA), len(_STRATA)), np.int64)
    before = np.array([_rank(pair.champion_stratum) for pair in pairs])
    after = np.array([_rank(pair.challenger_stratum) for pair in pairs])
    has_both = (before >= 0) & (after >= 0)
    np.add.at(counts, (before[has_both], after[has_both]), 1)
    is_same = (before == after)[has_both]
    shift = shifts(pairs)
    high = len(_STRATA) - 1
    return Flips(
        task=task,
        n_ecgs=len(pairs),
        n_patients=int(np.unique(clusters).size),
        counts=tuple((int(low), int(middle), int(top)) for low, middle, top in counts),
        agreement=float(is_same.mean()) if is_same.size else None,
        agreement_ci=share_interval(is_same, clusters[has_both]),
        kappa=kappa(counts),
        mean_shift=float(shift.mean()),
        mean_shift_ci=mean_interval(shift, clusters),
        mean_abs_shift=float(np.abs(shift).mean()),
        quantiles=tuple(float(value) for value in np.quantile(shift, QUANTILES)),
        become_high=int(counts[:high, high].sum()),
        leave_high=int(counts[high, :high].sum()),
    )


def _rank(stratum: Stratum | None) -> int:
    return -1 if stratum is None else _STRATA.index(stratum)


def _clusters(pairs: Sequence[Pair]) -> NDArray[np.int64]:
    """A number per patient; an ECG of nobody known is a patient of its own."""
    numbers: dict[object, int] = {}
    keys = [pair.patient_key or pair.recording_id for pair in pairs]
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
