"""Calibrators and cuts of all vessels and of any vessel, from a cut part."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ecgbatch.bundle.operating_points import Calibrator, NoCalibrator, Scope
from ecgbatch.errors import SetupFault
from ecgbatch.terms import ANY_VESSEL, ReasonCode, Vessel
from training.operating_points.calibrators import (
    calibrated,
    fit_isotonic,
    fit_platt,
    prior_shift,
)
from training.operating_points.pairs import Aim, set_cuts
from training.operating_points.points import SetCut, SetCuts, VesselPoints
from training.records import Array, Task
from training.settings.evaluation import BootstrapSettings, OperatingPointSettings
from training.statistics.any_vessel import any_label, counted, maximum

_BACKWARDS = "the risk does not rise with the logit on the cut part"
_ONE_CLASS = "the weights have learnt from one class alone"
_TIED_SHARE = 0.01
"""From here on the ECGs on a cut are warned of: moving it by a hair moves all of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Index ECGs of one part, none of which the weights have seen.

    Attributes:
        logits, labels: (N, 4) in the order of Vessel; a missing label is NaN.
        patients: (N,) who each ECG is of.
    """

    logits: Array = field(repr=False)
    labels: Array = field(repr=False)
    patients: Sequence[str] = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """What the weights learnt from, as far as a prior shift must know it.

    Attributes:
        labels: (N, 4) of the ECGs that trained. positive_weight: of the loss; 1 where not named.
    """

    labels: Array = field(repr=False)
    positive_weight: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class PointsSet:
    """Calibrators and cuts of the four vessels, cuts of any vessel, and what to warn of."""

    vessels: tuple[VesselPoints, ...]
    any_vessel: SetCuts
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """What every vessel's points are made from."""

    cut: Scored
    test: Scored
    learnt: Learnt
    settings: OperatingPointSettings
    bootstrap: BootstrapSettings


def set_points(
    cut: Scored,
    test: Scored,
    learnt: Learnt,
    *,
    experimental: Sequence[str],
    settings: OperatingPointSettings,
    bootstrap: BootstrapSettings,
) -> PointsSet:
    """Set calibrators and cuts on `cut`; measure how they hold on `test`.

    Args:
        experimental: vessels that are so already; those with too few positives join them.

    Raises:
        SetupFault: `cuts_inverted`; `cuts_missing`, no vessel is left, or any vessel has too few.
    """
    given = _Given(cut, test, learnt, settings, bootstrap)
    vessels = tuple(_vessel(given, vessel, vessel in experimental) for vessel in Vessel)
    if all(one.is_experimental for one in vessels):
        raise SetupFault(
            ReasonCode.CUTS_MISSING,
            "no vessel is left: "
            + "; ".join(
                f"{one.vessel}: {one.cuts_absent_reason or 'experimental'}" for one in vessels
            ),
        )
    any_vessel = _any_vessel(given, vessels)
    warnings = [found for one in vessels for found in _vessel_warnings(one, experimental)]
    for one in vessels:
        if one.cuts is not None:
            warnings += _cut_warnings(one.vessel, one.cuts, cut, settings.few_positives)
    warnings += _cut_warnings("any vessel", any_vessel, cut, settings.few_positives)
    return PointsSet(vessels, any_vessel, tuple(warnings))


def _vessel(given: _Given, vessel: Vessel, is_experimental: bool) -> VesselPoints:
    column = list(Vessel).index(vessel)
    labels = given.cut.labels[:, column]
    n_positives, n_negatives = int((labels == 1).sum()), int((labels == 0).sum())
    fewest = given.settings.fewest_positives
    calibrator: Calibrator | None = NoCalibrator()
    reason = None
    if n_positives < fewest:
        reason = f"{n_positives} positives in the cut part; {fewest} are needed"
    elif n_negatives < 1:
        reason = "no negative in the cut part"
    if reason is None or given.settings.calibrator == "prior_shift":
        calibrator = _calibrator(given, vessel, column)
    if calibrator is None:
        calibrator = NoCalibrator()
        reason = _ONE_CLASS if given.settings.calibrator == "prior_shift" else _BACKWARDS
    cuts = None
    if reason is None:
        cut, test = (
            Task(
                part.labels[:, column],
                calibrated(part.logits[:, column], calibrator),
                part.patients,
            )
            for part in (given.cut, given.test)
        )
        cuts = set_cuts(vessel, cut, test, _aim(given.settings, vessel), given.bootstrap)
    return VesselPoints(
        vessel=vessel,
        is_experimental=is_experimental or cuts is None,
        calibrator=calibrator,
        n_positives=n_positives,
        n_negatives=n_negatives,
        cuts=cuts,
        cuts_absent_reason=reason,
    )


