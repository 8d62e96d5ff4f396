"""Verdicts on hand-made results: what is stored against what was computed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgbatch.provenance import numerics_of
from ecgbatch.records import (
    Assessment,
    Facts,
    NotYet,
    Outcome,
    Quarantined,
    Rejected,
    Risk,
    Scored,
    TaskAssessment,
)
from ecgbatch.replay.verdict import compare
from ecgbatch.store.detail import ScoreDetail
from ecgbatch.store.recordings import same_risk
from ecgbatch.store.replays import KeptResult
from ecgbatch.terms import (
    SCORING_VERSION,
    Numerics,
    ReasonCode,
    ReplayOutcome,
    ReplayStage,
    ResultOutcome,
    Stratum,
    Vessel,
)
from tests.support.bundles import small_manifest

GATES = "9" * 64
MANIFEST = small_manifest()
PIPELINE = f"{SCORING_VERSION}-{MANIFEST.preprocessing.digest[:16]}-{GATES[:16]}-fp32"
LOW_LOGIT, LOW_RISK = -2.0, 0.11920292202211755
"""1 / (1 + e^2), below the low cuts of the small bundle (0.2, any vessel 0.25)."""
KEPT = KeptResult(
    result_id=7,
    recording_id=5,
    file_digest="f" * 64,
    bundle_digest="b" * 64,
    is_clinical=False,
    pipeline_id=PIPELINE,
    outcome=ResultOutcome.SCORED,
    reason=None,
    any_vessel_risk=LOW_RISK,
    any_vessel_stratum=Stratum.LOW,
    outside_intended_use=None,
    reader="muse",
    reader_version="1",
    signal_digest="5" * 64,
    preprocessing_digest=MANIFEST.preprocessing.digest,
    runtime="torch 2",
    precision="fp32",
    code_version="0",
    library_versions="{}",
    padded_samples=0,
    scores=tuple(
        ScoreDetail(
            vessel,
            LOW_RISK,
            LOW_RISK,
            LOW_LOGIT,
            Stratum.LOW,
            near_cut=False,
            is_experimental=vessel is Vessel.LM,
        )
        for vessel in Vessel
    ),
    places=(),
)
REJECTED = replace(
    KEPT,
    outcome=ResultOutcome.REJECTED,
    reason="lead_flat",
    any_vessel_risk=None,
    any_vessel_stratum=None,
    padded_samples=None,
    scores=(),
)
FACTS = Facts("f" * 64, signal_digest="5" * 64, reader="muse", reader_version="1")


def fresh(difference: float = 0.0, stratum: Stratum = Stratum.LOW) -> Scored:
    """What the net gives now: LAD's logit is another one."""
    tasks = tuple(
        TaskAssessment(
            Risk(vessel, LOW_LOGIT + difference * (vessel is Vessel.LAD), LOW_RISK, LOW_RISK),
            stratum,
            near_cut=False,
            is_experimental=vessel is Vessel.LM,
        )
        for vessel in Vessel
    )
    return Scored(FACTS, (), Assessment(tasks, LOW_RISK, Stratum.LOW), None, 0)


def rejected(reason: ReasonCode, facts: Facts = FACTS) -> Rejected:
    return Rejected(facts, (), reason, None)


@given(st.floats(-1.0, 1.0))
def test_a_logit_decides_between_identical_tolerance_and_net(difference: float) -> None:
    verdict = compare(KEPT, fresh(difference), MANIFEST, GATES)

    moved = abs(LOW_LOGIT - (LOW_LOGIT + difference))
    expected = "identical" if moved == 0 else "tolerance" if moved <= 1e-4 else "net"
    assert str(verdict.stage or verdict.outcome) == expected
    assert verdict.difference == moved


def test_a_stratum_that_flips_within_the_tolerance_differs() -> None:
    verdict = compare(KEPT, fresh(1e-6, Stratum.INTERMEDIATE), MANIFEST, GATES)

    assert (verdict.outcome, verdict.stage) == (ReplayOutcome.DIFFERS, ReplayStage.STRATA)
    assert verdict.reason == "stratum of RCA"


