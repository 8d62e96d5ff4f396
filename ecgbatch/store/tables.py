"""The tables. What they mean is in docs/sql.md; migrations create them."""

from collections.abc import Iterable

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from ecgbatch.store.columns import KEY, UtcTime, WallClock
from ecgbatch.terms import (
    ANY_VESSEL,
    FINISHED,
    BundleRole,
    ItemState,
    ReasonClass,
    ResultOutcome,
    Stratum,
    Vessel,
    WorkState,
)

HEAD = "0004"
"""The migration that makes exactly these tables."""

NEW_REQUEST = "new"
"""`work.request` of a first scoring; a re-scoring has its own id there."""

ECG_DATE = {
    "sqlite": "COALESCE(acquired_at, substr(first_seen_at, 1, 26))",
    "postgresql": "COALESCE(acquired_at, first_seen_at AT TIME ZONE 'UTC')",
}
CREATED_ON = {
    "sqlite": "substr(created_at, 1, 10)",
    "postgresql": "CAST(created_at AT TIME ZONE 'UTC' AS date)",
}
"""What the views show of a recording and of a result as their date, indexed as expressions."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _listed(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({_listed(values)})", name=column)


def _probability(column: str) -> CheckConstraint:
    return CheckConstraint(f"{column} >= 0 AND {column} <= 1", name=column)


def _digest_of_bundle() -> Column[str]:
    return Column("bundle_digest", Text, ForeignKey("bundle.bundle_digest"), nullable=False)


source = Table(
    "source",
    metadata,
    Column("source_id", KEY, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("root", Text, nullable=False),
    Column("authority", Text, nullable=False),
    Column("time_zone", Text),
    Column("scan_token", Integer, nullable=False, server_default=text("0")),
    Column("watermark", Text),
    one_of("kind", ("folder", "database")),
)

item = Table(
    "item",
    metadata,
    Column("item_id", KEY, primary_key=True),
    Column("source_id", KEY, ForeignKey("source.source_id"), nullable=False),
    Column("locator", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("recording_id", KEY, ForeignKey("recording.recording_id"), index=True),
    Column("first_seen_at", UtcTime, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("last_seen_at", UtcTime, nullable=False),
    Column("missing_scans", Integer, nullable=False, server_default=text("0")),
    Column("gone_at", UtcTime),
    Column("acknowledged_at", UtcTime),
    Column("acknowledged_by", Text),
    Column("acknowledged_why", Text),
    Column("members", Text),
    Column("archived_at", UtcTime),
    UniqueConstraint("source_id", "locator", "fingerprint"),
    one_of("state", ItemState),
    CheckConstraint("state = 'admitted' OR reason IS NOT NULL", name="reason"),
    CheckConstraint("missing_scans >= 0", name="missing_scans"),
    # State first: an index that starts with the source would be taken for look-ups by locator.
    Index(None, "state", "source_id"),
)

recording = Table(
    "recording",
    metadata,
    Column("recording_id", KEY, primary_key=True),
    Column("file_digest", Text, nullable=False, unique=True),
    Column("signal_digest", Text, index=True),
    Column("acquisition_key", Text, index=True),
    Column("patient_key", Text, index=True),
    Column("acquired_at", WallClock),
    Column("acquired_zone", Text),
    Column("age_years", Float),
    Column("sex", Text),
    Column("device", Text),
    Column("site", Text),
    Column("accession", Text),
    Column("order_number", Text),
    Column("ecg_id", Text, index=True),
    Column("edit_at", WallClock),
    Column("edit_status", Text),
    Column("statement_normal", Boolean),
    Column("format", Text),
    Column("sampling_frequency", Float),
    Column("n_samples", Integer),
    Column("superseded_by", KEY, ForeignKey("recording.recording_id")),
    Column("superseded_at", UtcTime),
    Column("superseded_reason", Text),
    Column("first_seen_at", UtcTime),
    # The views' ecg_date, as each database spells it.
    Index("ix_recording_ecg_date", text(ECG_DATE["sqlite"])).ddl_if(dialect="sqlite"),
    Index("ix_recording_ecg_date", text(ECG_DATE["postgresql"])).ddl_if(dialect="postgresql"),
    CheckConstraint("length(file_digest) = 64", name="file_digest"),
    CheckConstraint(
        "(superseded_at IS NULL) = (superseded_reason IS NULL)", name="superseded_reason"
    ),
    CheckConstraint(
        "(superseded_at IS NULL) = (superseded_by IS NULL)"
        " AND (superseded_by IS NULL OR superseded_by <> recording_id)",
        name="superseded_by",
    ),
)

bundle = Table(
    "bundle",
    metadata,
    Column("bundle_digest", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("is_clinical", Boolean, nullable=False),
    Column("location", Text),
)

bundle_stratum = Table(
    "bundle_stratum",
    metadata,
    Column("bundle_digest", Text, ForeignKey("bundle.bundle_digest"), primary_key=True),
    Column("task", Text, primary_key=True),
    Column("stratum", Text, primary_key=True),
    Column("cut_from", Float, nullable=False),
    Column("cut_to", Float, nullable=False),
    Column("share", Float),
    Column("npv", Float),
    Column("npv_from", Float),
    Column("npv_to", Float),
    Column("incidence", Float),
    Column("incidence_from", Float),
    Column("incidence_to", Float),
    Column("is_synthetic", Boolean, nullable=False),
    one_of("task", (*Vessel, ANY_VESSEL)),
    one_of("stratum", Stratum),
    CheckConstraint("cut_from >= 0 AND cut_from <= cut_to AND cut_to <= 1", name="cuts"),
    *map(_probability, ("share", "npv", "npv_from", "npv_to")),
    *map(_probability, ("incidence", "incidence_from", "incidence_to")),
)

activation = Table(
    "activation",
    metadata,
    Column("activation_id", KEY, primary_key=True),
    _digest_of_bundle(),
    Column("role", Text, nullable=False),
    Column("from_at", UtcTime, nullable=False),
    Column("to_at", UtcTime),
    Column("by", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("golden_report", Text),
    one_of("role", BundleRole),
    Index(
        "uq_activation_champion",
        "role",
        unique=True,
        sqlite_where=text("role = 'champion' AND to_at IS NULL"),
        postgresql_where=text("role = 'champion' AND to_at IS NULL"),
    ),
)

work = Table(
    "work",
    metadata,
    Column("work_id", KEY, primary_key=True),
    Column("item_id", KEY, ForeignKey("item.item_id"), nullable=False),
    _digest_of_bundle(),
    Column("request", Text, nullable=False),
    Column("pipeline_id", Text),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("reason_class", Text),
    Column("stage", Text),
    Column("priority", Integer, nullable=False, server_default=text("0")),
    Column("token", Integer, nullable=False, server_default=text("0")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("worker", Text),
    Column("lease_until", UtcTime),
    Column("next_at", UtcTime),
    Column("finished_at", UtcTime),
    Column("is_alone", Boolean, nullable=False, server_default=false()),
    Column("losses", Integer, nullable=False, server_default=text("0")),
    Column("leased_at", UtcTime),
    Column("fault_since", UtcTime),
    UniqueConstraint("item_id", "bundle_digest", "request"),
    one_of("state", WorkState),
    one_of("reason_class", ReasonClass),
    CheckConstraint(
        "(reason IS NULL) = (state = 'scored') AND (reason IS NULL) = (reason_class IS NULL)",
        name="reason",
    ),
    CheckConstraint(
        "(state = 'leased') = (lease_until IS NOT NULL)"
        " AND (state <> 'leased' OR worker IS NOT NULL)",
        name="lease",
    ),
    CheckConstraint("(state = 'retry_wait') = (next_at IS NOT NULL)", name="next_at"),
    CheckConstraint(
        f"(state IN ({_listed(FINISHED)})) = (finished_at IS NOT NULL)", name="finished_at"
    ),
    CheckConstraint("attempts >= 0 AND token >= attempts", name="attempts"),
    Index(None, "bundle_digest", "state", "priority", "work_id"),
)

run = Table(
    "run",
    metadata,
    Column("run_id", KEY, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("source_id", KEY, ForeignKey("source.source_id")),
    Column("worker", Text, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("exit_code", Integer),
    Column("counts", Text),
    Column("canary", Text),
    Column("events", Integer),
    Column("chain_head", Text),
    CheckConstraint("(ended_at IS NULL) = (exit_code IS NULL)", name="ended_at"),
)

result = Table(
    "result",
    metadata,
    Column("result_id", KEY, primary_key=True),
    Column("recording_id", KEY, ForeignKey("recording.recording_id"), nullable=False),
    _digest_of_bundle(),
    Column("pipeline_id", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("reason", Text),
    Column("any_vessel_risk", Float),
    Column("any_vessel_stratum", Text),
    Column("outside_intended_use", Boolean),
    Column("reader", Text),
    Column("reader_version", Text),
    Column("signal_digest", Text),
    Column("preprocessing_digest", Text, nullable=False),
    Column("runtime", Text, nullable=False),
    Column("precision", Text, nullable=False),
    Column("code_version", Text, nullable=False),
    Column("library_versions", Text, nullable=False),
    Column("padded_samples", Integer),
    Column("run_id", KEY, ForeignKey("run.run_id"), nullable=False, index=True),
    Column("worker", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False, index=True),
    Column("work_id", KEY),
    Index("ix_result_created_on", text(CREATED_ON["sqlite"])).ddl_if(dialect="sqlite"),
    Index("ix_result_created_on", text(CREATED_ON["postgresql"])).ddl_if(dialect="postgresql"),
    UniqueConstraint("recording_id", "bundle_digest", "pipeline_id"),
    one_of("outcome", ResultOutcome),
    one_of("any_vessel_stratum", Stratum),
    CheckConstraint("(outcome = 'rejected') = (reason IS NOT NULL)", name="reason"),
    CheckConstraint(
        "outcome = 'rejected' AND any_vessel_risk IS NULL AND any_vessel_stratum IS NULL"
        " OR outcome = 'scored' AND any_vessel_risk IS NOT NULL AND any_vessel_risk >= 0"
        " AND any_vessel_risk <= 1 AND any_vessel_stratum IS NOT NULL",
        name="any_vessel",
    ),
)

score = Table(
    "score",
    metadata,
    Column("result_id", KEY, ForeignKey("result.result_id"), primary_key=True),
    Column("task", Text, primary_key=True),
    Column("probability", Float, nullable=False),
    Column("probability_raw", Float, nullable=False),
    Column("logit", Float, nullable=False),
    Column("stratum", Text),
    Column("near_cut", Boolean, nullable=False),
    Column("is_experimental", Boolean, nullable=False),
    one_of("task", Vessel),
    one_of("stratum", Stratum),
    _probability("probability"),
    _probability("probability_raw"),
    CheckConstraint("logit > -1e300 AND logit < 1e300", name="logit"),
    CheckConstraint("stratum IS NOT NULL OR is_experimental", name="stratum_known"),
)

finding = Table(
    "finding",
    metadata,
    Column("finding_id", KEY, primary_key=True),
    Column("recording_id", KEY, ForeignKey("recording.recording_id"), nullable=False),
    Column("scoring_version", Integer, nullable=False),
    Column("settings_digest", Text, nullable=False),
    Column("check_name", Text, nullable=False),
    Column("lead", Text, nullable=False, server_default=text("''")),
    Column("value", Float),
    Column("limit_value", Float),
    Column("reason", Text, nullable=False),
    Column("refuses", Boolean, nullable=False),
    UniqueConstraint(
        "recording_id",
        "scoring_version",
        "settings_digest",
        "check_name",
        "lead",
        name="uq_finding_check",
    ),
)

event = Table(
    "event",
    metadata,
    Column("event_id", KEY, primary_key=True),
    Column("run_id", KEY, ForeignKey("run.run_id")),
    Column("seq", Integer, nullable=False),
    Column("event_at", UtcTime, nullable=False),
    Column("item_id", KEY, ForeignKey("item.item_id"), index=True),
    Column("work_id", KEY, ForeignKey("work.work_id")),
    Column("kind", Text, nullable=False),
    Column("from_state", Text),
    Column("to_state", Text),
    Column("reason", Text),
    Column("prev_hash", Text),
    Column("hash", Text),
    UniqueConstraint("run_id", "seq"),
)

audit = Table(
    "audit",
    metadata,
    Column("audit_id", KEY, primary_key=True),
    Column("act_at", UtcTime, nullable=False),
    Column("actor", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("selector", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("prev_hash", Text),
    Column("hash", Text),
)
