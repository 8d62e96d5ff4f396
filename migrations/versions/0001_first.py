"""The first tables and views.

A snapshot: this file is not edited when the tables move on, a later migration is added.
"""

import sqlalchemy as sa
from alembic import op

from ecgbatch.store.views import views_0001

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UTC = sa.TIMESTAMP(timezone=True).with_variant(sa.Text(), "sqlite")
_WALL = sa.TIMESTAMP(timezone=False).with_variant(sa.Text(), "sqlite")
_APPEND_ONLY = ("result", "score", "event", "audit")


def upgrade() -> None:
    _create_bundle()
    _create_bundle_stratum()
    _create_activation()
    _create_recording()
    _create_finding()
    _create_source()
    _create_item()
    _create_run()
    _create_work()
    _create_result()
    _create_score()
    _create_event()
    _create_audit()
    if op.get_context().dialect.name == "sqlite":
        _append_only_on_sqlite()
    else:
        _append_only_on_postgresql()
    for statement in views_0001(op.get_context().dialect.name).values():
        op.execute(statement)


def downgrade() -> None:
    for view in reversed(views_0001(op.get_context().dialect.name)):
        op.execute(f"DROP VIEW {view}")
    for table in _TABLES_BY_DEPENDENCE:
        op.drop_table(table)
    if op.get_context().dialect.name != "sqlite":
        op.execute("DROP FUNCTION ecgbatch_append_only()")


_TABLES_BY_DEPENDENCE = (
    *("audit", "event", "score", "result", "work", "run", "item", "source"),
    *("finding", "recording", "activation", "bundle_stratum", "bundle"),
)


def _append_only_on_sqlite() -> None:
    for table in _APPEND_ONLY:
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table}\n"
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def _append_only_on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION ecgbatch_append_only() RETURNS trigger LANGUAGE plpgsql AS $$\n"
        "BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$"
    )
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}\n"
            "FOR EACH STATEMENT EXECUTE FUNCTION ecgbatch_append_only()"
        )


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def _refers(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_{table}_{column}"))


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))


