"""What was kept against what was computed again: the first stage at which they differ, or none."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ecgbatch.bundle.calibration import calibrate, sigmoid
from ecgbatch.bundle.manifest import Manifest
from ecgbatch.provenance import has_gates, scoring_version
from ecgbatch.records import Assessment, Outcome, Rejected, Risk, Scored, TaskAssessment
from ecgbatch.store.detail import ScoreDetail
from ecgbatch.store.recordings import same_risk
from ecgbatch.store.replays import KeptResult
from ecgbatch.strata import stratify
from ecgbatch.terms import SCORING_VERSION, Numerics, ReplayOutcome, ReplayStage

SAME_PROBABILITY = 1e-9
"""A probability follows from its logit; another machine's `exp` may round the last digit."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a replay ended.

    Attributes:
        stage: the first that differs; None where none does.
        difference: largest difference of a logit; None where no logit was computed.
        reason: what differs, in a few words without numbers, names and places.
        is_of_settings: it differs in what the gates refuse, and they are not those of the result.
    """

    outcome: ReplayOutcome
    stage: ReplayStage | None = None
    difference: float | None = None
    reason: str | None = None
    is_of_settings: bool = False


def differs(stage: ReplayStage, reason: str, difference: float | None = None) -> Verdict:
    return Verdict(ReplayOutcome.DIFFERS, stage, difference, reason)


def compare(kept: KeptResult, fresh: Outcome, manifest: Manifest, gate_digest: str) -> Verdict:
    """The verdict on a result whose bytes are the ones that it was made from.

    Args:
        fresh: what the same bytes give now.
        manifest: of the result's bundle, which admits the result's precision.
        gate_digest: of the settings under which `fresh` was made.
    """
    stages: tuple[Callable[[], Verdict | None], ...] = (
        lambda: _signal(kept, fresh),
        lambda: _preprocessing(kept, fresh, manifest, gate_digest),
        lambda: _net(kept, fresh, manifest, gate_digest),
        lambda: _strata(kept, fresh, manifest, gate_digest),
    )
    for stage in stages:
        if (verdict := stage()) is not None:
            return verdict
    difference = _difference(kept, fresh) if isinstance(fresh, Scored) else None
    return Verdict(
        ReplayOutcome.TOLERANCE if difference else ReplayOutcome.IDENTICAL, difference=difference
    )


def _signal(kept: KeptResult, fresh: Outcome) -> Verdict | None:
    if not isinstance(fresh, Scored | Rejected):
        # Only once it is decoded can a recording be set aside for its risks.
        is_decoded = fresh.stage == "score"
        return None if is_decoded else differs(ReplayStage.SIGNAL, f"read now: {fresh.reason}")
    if fresh.facts.signal_digest == kept.signal_digest:
        if not isinstance(fresh, Rejected) or kept.signal_digest is not None:
            return None
        is_same = kept.reason == fresh.reason
        return None if is_same else differs(ReplayStage.SIGNAL, f"read now: {fresh.reason}")
    if fresh.facts.signal_digest is None and isinstance(fresh, Rejected):
        return differs(ReplayStage.SIGNAL, f"read now: {fresh.reason}")
    readers = (kept.reader, kept.reader_version), (fresh.facts.reader, fresh.facts.reader_version)
    is_other = "another reader" if readers[0] != readers[1] else "the same reader"
    return differs(ReplayStage.SIGNAL, f"other samples, from {is_other}")


def _preprocessing(
    kept: KeptResult, fresh: Outcome, manifest: Manifest, gate_digest: str
) -> Verdict | None:
    stage = ReplayStage.PREPROCESSING
    if kept.preprocessing_digest != manifest.preprocessing.digest:
        return differs(stage, "not the bundle's preprocessing")
    other = _other_settings(kept, gate_digest)
    refused = fresh.reason if isinstance(fresh, Rejected) else None
    if kept.reason != refused:
        words = f"refused now{other}: {refused}" if refused else f"not refused any more{other}"
        is_of_settings = not has_gates(kept.pipeline_id, gate_digest)
        return replace(differs(stage, words), is_of_settings=is_of_settings)
    if isinstance(fresh, Scored) and kept.padded_samples != fresh.padded_samples:
        return differs(stage, f"another number of padded samples{other}")
    return None


def _net(kept: KeptResult, fresh: Outcome, manifest: Manifest, gate_digest: str) -> Verdict | None:
    if isinstance(fresh, Rejected):
        return None
    if not isinstance(fresh, Scored):
        return differs(ReplayStage.NET, f"computed now: {fresh.reason}")
    difference, numerics = _difference(kept, fresh), Numerics(kept.precision)
    if difference <= manifest.golden_tolerance[numerics]:
        return None
    # Few golden ECGs do not show how far a coarser class may move another one's logit.
    if numerics is not Numerics.FP32 and _risk_difference(kept, fresh) <= same_risk(numerics):
        return None
    if scoring_version(kept.pipeline_id) != str(SCORING_VERSION):
        # Such a version says itself that a step before the net may have changed.
        other = _other_settings(kept, gate_digest)
        return differs(ReplayStage.PREPROCESSING, f"other logits{other}", difference)
    return differs(ReplayStage.NET, "logits beyond the bundle's tolerance", difference)


def _difference(kept: KeptResult, fresh: Scored) -> float:
    """Largest difference of a logit over the tasks that have both."""
    now = {one.risk.task: one.risk.logit for one in fresh.assessment.tasks}
    pairs = [(one.logit, now[one.task]) for one in kept.scores if one.task in now]
    return max((abs(before - after) for before, after in pairs), default=0.0)


def _risk_difference(kept: KeptResult, fresh: Scored) -> float:
    """Largest difference of a probability over the tasks that have both."""
    now = {one.risk.task: one.risk.probability for one in fresh.assessment.tasks}
    pairs = [(one.probability, now[one.task]) for one in kept.scores if one.task in now]
    return max((abs(before - after) for before, after in pairs), default=0.0)


def _strata(
    kept: KeptResult, fresh: Outcome, manifest: Manifest, gate_digest: str
) -> Verdict | None:
    if not isinstance(fresh, Scored | Rejected):
        return None
    difference = _difference(kept, fresh) if isinstance(fresh, Scored) else None
    words = None
    if isinstance(fresh, Scored):
        words = _other_strata(kept, fresh.assessment, manifest)
    if words is None and kept.outside_intended_use != fresh.outside_intended_use:
        words = "outside_intended_use"
    if words is None:
        return None
    return differs(ReplayStage.STRATA, f"{words}{_other_settings(kept, gate_digest)}", difference)


def _other_strata(kept: KeptResult, fresh: Assessment, manifest: Manifest) -> str | None:
    """The first column that does not follow from the kept logits, or that is another one now."""
    scores = {one.task: one for one in kept.scores}
    if scores.keys() != {task.vessel for task in manifest.tasks}:
        return "not one score for every task"
    expected = stratify(
        [
            Risk(
                task.vessel,
                logit := scores[task.vessel].logit,
                sigmoid(logit),
                calibrate(logit, task.calibrator),
            )
            for task in manifest.tasks
        ],
        manifest,
        Numerics(kept.precision),
    )
    if kept.precision != Numerics.FP32:
        # Within what its class allows a risk may be on the other side of a cut now.
        fresh = expected
    for one, now in zip(expected.tasks, fresh.tasks, strict=True):
        column = _other_column(scores[one.risk.task], one, now)
        if column is not None:
            return f"{column} of {one.risk.task}"
    if not _is_same(kept.any_vessel_risk, expected.any_vessel_risk):
        return "any_vessel_risk"
    if {expected.any_vessel_stratum, fresh.any_vessel_stratum} != {kept.any_vessel_stratum}:
        return "any_vessel_stratum"
    return None


def _other_column(kept: ScoreDetail, expected: TaskAssessment, fresh: TaskAssessment) -> str | None:
    holds = {
        "probability_raw": _is_same(kept.probability_raw, expected.risk.probability_raw),
        "probability": _is_same(kept.probability, expected.risk.probability),
        "stratum": kept.stratum == expected.stratum == fresh.stratum,
        # Not compared with the new one: within the tolerance it may change at the band's end.
        "near_cut": kept.near_cut == expected.near_cut,
        "is_experimental": kept.is_experimental == expected.is_experimental,
    }
    return next((column for column, is_so in holds.items() if not is_so), None)


def _is_same(kept: float | None, expected: float) -> bool:
    return kept is not None and abs(kept - expected) <= SAME_PROBABILITY


def _other_settings(kept: KeptResult, gate_digest: str) -> str:
    """What of the pipeline is not as it was, to be added to a reason; empty where all is."""
    made_under = scoring_version(kept.pipeline_id)
    parts = []
    if made_under != str(SCORING_VERSION):
        parts.append(f"scoring version {made_under}, now {SCORING_VERSION}")
    if not has_gates(kept.pipeline_id, gate_digest):
        parts.append("other gate settings")
    return f" ({'; '.join(parts)})" if parts else ""