def _calibrator(given: _Given, vessel: Vessel, column: int) -> Calibrator | None:
    """As the settings ask for; None where there is none: the logit ranks backwards, or the
    prevalence that the weights learnt is 0 or 1."""
    labels = given.cut.labels[:, column]
    rows = np.flatnonzero(np.isfinite(labels))
    logits = given.cut.logits[rows, column]
    match given.settings.calibrator:
        case "none":
            return NoCalibrator()
        case "platt":
            return fit_platt(logits, labels[rows])
        case "isotonic":
            # A fit that may only rise finds steps in noise too: Platt's slope says if it does.
            is_rising = fit_platt(logits, labels[rows]) is not None
            return fit_isotonic(logits, labels[rows]) if is_rising else None
        case "prior_shift":
            return prior_shift(
                given.learnt.labels[:, column],
                given.learnt.positive_weight.get(vessel.value, 1.0),
                given.settings.site_prevalence[vessel],
            )


def _any_vessel(given: _Given, vessels: Sequence[VesselPoints]) -> SetCuts:
    """Cuts on the maximum over the vessels that are left."""
    experimental = [one.vessel for one in vessels if one.is_experimental]
    columns = counted(experimental)
    cut, test = (
        Task(
            any_label(part.labels[:, columns]),
            maximum(_probabilities(part, vessels), experimental),
            part.patients,
        )
        for part in (given.cut, given.test)
    )
    n_positives, n_negatives = int((cut.labels == 1).sum()), int((cut.labels == 0).sum())
    if n_positives < given.settings.fewest_positives or n_negatives < 1:
        raise SetupFault(
            ReasonCode.CUTS_MISSING,
            f"any vessel: {n_positives} positives and {n_negatives} negatives in the cut part",
        )
    return set_cuts("any_vessel", cut, test, _aim(given.settings, "any_vessel"), given.bootstrap)


def _probabilities(part: Scored, vessels: Sequence[VesselPoints]) -> Array:
    return np.column_stack(
        [calibrated(part.logits[:, index], one.calibrator) for index, one in enumerate(vessels)]
    )


def _aim(settings: OperatingPointSettings, scope: Scope) -> Aim:
    base = settings.absolute
    if scope == ANY_VESSEL:
        return Aim(
            settings.any_vessel_low_sensitivity,
            settings.any_vessel_high_specificity,
            None if base is None else base.any_vessel_base,
        )
    vessel = Vessel(scope)
    return Aim(
        settings.low_sensitivity,
        settings.high_specificity[vessel],
        None if base is None else base.base[vessel],
    )


def _vessel_warnings(one: VesselPoints, experimental: Sequence[str]) -> Iterator[str]:
    if one.cuts_absent_reason is None:
        return
    became = "" if one.vessel in experimental else "; it becomes experimental"
    yield f"{one.vessel}: no cuts: {one.cuts_absent_reason}{became}"


def _cut_warnings(name: str, cuts: SetCuts, part: Scored, few: int) -> Iterator[str]:
    n_positives = cuts.low.set_on.n_positives
    if n_positives < few:
        yield f"{name}: cuts rest on {n_positives} positives, fewer than {few}"
    if cuts.low.set_on.specificity is not None and cuts.low.set_on.specificity.value == 0.0:
        yield f"{name}: no negative lies below the low cut"
    if cuts.high.set_on.sensitivity is not None and cuts.high.set_on.sensitivity.value == 0.0:
        yield f"{name}: no positive lies at or above the high cut"
    for which, cut in (("low", cuts.low), ("high", cuts.high)):
        n_at_cut = cut.set_on.n_at_cut
        if n_at_cut > max(1.0, _TIED_SHARE * len(part.labels)):
            yield f"{name}: {n_at_cut} ECGs share the value of the {which} cut" + _tied(cut)


def _tied(cut: SetCut) -> str:
    """What the ECGs on the cut make of it, being at or above it."""
    found = (
        ("sensitivity", cut.set_on.sensitivity),
        ("specificity", cut.set_on.specificity),
    )
    words = [f"{name} {one.value:.3f}" for name, one in found if one is not None]
    return f"; as they count as at or above it, it reaches {' and '.join(words)}"