@pytest.mark.parametrize(
    ("moved_by", "stage"), [(0.005, None), (-0.0099, None), (0.02, ReplayStage.NET)]
)
def test_bf16_may_move_a_risk_by_a_hundredth_and_across_a_cut(
    moved_by: float, stage: ReplayStage | None
) -> None:
    manifest = small_manifest(golden_tolerance={Numerics.FP32: 1e-4, Numerics.BF16: 1e-3})
    kept = replace(KEPT, precision="bf16", pipeline_id=PIPELINE.replace("fp32", "bf16"))
    now = fresh(0.1, Stratum.INTERMEDIATE)
    tasks = tuple(
        replace(one, risk=replace(one.risk, probability=LOW_RISK + moved_by))
        for one in now.assessment.tasks
    )
    moved = replace(now, assessment=replace(now.assessment, tasks=tasks))

    assert compare(kept, moved, manifest, GATES).stage is stage
    assert compare(KEPT, moved, manifest, GATES).stage is ReplayStage.NET


def test_how_far_risks_of_one_key_may_be_apart_follows_its_class() -> None:
    for end, allowed in (("fp32", 1e-6), ("bf16", 1e-2), ("int8", 1e-6), ("other", 1e-6)):
        assert same_risk(numerics_of(f"1-abc-def-{end}")) == allowed


UNREAD = Facts("f" * 64)
OTHER_SAMPLES = replace(FACTS, signal_digest="6" * 64)
NEWER_READER = replace(OTHER_SAMPLES, reader_version="2")
BY_READER = replace(REJECTED, signal_digest=None, reason="no_rhythm_waveform")


@pytest.mark.parametrize(
    ("kept", "now", "expected"),
    [
        (REJECTED, rejected(ReasonCode.LEAD_FLAT), "identical"),
        (REJECTED, rejected(ReasonCode.LEAD_OFF), "preprocessing: refused now: lead_off"),
        (REJECTED, fresh(), "preprocessing: not refused any more"),
        (KEPT, rejected(ReasonCode.LEAD_FLAT), "preprocessing: refused now: lead_flat"),
        (BY_READER, rejected(ReasonCode.NO_RHYTHM_WAVEFORM, UNREAD), "identical"),
        (BY_READER, rejected(ReasonCode.LEAD_MISSING, UNREAD), "signal: read now: lead_missing"),
        (BY_READER, fresh(), "signal: other samples, from the same reader"),
        (KEPT, rejected(ReasonCode.LEAD_MISSING, UNREAD), "signal: read now: lead_missing"),
        (
            KEPT,
            replace(fresh(), facts=OTHER_SAMPLES),
            "signal: other samples, from the same reader",
        ),
        (KEPT, replace(fresh(), facts=NEWER_READER), "signal: other samples, from another reader"),
        (
            KEPT,
            Quarantined(UNREAD, ReasonCode.READER_CRASHED, "decode"),
            "signal: read now: reader_crashed",
        ),
        (KEPT, NotYet(UNREAD, ReasonCode.INCOMPLETE, "decode"), "signal: read now: incomplete"),
        (
            KEPT,
            Quarantined(FACTS, ReasonCode.RESULT_NOT_FINITE, "score"),
            "net: computed now: result_not_finite",
        ),
        (
            KEPT,
            replace(fresh(), padded_samples=3),
            "preprocessing: another number of padded samples",
        ),
        (KEPT, replace(fresh(), outside_intended_use=False), "strata: outside_intended_use"),
        (
            REJECTED,
            replace(rejected(ReasonCode.LEAD_FLAT), outside_intended_use=True),
            "strata: outside_intended_use",
        ),
    ],
)
def test_the_first_stage_that_differs_is_named(
    kept: KeptResult, now: Outcome, expected: str
) -> None:
    verdict = compare(kept, now, MANIFEST, GATES)

    told = ": ".join(
        str(part) for part in (verdict.stage or verdict.outcome, verdict.reason) if part
    )
    assert told == expected


@pytest.mark.parametrize(
    ("pipeline_id", "now", "reason"),
    [
        (PIPELINE, fresh(0.5), "logits beyond the bundle's tolerance"),
        (f"99{PIPELINE[1:]}", fresh(0.5), "other logits (scoring version 99, now 1)"),
        (
            PIPELINE.replace("9", "8"),
            rejected(ReasonCode.LEAD_FLAT),
            "refused now (other gate settings): lead_flat",
        ),
    ],
)
def test_what_has_changed_in_the_pipeline_is_said(
    pipeline_id: str, now: Outcome, reason: str
) -> None:
    assert compare(replace(KEPT, pipeline_id=pipeline_id), now, MANIFEST, GATES).reason == reason


def test_other_gates_alone_are_no_difference() -> None:
    verdict = compare(KEPT, fresh(), MANIFEST, "1" * 64)

    assert verdict.outcome is ReplayOutcome.IDENTICAL
