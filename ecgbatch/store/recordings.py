"""Rows about a recording: what its newest reading said, its findings, its results."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime

from sqlalchemy import Connection, Table, case, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from ecgbatch.errors import EcgbatchError
from ecgbatch.provenance import numerics_of
from ecgbatch.records import Facts, Finding, Provenance, Rejected, Scored
from ecgbatch.store.tables import finding, recording, result, score
from ecgbatch.terms import SCORING_VERSION, Numerics, ReasonCode, ResultOutcome

SAME_RISK = 1e-6
"""Two scorings under one key differ by less, or the run is stopped."""
SAME_RISK_OF = {Numerics.BF16: 1e-2}
"""The same, of numerics classes in which runtimes and processors round more."""

_OF_RECORDING = tuple(
    one.name for one in fields(Facts) if one.name not in {"reader", "reader_version"}
)


def note_recording(connection: Connection, facts: Facts, first_seen_at: datetime) -> int:
    """The recording's row, brought up to what this reading said; returns its key.

    Args:
        first_seen_at: of the item that was read; the earliest of all its items stays.
    """
    values = recording_values(facts, first_seen_at)
    digest = values["file_digest"]
    # A reading that failed knows the digest alone and wipes nothing out.
    known = {name: value for name, value in values.items() if name != "file_digest"}
    changes = known if facts.format is not None else {"file_digest": digest}
    statement = _insert(connection, recording).values(values)
    new, old = statement.excluded.first_seen_at, recording.c.first_seen_at
    changes["first_seen_at"] = case((old < new, old), else_=new)
    statement = statement.on_conflict_do_update(index_elements=["file_digest"], set_=changes)
    noted = connection.execute(statement.returning(recording.c.recording_id))
    return int(noted.scalar_one())


def recording_values(facts: Facts, first_seen_at: datetime) -> dict[str, object]:
    """The columns of a recording that nobody has read before."""
    values = {name: getattr(facts, name) for name in _OF_RECORDING}
    return {**values, "first_seen_at": first_seen_at}


def note_findings(
    connection: Connection, recording_id: int, findings: Iterable[Finding], settings_digest: str
) -> None:
    """Write findings, refusing or not; of two of one check on one lead the refusing one stays."""
    rows = finding_rows(recording_id, findings, settings_digest)
    if not rows:
        return
    key = ["recording_id", "scoring_version", "settings_digest", "check_name", "lead"]
    statement = _insert(connection, finding)
    changes = {
        name: statement.excluded[name] for name in ("value", "limit_value", "reason", "refuses")
    }
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changes), rows)


def finding_rows(
    recording_id: int, findings: Iterable[Finding], settings_digest: str
) -> list[dict[str, object]]:
    """The rows of `note_findings`."""
    rows = {
        (row["check_name"], row["lead"]): row
        for row in (
            _finding_row(recording_id, one, settings_digest)
            for one in sorted(findings, key=lambda one: one.refuses)
        )
    }
    return list(rows.values())


def add_result(
    connection: Connection,
    recording_id: int,
    outcome: Scored | Rejected,
    *,
    bundle_digest: str,
    work_id: int,
    provenance: Provenance,
    moment: datetime,
) -> int:
    """Insert the result of a recording, with its scores; both are never changed again."""
    values = result_values(
        recording_id,
        outcome,
        bundle_digest=bundle_digest,
        work_id=work_id,
        provenance=provenance,
        moment=moment,
    )
    statement = insert(result).values(values).returning(result.c.result_id)
    result_id = int(connection.execute(statement).scalar_one())
    if isinstance(outcome, Scored):
        connection.execute(insert(score), score_rows(result_id, outcome))
    return result_id


def result_values(
    recording_id: int,
    outcome: Scored | Rejected,
    *,
    bundle_digest: str,
    work_id: int,
    provenance: Provenance,
    moment: datetime,
) -> dict[str, object]:
    """The columns of a result but its key."""
    return {
        "recording_id": recording_id,
        "work_id": work_id,
        "bundle_digest": bundle_digest,
        "pipeline_id": provenance.pipeline_id,
        "outside_intended_use": outcome.outside_intended_use,
        "reader": outcome.facts.reader,
        "reader_version": outcome.facts.reader_version,
        "signal_digest": outcome.facts.signal_digest,
        "preprocessing_digest": provenance.preprocessing_digest,
        "runtime": provenance.runtime,
        "precision": provenance.precision,
        "code_version": provenance.code_version,
        "library_versions": provenance.library_versions,
        "run_id": provenance.run_id,
        "worker": provenance.worker,
        "created_at": moment,
        **_outcome_values(outcome),
    }


def has_result(connection: Connection, recording_id: int, bundle_digest: str) -> bool:
    """Whether the recording has a result under the bundle, of either outcome, by any pipeline."""
    found = select(result.c.result_id).where(
        result.c.recording_id == recording_id, result.c.bundle_digest == bundle_digest
    )
    return connection.execute(found.limit(1)).first() is not None


def check_same(
    connection: Connection,
    recording_id: int,
    bundle_digest: str,
    pipeline_id: str,
    outcome: Scored | Rejected,
) -> bool:
    """Compare with the result under exactly this key; False if there is none.

    Raises:
        EcgbatchError: NONDETERMINISTIC, the outcome or a risk differs.
    """
    kept = connection.execute(
        select(result).where(
            result.c.recording_id == recording_id,
            result.c.bundle_digest == bundle_digest,
            result.c.pipeline_id == pipeline_id,
        )
    ).first()
    if kept is None:
        return False
    is_scored = isinstance(outcome, Scored)
    if (kept.outcome == ResultOutcome.SCORED) is not is_scored:
        raise EcgbatchError(ReasonCode.NONDETERMINISTIC, "outcome")
    if isinstance(outcome, Scored):
        scores = select(score.c.task, score.c.probability).where(
            score.c.result_id == kept.result_id
        )
        before = {row.task: row.probability for row in connection.execute(scores)}
        _check_risks(outcome, before, same_risk(numerics_of(pipeline_id)))
    return True


def same_risk(numerics: Numerics | None) -> float:
    """How far two probabilities of one ECG may be apart that were computed in one class."""
    return SAME_RISK if numerics is None else SAME_RISK_OF.get(numerics, SAME_RISK)


def _check_risks(outcome: Scored, kept: Mapping[str, float], tolerance: float) -> None:
    for assessed in outcome.assessment.tasks:
        before = kept.get(assessed.risk.task, math.nan)
        if not abs(before - assessed.risk.probability) <= tolerance:
            raise EcgbatchError(ReasonCode.NONDETERMINISTIC, assessed.risk.task)


def _insert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def _finding_row(recording_id: int, one: Finding, settings_digest: str) -> dict[str, object]:
    return {
        "recording_id": recording_id,
        "scoring_version": SCORING_VERSION,
        "settings_digest": settings_digest,
        "check_name": one.check,
        "lead": one.lead or "",
        "value": _finite(one.value),
        "limit_value": _finite(one.limit),
        "reason": one.reason,
        "refuses": one.refuses,
    }


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _outcome_values(outcome: Scored | Rejected) -> dict[str, object]:
    if isinstance(outcome, Rejected):
        return {
            "outcome": ResultOutcome.REJECTED,
            "reason": outcome.reason,
            "any_vessel_risk": None,
            "any_vessel_stratum": None,
            "padded_samples": None,
        }
    return {
        "outcome": ResultOutcome.SCORED,
        "reason": None,
        "any_vessel_risk": outcome.assessment.any_vessel_risk,
        "any_vessel_stratum": outcome.assessment.any_vessel_stratum,
        "padded_samples": outcome.padded_samples,
    }


def score_rows(result_id: int, outcome: Scored) -> list[dict[str, object]]:
    """One row for each task."""
    return [
        {
            "result_id": result_id,
            "task": assessed.risk.task,
            "probability": assessed.risk.probability,
            "probability_raw": assessed.risk.probability_raw,
            "logit": assessed.risk.logit,
            "stratum": assessed.stratum,
            "near_cut": assessed.near_cut,
            "is_experimental": assessed.is_experimental,
        }
        for assessed in outcome.assessment.tasks
    ]
