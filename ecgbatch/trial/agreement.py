"""How far one runtime's answers are from the reference's, and which runtime to take."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ecgbatch.bundle.calibration import calibrate, sigmoid
from ecgbatch.bundle.golden import Logits
from ecgbatch.bundle.manifest import Manifest
from ecgbatch.records import Assessment, Risk
from ecgbatch.store.recordings import same_risk
from ecgbatch.strata import stratify
from ecgbatch.terms import Numerics

LEAST_AGREEMENT = 0.995
"""Of the strata, for bf16 to be recommended."""
LEAST_STRATA = 200
"""Of fewer, one that changes is more than the 0.5 % that may, so they cannot show it."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """One runtime and precision against plain PyTorch in fp32, over the same ECGs.

    Attributes:
        max_difference, p99_difference: of a probability, over all ECGs and tasks.
        n_strata: compared: those of each task that has cuts, and of any vessel.
        n_changed: of them, how many are another stratum.
        n_unmarked: of the changed ones of a task, those that are not `near_cut`.
        near_cut: share of the ECGs with a task that is `near_cut`.
    """

    max_difference: float
    p99_difference: float
    n_strata: int
    n_changed: int
    n_unmarked: int
    near_cut: float

    @property
    def strata(self) -> float:
        """Share of the strata that are the same."""
        return 1.0 - self.n_changed / self.n_strata


@dataclass(frozen=True, slots=True)
class Row:
    """What a runtime did here; its golden logits passed.

    Attributes:
        agreement: None where the reference itself could not be computed.
    """

    runtime: str
    precision: Numerics
    ecgs_per_s: float
    agreement: Agreement | None


def compare(reference: Logits, logits: Logits, manifest: Manifest, numerics: Numerics) -> Agreement:
    """Both (n, n_tasks), n at least 1; the reference is of fp32.

    Raises:
        InputFault: `result_not_finite`.
        SetupFault: as `stratify`.
    """
    expected = [_assessed(row, manifest, Numerics.FP32) for row in reference]
    got = [_assessed(row, manifest, numerics) for row in logits]
    differences = np.abs(_probabilities(got) - _probabilities(expected))
    pairs = [
        (one, other)
        for before, after in zip(expected, got, strict=True)
        for one, other in zip(before.tasks, after.tasks, strict=True)
        if one.stratum is not None
    ]
    changed = [other for one, other in pairs if one.stratum != other.stratum]
    n_any = sum(
        before.any_vessel_stratum != after.any_vessel_stratum
        for before, after in zip(expected, got, strict=True)
    )
    return Agreement(
        max_difference=float(differences.max()),
        p99_difference=float(np.quantile(differences, 0.99)),
        n_strata=len(pairs) + len(got),
        n_changed=len(changed) + n_any,
        n_unmarked=sum(not one.near_cut for one in changed),
        near_cut=float(np.mean([any(task.near_cut for task in one.tasks) for one in got])),
    )


def why_not(row: Row) -> str | None:
    """What speaks against recommending it, in words; None: nothing."""
    seen = row.agreement
    if seen is None:
        return "there is nothing to compare it with"
    if row.precision is Numerics.FP32:
        return None
    if seen.max_difference > (allowed := same_risk(row.precision)):
        return f"a probability differs by {seen.max_difference:.1e}, allowed {allowed:.0e}"
    if seen.n_strata < LEAST_STRATA:
        return f"{seen.n_strata} strata are too few to see {LEAST_AGREEMENT:.1%}; raise --ecgs"
    if seen.strata < LEAST_AGREEMENT:
        return f"{seen.strata:.2%} of the strata agree, needed {LEAST_AGREEMENT:.1%}"
    return None


def caution(row: Row) -> str | None:
    """What to know before taking it in fp32 for a database that has results of another runtime."""
    seen, allowed = row.agreement, same_risk(row.precision)
    if seen is None or row.precision is not Numerics.FP32 or seen.max_difference <= allowed:
        return None
    return (
        f"a probability differs by {seen.max_difference:.1e}; beyond {allowed:.0e} a run stops at"
        " an ECG that another runtime has scored (nondeterministic)"
    )


def recommended(rows: Sequence[Row]) -> Row | None:
    """The fastest that nothing speaks against."""
    fit = [row for row in rows if why_not(row) is None]
    return max(fit, key=lambda row: row.ecgs_per_s, default=None)


def _assessed(row: Logits, manifest: Manifest, numerics: Numerics) -> Assessment:
    risks = []
    for task, value in zip(manifest.tasks, map(float, row), strict=True):
        risks.append(Risk(task.vessel, value, sigmoid(value), calibrate(value, task.calibrator)))
    return stratify(risks, manifest, numerics)


def _probabilities(assessed: Sequence[Assessment]) -> Logits:
    return np.array([[one.risk.probability for one in each.tasks] for each in assessed])
