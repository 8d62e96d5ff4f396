"""Risks into strata under a bundle's cuts. Finite is checked before anything is compared."""

import math
from collections.abc import Sequence

from ecgbatch.bundle.calibration import calibrate
from ecgbatch.bundle.manifest import Manifest
from ecgbatch.bundle.operating_points import Cuts, Task
from ecgbatch.errors import InputFault, SetupFault
from ecgbatch.records import Assessment, Risk, TaskAssessment
from ecgbatch.terms import Numerics, ReasonCode


def stratify(risks: Sequence[Risk], manifest: Manifest, numerics: Numerics) -> Assessment:
    """Each task's stratum, and any vessel's.

    low: below the low cut (sensitivity-targeted, or absolute). high: at or above the
    specificity-targeted cut.
    Any vessel is the maximum over the tasks that are not experimental, with its own cuts.

    Args:
        risks: one per task, in the manifest's order.

    Raises:
        InputFault: `result_not_finite`, a number is not finite or a probability not in 0..1.
        SetupFault: the risks are not the manifest's tasks, or cuts or tolerance are missing.
    """
    _refuse_not_finite(risks)
    if [risk.task for risk in risks] != [task.vessel for task in manifest.tasks]:
        raise SetupFault(ReasonCode.BUNDLE_INVALID, "the risks are not of the bundle's tasks")
    manifest.refuse_missing_cuts()
    tolerance = manifest.golden_tolerance.get(numerics)
    if tolerance is None:
        raise SetupFault(ReasonCode.BUNDLE_PRECISION, numerics)
    assessed = tuple(
        _assess(risk, task, manifest.near_cut, tolerance)
        for risk, task in zip(risks, manifest.tasks, strict=True)
    )
    highest = max(one.risk.probability for one in assessed if not one.is_experimental)
    cuts = _present(manifest.any_vessel.cuts, "any_vessel")
    return Assessment(assessed, highest, cuts.stratum(highest))


def _assess(risk: Risk, task: Task, band: float, tolerance: float) -> TaskAssessment:
    if task.cuts is None:
        return TaskAssessment(risk, None, near_cut=False, is_experimental=task.is_experimental)
    return TaskAssessment(
        risk,
        task.cuts.stratum(risk.probability),
        near_cut=_is_near(risk, task, task.cuts, band, tolerance),
        is_experimental=task.is_experimental,
    )


def _is_near(risk: Risk, task: Task, cuts: Cuts, band: float, tolerance: float) -> bool:
    """Within the bundle's band, or so near that the tolerance on the logit could cross a cut."""
    least = calibrate(risk.logit - tolerance, task.calibrator)
    most = calibrate(risk.logit + tolerance, task.calibrator)
    return any(
        abs(risk.probability - cut.value) <= band or least <= cut.value <= most
        for cut in (cuts.low, cuts.high)
    )


def _refuse_not_finite(risks: Sequence[Risk]) -> None:
    for risk in risks:
        probabilities = (risk.probability_raw, risk.probability)
        # A comparison with NaN is false, so that this form refuses it too.
        if not math.isfinite(risk.logit) or not all(0.0 <= p <= 1.0 for p in probabilities):
            raise InputFault(ReasonCode.RESULT_NOT_FINITE, risk.task)


def _present(cuts: Cuts | None, name: str) -> Cuts:
    if cuts is None:
        raise SetupFault(ReasonCode.CUTS_MISSING, name)
    return cuts
