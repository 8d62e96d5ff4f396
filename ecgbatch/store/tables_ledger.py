"""The tables that the ledger's operation needs beside those of the ECGs themselves."""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, Table, Text, text

from ecgbatch.store.columns import KEY, UtcTime
from ecgbatch.store.tables import metadata, one_of
from ecgbatch.terms import ReplayOutcome, ReplayStage

supersession = Table(
    "supersession",
    metadata,
    Column("supersession_id", KEY, primary_key=True),
    Column("recording_id", KEY, ForeignKey("recording.recording_id"), nullable=False, index=True),
    Column("superseded_by", KEY, ForeignKey("recording.recording_id"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("from_at", UtcTime, nullable=False),
    Column("to_at", UtcTime),
    Index(
        "uq_supersession_open",
        "recording_id",
        unique=True,
        sqlite_where=text("to_at IS NULL"),
        postgresql_where=text("to_at IS NULL"),
    ),
)
"""Each span in which a recording was not the current one of its acquisition; open at the end."""

rescore = Table(
    "rescore",
    metadata,
    Column("rescore_id", KEY, primary_key=True),
    Column("asked_at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("bundle_digest", Text, ForeignKey("bundle.bundle_digest"), nullable=False),
    Column("units", Integer, nullable=False),
)
"""Requests to score again; `work.request` of their units is the key."""

control = Table(
    "control",
    metadata,
    Column("control_id", Integer, primary_key=True, autoincrement=False),
    Column("halted_at", UtcTime),
    Column("halted_by", Text),
    Column("halted_why", Text),
)
"""One row, key 1: whether claims are halted."""

firing = Table(
    "firing",
    metadata,
    Column("schedule", Text, primary_key=True),
    Column("due_at", UtcTime, primary_key=True),
    Column("worker", Text, nullable=False),
    Column("fired_at", UtcTime, nullable=False),
)
"""Who ran which scheduled scan: two services never run one twice."""

heartbeat = Table(
    "heartbeat",
    metadata,
    Column("worker", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("run_id", KEY, ForeignKey("run.run_id")),
    Column("started_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
)

alert = Table(
    "alert",
    metadata,
    Column("name", Text, primary_key=True),
    Column("since_at", UtcTime, nullable=False),
    Column("sent_at", UtcTime),
    Column("count", Integer, nullable=False),
)
"""Alarms that hold now, so that a restarted service does not repeat them."""

patient = Table(
    "patient",
    metadata,
    Column("patient_key", Text, primary_key=True),
    Column("current_key", Text, nullable=False, index=True),
    Column("merged_at", UtcTime),
    Column("merged_by", Text),
    Column("is_merged", Boolean, nullable=False),
    Column("merged_into", Text),
)
"""Pseudonyms that an operator merged; a key without a row is its own current one.

`merged_into` is what the operator said, `current_key` the end of that chain.
"""

verification = Table(
    "verification",
    metadata,
    Column("verification_id", KEY, primary_key=True),
    Column("result_id", KEY, ForeignKey("result.result_id"), nullable=False, index=True),
    Column("run_id", KEY, ForeignKey("run.run_id")),
    Column("verified_at", UtcTime, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("stage", Text),
    Column("difference", Float),
    Column("code_version", Text, nullable=False),
    one_of("outcome", ReplayOutcome),
    one_of("stage", ReplayStage),
)
"""What came of computing a result again: written by the service's sample."""