def _create_source() -> None:
    op.create_table(
        "source",
        sa.Column("source_id", _KEY, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("authority", sa.Text, nullable=False),
        sa.Column("time_zone", sa.Text),
        sa.PrimaryKeyConstraint("source_id", name=op.f("pk_source")),
        _check("source", "kind", "kind IN ('folder', 'database')"),
        sa.UniqueConstraint("name", name=op.f("uq_source_name")),
    )


def _create_item() -> None:
    op.create_table(
        "item",
        sa.Column("item_id", _KEY, nullable=False),
        sa.Column("source_id", _KEY, nullable=False),
        sa.Column("locator", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("recording_id", _KEY),
        sa.Column("first_seen_at", _UTC, nullable=False),
        sa.Column("changed_at", _UTC, nullable=False),
        sa.Column("last_seen_at", _UTC, nullable=False),
        sa.Column("missing_scans", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("gone_at", _UTC),
        sa.Column("acknowledged_at", _UTC),
        sa.Column("acknowledged_by", sa.Text),
        sa.Column("acknowledged_why", sa.Text),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_item")),
        _refers("item", "source_id", "source.source_id"),
        _refers("item", "recording_id", "recording.recording_id"),
        sa.UniqueConstraint(
            "source_id",
            "locator",
            "fingerprint",
            name=op.f("uq_item_source_id_locator_fingerprint"),
        ),
        _check(
            "item",
            "state",
            "state IN ('discovered', 'admitted', 'superseded', 'vanished', 'ignored')",
        ),
        _check("item", "reason", "state = 'admitted' OR reason IS NOT NULL"),
        _check("item", "missing_scans", "missing_scans >= 0"),
    )
    _index("item", "recording_id")
    _index("item", "state", "source_id")


def _create_recording() -> None:
    op.create_table(
        "recording",
        sa.Column("recording_id", _KEY, nullable=False),
        sa.Column("file_digest", sa.Text, nullable=False),
        sa.Column("signal_digest", sa.Text),
        sa.Column("acquisition_key", sa.Text),
        sa.Column("patient_key", sa.Text),
        sa.Column("acquired_at", _WALL),
        sa.Column("acquired_zone", sa.Text),
        sa.Column("age_years", sa.Float),
        sa.Column("sex", sa.Text),
        sa.Column("device", sa.Text),
        sa.Column("site", sa.Text),
        sa.Column("accession", sa.Text),
        sa.Column("order_number", sa.Text),
        sa.Column("ecg_id", sa.Text),
        sa.Column("edit_at", _WALL),
        sa.Column("edit_status", sa.Text),
        sa.Column("statement_normal", sa.Boolean),
        sa.Column("format", sa.Text),
        sa.Column("sampling_frequency", sa.Float),
        sa.Column("n_samples", sa.Integer),
        sa.Column("superseded_by", _KEY),
        sa.Column("superseded_at", _UTC),
        sa.Column("superseded_reason", sa.Text),
        sa.PrimaryKeyConstraint("recording_id", name=op.f("pk_recording")),
        _refers("recording", "superseded_by", "recording.recording_id"),
        _check("recording", "file_digest", "length(file_digest) = 64"),
        _check(
            "recording",
            "superseded_reason",
            "(superseded_at IS NULL) = (superseded_reason IS NULL)",
        ),
        _check(
            "recording",
            "superseded_by",
            "(superseded_at IS NULL) = (superseded_by IS NULL)"
            " AND (superseded_by IS NULL OR superseded_by <> recording_id)",
        ),
        sa.UniqueConstraint("file_digest", name=op.f("uq_recording_file_digest")),
    )
    _index("recording", "acquisition_key")
    _index("recording", "ecg_id")
    _index("recording", "patient_key")
    _index("recording", "signal_digest")


def _create_finding() -> None:
    op.create_table(
        "finding",
        sa.Column("finding_id", _KEY, nullable=False),
        sa.Column("recording_id", _KEY, nullable=False),
        sa.Column("scoring_version", sa.Integer, nullable=False),
        sa.Column("settings_digest", sa.Text, nullable=False),
        sa.Column("check_name", sa.Text, nullable=False),
        sa.Column("lead", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.Column("value", sa.Float),
        sa.Column("limit_value", sa.Float),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("refuses", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("finding_id", name=op.f("pk_finding")),
        _refers("finding", "recording_id", "recording.recording_id"),
        sa.UniqueConstraint(
            "recording_id",
            "scoring_version",
            "settings_digest",
            "check_name",
            "lead",
            name=op.f("uq_finding_check"),
        ),
    )


def _create_bundle() -> None:
    op.create_table(
        "bundle",
        sa.Column("bundle_digest", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("is_clinical", sa.Boolean, nullable=False),
        sa.Column("location", sa.Text),
        sa.PrimaryKeyConstraint("bundle_digest", name=op.f("pk_bundle")),
    )


def _create_bundle_stratum() -> None:
    op.create_table(
        "bundle_stratum",
        sa.Column("bundle_digest", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("stratum", sa.Text, nullable=False),
        sa.Column("cut_from", sa.Float, nullable=False),
        sa.Column("cut_to", sa.Float, nullable=False),
        sa.Column("share", sa.Float),
        sa.Column("npv", sa.Float),
        sa.Column("npv_from", sa.Float),
        sa.Column("npv_to", sa.Float),
        sa.Column("incidence", sa.Float),
        sa.Column("incidence_from", sa.Float),
        sa.Column("incidence_to", sa.Float),
        sa.Column("is_synthetic", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("bundle_digest", "task", "stratum", name=op.f("pk_bundle_stratum")),
        _refers("bundle_stratum", "bundle_digest", "bundle.bundle_digest"),
        _check("bundle_stratum", "task", "task IN ('RCA', 'LM', 'LAD', 'LCX', 'any_vessel')"),
        _check("bundle_stratum", "stratum", "stratum IN ('low', 'intermediate', 'high')"),
        _check("bundle_stratum", "cuts", "cut_from >= 0 AND cut_from <= cut_to AND cut_to <= 1"),
        _check("bundle_stratum", "share", "share >= 0 AND share <= 1"),
        _check("bundle_stratum", "npv", "npv >= 0 AND npv <= 1"),
        _check("bundle_stratum", "npv_from", "npv_from >= 0 AND npv_from <= 1"),
        _check("bundle_stratum", "npv_to", "npv_to >= 0 AND npv_to <= 1"),
        _check("bundle_stratum", "incidence", "incidence >= 0 AND incidence <= 1"),
        _check("bundle_stratum", "incidence_from", "incidence_from >= 0 AND incidence_from <= 1"),
        _check("bundle_stratum", "incidence_to", "incidence_to >= 0 AND incidence_to <= 1"),
    )


def _create_activation() -> None:
    op.create_table(
        "activation",
        sa.Column("activation_id", _KEY, nullable=False),
        sa.Column("bundle_digest", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("from_at", _UTC, nullable=False),
        sa.Column("to_at", _UTC),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("golden_report", sa.Text),
        sa.PrimaryKeyConstraint("activation_id", name=op.f("pk_activation")),
        _refers("activation", "bundle_digest", "bundle.bundle_digest"),
        _check("activation", "role", "role IN ('champion', 'challenger')"),
    )
    open_champion = sa.text("role = 'champion' AND to_at IS NULL")
    op.create_index(
        "uq_activation_champion",
        "activation",
        ["role"],
        unique=True,
        sqlite_where=open_champion,
        postgresql_where=open_champion,
    )


def _create_run() -> None:
    op.create_table(
        "run",
        sa.Column("run_id", _KEY, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("source_id", _KEY),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("started_at", _UTC, nullable=False),
        sa.Column("ended_at", _UTC),
        sa.Column("exit_code", sa.Integer),
        sa.Column("counts", sa.Text),
        sa.Column("canary", sa.Text),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run")),
        _refers("run", "source_id", "source.source_id"),
        _check("run", "ended_at", "(ended_at IS NULL) = (exit_code IS NULL)"),
    )


def _create_work() -> None:
    op.create_table(
        "work",
        sa.Column("work_id", _KEY, nullable=False),
        sa.Column("item_id", _KEY, nullable=False),
        sa.Column("bundle_digest", sa.Text, nullable=False),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("pipeline_id", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("reason_class", sa.Text),
        sa.Column("stage", sa.Text),
        sa.Column("priority", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("token", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("worker", sa.Text),
        sa.Column("lease_until", _UTC),
        sa.Column("next_at", _UTC),
        sa.Column("finished_at", _UTC),
        sa.PrimaryKeyConstraint("work_id", name=op.f("pk_work")),
        _refers("work", "item_id", "item.item_id"),
        _refers("work", "bundle_digest", "bundle.bundle_digest"),
        sa.UniqueConstraint(
            "item_id",
            "bundle_digest",
            "request",
            name=op.f("uq_work_item_id_bundle_digest_request"),
        ),
        _check(
            "work",
            "state",
            "state IN ('ready', 'leased', 'retry_wait', 'scored', 'rejected',"
            " 'quarantined', 'duplicate')",
        ),
        _check(
            "work",
            "reason_class",
            "reason_class IN ('format', 'signal', 'identity', 'eligibility',"
            " 'environment', 'internal')",
        ),
        _check(
            "work",
            "reason",
            "(reason IS NULL) = (state = 'scored') AND (reason IS NULL) = (reason_class IS NULL)",
        ),
        _check(
            "work",
            "lease",
            "(state = 'leased') = (lease_until IS NOT NULL)"
            " AND (state <> 'leased' OR worker IS NOT NULL)",
        ),
        _check("work", "next_at", "(state = 'retry_wait') = (next_at IS NOT NULL)"),
        _check(
            "work",
            "finished_at",
            "(state IN ('scored', 'rejected', 'quarantined', 'duplicate'))"
            " = (finished_at IS NOT NULL)",
        ),
        _check("work", "attempts", "attempts >= 0 AND token >= attempts"),
    )
    _index("work", "bundle_digest", "state", "priority", "work_id")


def _create_result() -> None:
    op.create_table(
        "result",
        sa.Column("result_id", _KEY, nullable=False),
        sa.Column("recording_id", _KEY, nullable=False),
        sa.Column("bundle_digest", sa.Text, nullable=False),
        sa.Column("pipeline_id", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("any_vessel_risk", sa.Float),
        sa.Column("any_vessel_stratum", sa.Text),
        sa.Column("outside_intended_use", sa.Boolean),
        sa.Column("reader", sa.Text),
        sa.Column("reader_version", sa.Text),
        sa.Column("signal_digest", sa.Text),
        sa.Column("preprocessing_digest", sa.Text, nullable=False),
        sa.Column("runtime", sa.Text, nullable=False),
        sa.Column("precision", sa.Text, nullable=False),
        sa.Column("code_version", sa.Text, nullable=False),
        sa.Column("library_versions", sa.Text, nullable=False),
        sa.Column("padded_samples", sa.Integer),
        sa.Column("run_id", _KEY, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("created_at", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("result_id", name=op.f("pk_result")),
        _refers("result", "recording_id", "recording.recording_id"),
        _refers("result", "bundle_digest", "bundle.bundle_digest"),
        _refers("result", "run_id", "run.run_id"),
        sa.UniqueConstraint(
            "recording_id",
            "bundle_digest",
            "pipeline_id",
            name=op.f("uq_result_recording_id_bundle_digest_pipeline_id"),
        ),
        _check("result", "outcome", "outcome IN ('scored', 'rejected')"),
        _check(
            "result", "any_vessel_stratum", "any_vessel_stratum IN ('low', 'intermediate', 'high')"
        ),
        _check("result", "reason", "(outcome = 'rejected') = (reason IS NOT NULL)"),
        _check(
            "result",
            "any_vessel",
            "outcome = 'rejected' AND any_vessel_risk IS NULL"
            " AND any_vessel_stratum IS NULL OR outcome = 'scored'"
            " AND any_vessel_risk IS NOT NULL AND any_vessel_risk >= 0"
            " AND any_vessel_risk <= 1 AND any_vessel_stratum IS NOT NULL",
        ),
    )
    _index("result", "run_id")


def _create_score() -> None:
    op.create_table(
        "score",
        sa.Column("result_id", _KEY, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("probability_raw", sa.Float, nullable=False),
        sa.Column("logit", sa.Float, nullable=False),
        sa.Column("stratum", sa.Text),
        sa.Column("near_cut", sa.Boolean, nullable=False),
        sa.Column("is_experimental", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("result_id", "task", name=op.f("pk_score")),
        _refers("score", "result_id", "result.result_id"),
        _check("score", "task", "task IN ('RCA', 'LM', 'LAD', 'LCX')"),
        _check("score", "stratum", "stratum IN ('low', 'intermediate', 'high')"),
        _check("score", "probability", "probability >= 0 AND probability <= 1"),
        _check("score", "probability_raw", "probability_raw >= 0 AND probability_raw <= 1"),
        _check("score", "logit", "logit > -1e300 AND logit < 1e300"),
        _check("score", "stratum_known", "stratum IS NOT NULL OR is_experimental"),
    )


def _create_event() -> None:
    op.create_table(
        "event",
        sa.Column("event_id", _KEY, nullable=False),
        sa.Column("run_id", _KEY),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("event_at", _UTC, nullable=False),
        sa.Column("item_id", _KEY),
        sa.Column("work_id", _KEY),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("from_state", sa.Text),
        sa.Column("to_state", sa.Text),
        sa.Column("reason", sa.Text),
        sa.Column("prev_hash", sa.Text),
        sa.Column("hash", sa.Text),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_event")),
        _refers("event", "run_id", "run.run_id"),
        _refers("event", "item_id", "item.item_id"),
        _refers("event", "work_id", "work.work_id"),
        sa.UniqueConstraint("run_id", "seq", name=op.f("uq_event_run_id_seq")),
    )
    _index("event", "item_id")


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("audit_id", _KEY, nullable=False),
        sa.Column("act_at", _UTC, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("act", sa.Text, nullable=False),
        sa.Column("selector", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("pk_audit")),
    )
