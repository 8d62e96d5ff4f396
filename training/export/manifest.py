"""The manifest of a bundle, from a finished run."""

from collections.abc import Iterator
from math import isfinite

from ecgbatch.bundle.manifest import Manifest, Metric
from ecgbatch.bundle.operating_points import (
    AnyVessel,
    Estimate,
    Scope,
    StratumEntry,
    Task,
)
from ecgbatch.preprocessing.spec import preset
from ecgbatch.terms import Numerics, Stratum
from training.export.finished import FinishedRun
from training.export.notes import definition, notes
from training.operating_points.pairs import share
from training.records import Measure
from training.terms import Quantity

OVERALL = "overall"
_OF_STRATA = {Quantity.SHARE, Quantity.NPV, Quantity.PREVALENCE}
"""Stand in the bundle's strata."""
_OF_SUBGROUPS = {Quantity.AUROC, Quantity.AUPRC, Quantity.SENSITIVITY, Quantity.SPECIFICITY}
"""What the bundle states per subgroup; the report of the evaluation has the rest."""


def build_manifest(run: FinishedRun, golden_tolerance: dict[Numerics, float]) -> Manifest:
    """Everything about the bundle but its weights and golden ECGs.

    Raises:
        SetupFault: `cuts_inverted`.
    """
    points, settings = run.points, run.bundle
    return Manifest(
        name=settings.name,
        version=settings.version,
        is_clinical=settings.is_clinical,
        tasks=tuple(
            Task(
                vessel=one.vessel,
                definition=definition(run, one.vessel),
                is_experimental=one.is_experimental,
                calibrator=one.calibrator,
                cuts=points.bundle_cuts(one.cuts),
                cuts_absent_reason=one.cuts_absent_reason,
            )
            for one in points.vessels
        ),
        any_vessel=AnyVessel(cuts=points.bundle_cuts(points.any_vessel)),
        strata=tuple(
            stratum_entry(run, scope, stratum)
            for scope, cuts in points.scopes()
            for stratum in Stratum
            if cuts is not None
        ),
        near_cut=settings.near_cut,
        architecture=run.experiment.architecture,
        preprocessing=preset(run.experiment.data.preset),
        golden_tolerance=golden_tolerance,
        intended_use=settings.intended_use,
        exclusions=settings.exclusions,
        training_data=settings.training_data,
        metrics=tuple(_metrics(run)),
        citation=settings.citation,
        notes=notes(run),
    )


def stratum_entry(run: FinishedRun, scope: Scope, stratum: Stratum) -> StratumEntry:
    """Share, NPV and observed incidence of one stratum on the test part; NPV for low alone."""
    shown = {
        one.quantity: one
        for one in run.measures
        if one.scope == scope
        and one.group == OVERALL
        and one.at is None
        and (one.stratum is stratum or _is_npv(one, stratum))
    }
    of_all, npv, positives = (
        shown.get(quantity) for quantity in (Quantity.SHARE, Quantity.NPV, Quantity.PREVALENCE)
    )
    return StratumEntry(
        task=scope,
        stratum=stratum,
        share=None if of_all is None else of_all.estimate.value,
        npv=_as_share(npv if stratum is Stratum.LOW else None),
        observed_incidence=_as_share(positives),
        is_synthetic=run.is_synthetic,
    )


def metric_name(measure: Measure) -> str:
    """As it stands in the bundle: the quantity, then where it was measured."""
    words = [measure.quantity.value]
    if measure.cut is not None:
        words.append(f"at the {measure.cut} cut")
    if measure.stratum is not None:
        words.append(f"in {measure.stratum}")
    if measure.at is not None:
        what = "day" if measure.quantity is Quantity.CUMULATIVE_INCIDENCE else "prevalence"
        words.append(f"at {what} {measure.at:g}")
    return " ".join(words)


def _is_npv(measure: Measure, stratum: Stratum) -> bool:
    """The NPV at the low cut is that of the low stratum."""
    is_low = stratum is Stratum.LOW and measure.cut == "low"
    return is_low and measure.stratum is None and measure.quantity is Quantity.NPV


def _as_share(measure: Measure | None) -> Estimate | None:
    return None if measure is None else share(measure.estimate)


def _metrics(run: FinishedRun) -> Iterator[Metric]:
    prefix = "synthetic " if run.is_synthetic else ""
    for one in run.measures:
        seen = (one.estimate.value, one.estimate.low, one.estimate.high)
        if one.scope == "macro" or not _belongs(one) or not all(map(isfinite, seen)):
            continue
        yield Metric(
            task=one.scope,
            group=one.group,
            name=prefix + metric_name(one),
            value=seen[0],
            ci=seen[1:],
            n=one.n,
            n_positives=one.n_positives,
            data=f"{run.bundle.data_name}: test part, unseen by weights and cuts",
            is_synthetic=run.is_synthetic,
        )


def _belongs(measure: Measure) -> bool:
    if measure.stratum is not None and measure.quantity in _OF_STRATA:
        return False
    return measure.n > 0 and (measure.group == OVERALL or measure.quantity in _OF_SUBGROUPS)
