"""From a fitted net and its report to a bundle that ecgbatch has proved it can score with."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ecgbatch.bundle import operating_points as entry
from ecgbatch.bundle.load import Bundle, load_bundle
from ecgbatch.bundle.manifest import Manifest, Metric
from ecgbatch.bundle.measure import Golden
from ecgbatch.bundle.save import save_bundle
from ecgbatch.errors import SetupFault
from ecgbatch.net.net1d import Net1D
from ecgbatch.preprocessing.spec import PreprocessingSpec
from ecgbatch.records import ModelInput
from ecgbatch.scoring.scorer import Scorer
from ecgbatch.terms import Numerics, ReasonCode, Stratum
from training.former.evaluation import Estimate
from training.former.operating_points import Cuts, NoCuts, OperatingPoint
from training.former.report import GroupAuc, TaskReport
from training.former.settings import BundleSettings

CUT_DATA = "synthetic cut split, unseen by the weights"
TEST_DATA = "synthetic held-out test split, unseen by weights and cuts"
PROBABILITY_TOLERANCE = 1e-5


def build_manifest(
    settings: BundleSettings,
    net: Net1D,
    spec: PreprocessingSpec,
    reports: Sequence[TaskReport],
    golden: Golden,
) -> Manifest:
    """The manifest of a demonstration bundle, from the objects that were used.

    Args:
        reports: four vessels in order, then any vessel.
    """
    *vessels, any_vessel = reports
    return Manifest(
        name=settings.name,
        version=settings.version,
        is_clinical=False,
        tasks=tuple(_task(settings, report) for report in vessels),
        any_vessel=entry.AnyVessel(cuts=_cuts(settings, any_vessel.cuts)),
        strata=tuple(found for report in reports for found in _strata(report)),
        near_cut=settings.near_cut,
        architecture=net.architecture,
        preprocessing=spec,
        golden_tolerance={Numerics.FP32: golden.tolerance},
        intended_use=settings.intended_use,
        exclusions=settings.exclusions,
        training_data=settings.training_data,
        metrics=tuple(found for report in reports for found in _metrics(report)),
        citation=settings.citation,
        notes=settings.notes,
    )


def export_bundle(
    folder: Path,
    manifest: Manifest,
    net: Net1D,
    golden_signals_mv: NDArray[np.float32],
    golden: Golden,
) -> Bundle:
    """Write the bundle and load it back.

    Raises:
        SetupFault: it cannot be written there, or does not load for scoring.
    """
    digest = save_bundle(folder, manifest, [net.state_dict()], golden_signals_mv, golden.logits)
    return load_bundle(folder, expected_digest=digest)


def prove(bundle: Bundle, inputs: NDArray[np.float32], probabilities: NDArray[np.float64]) -> float:
    """Score the same ECGs as ecgbatch does and compare with what training computed.

    Args:
        inputs: (N, 12, 5000); probabilities: (N, T).

    Returns:
        The largest difference of a probability.

    Raises:
        SetupFault: golden logits not reproduced, or the difference exceeds 1e-5.
    """
    given = [ModelInput(signal=signal.copy(), padded_samples=0) for signal in inputs]
    scored = Scorer(bundle).score(given)
    got = np.array([[risk.probability for risk in risks] for risks in scored])
    difference = float(np.abs(got - probabilities).max())
    if not difference <= PROBABILITY_TOLERANCE:
        raise SetupFault(ReasonCode.BUNDLE_GOLDEN, f"probabilities differ by {difference:.2g}")
    return difference


def probabilities_of(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits to probabilities; the demonstration bundle has no calibrator."""
    return np.asarray(expit(logits), dtype=np.float64)


def _task(settings: BundleSettings, report: TaskReport) -> entry.Task:
    if report.scope == "any_vessel":
        raise SetupFault(ReasonCode.BUNDLE_INVALID, "any vessel is not a task")
    absent = report.cuts.reason if isinstance(report.cuts, NoCuts) else None
    return entry.Task(
        vessel=report.scope,
        definition=settings.definition[report.scope],
        is_experimental=report.is_experimental or absent is not None,
        cuts=_cuts(settings, report.cuts),
        cuts_absent_reason=absent,
    )


def _cuts(settings: BundleSettings, cuts: Cuts | NoCuts) -> entry.Cuts | None:
    if isinstance(cuts, NoCuts):
        return None
    return entry.Cuts(low=_cut(settings, cuts.low), high=_cut(settings, cuts.high))


def _cut(settings: BundleSettings, point: OperatingPoint) -> entry.Cut:
    return entry.Cut(
        kind=point.kind.value,
        value=point.value,
        target=point.target,
        estimate=point.estimate.value,
        ci=(point.estimate.low, point.estimate.high),
        n_positives=point.n_positives,
        data=CUT_DATA,
        date=settings.date.isoformat(),
    )


def _strata(report: TaskReport) -> Iterator[entry.StratumEntry]:
    for facts in report.strata:
        yield entry.StratumEntry(
            task=report.scope,
            stratum=facts.stratum,
            share=facts.share,
            npv=_share(facts.npv if facts.stratum is Stratum.LOW else None),
            observed_incidence=_share(facts.incidence),
            is_synthetic=True,
        )


def _share(found: Estimate | None) -> entry.Estimate | None:
    return None if found is None else entry.Estimate(value=found.value, ci=(found.low, found.high))


def _metrics(report: TaskReport) -> Iterator[Metric]:
    everyone = report.aucs[0]
    for group in report.aucs:
        yield from _metric(report, group, "synthetic AUC", group.auc)
    yield from _metric(report, everyone, "synthetic sensitivity of the low cut", report.held_low)
    yield from _metric(report, everyone, "synthetic specificity of the high cut", report.held_high)


def _metric(
    report: TaskReport, group: GroupAuc, name: str, found: Estimate | None
) -> Iterator[Metric]:
    if found is not None:
        yield Metric(
            task=report.scope,
            group=group.group,
            name=name,
            value=found.value,
            ci=(found.low, found.high),
            n=group.n,
            n_positives=group.n_positives,
            data=TEST_DATA,
            is_synthetic=True,
        )
