"""What an unattended ledger needs: fences, losses, spans of supersession, operators, schedules.

A snapshot: this file is not edited when the tables move on, a later migration is added.
"""

import sqlalchemy as sa
from alembic import op

from ecgbatch.store.views import views_0001
from ecgbatch.store.views_0002 import views_0002

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UTC = sa.TIMESTAMP(timezone=True).with_variant(sa.Text(), "sqlite")

_CHAINED = {
    "event": "NEW.hash IS NULL OR NEW.prev_hash IS NULL OR NEW.run_id IS NULL",
    "audit": "NEW.hash IS NULL OR NEW.prev_hash IS NULL",
}
_CREATED = ("supersession", "rescore", "control", "firing", "heartbeat", "alert", "patient")


def _added() -> tuple[tuple[str, tuple[sa.Column[object], ...]], ...]:
    """SQLite can add neither a named constraint nor a reference: plain columns."""
    return (
        (
            "source",
            (
                sa.Column("scan_token", sa.Integer, nullable=False, server_default=sa.text("0")),
                sa.Column("watermark", sa.Text),
            ),
        ),
        ("item", (sa.Column("members", sa.Text), sa.Column("archived_at", _UTC))),
        (
            "work",
            (
                sa.Column("is_alone", sa.Boolean, nullable=False, server_default=sa.false()),
                sa.Column("losses", sa.Integer, nullable=False, server_default=sa.text("0")),
                sa.Column("leased_at", _UTC),
                sa.Column("fault_since", _UTC),
            ),
        ),
        ("run", (sa.Column("events", sa.Integer), sa.Column("chain_head", sa.Text))),
        ("result", (sa.Column("work_id", _KEY),)),
        ("audit", (sa.Column("prev_hash", sa.Text), sa.Column("hash", sa.Text))),
    )


def upgrade() -> None:
    dialect = op.get_context().dialect.name
    _drop_views(dialect)
    for table, columns in _added():
        for column in columns:
            op.add_column(table, column)
    _create_supersession()
    _create_rescore()
    _create_control()
    _create_firing()
    _create_heartbeat()
    _create_alert()
    _create_patient()
    _fill_supersession()
    # A worker of the former version may still run: its leases are void, its units come back.
    op.execute("UPDATE work SET token = token + 1 WHERE state = 'leased'")
    _refuse_unchained(dialect)
    for statement in views_0002(dialect).values():
        op.execute(statement)


def downgrade() -> None:
    dialect = op.get_context().dialect.name
    _drop_views(dialect)
    for table in _CHAINED:
        on = "" if dialect == "sqlite" else f" ON {table}"
        op.execute(f"DROP TRIGGER {table}_chained{on}")
    if dialect != "sqlite":
        op.execute("DROP FUNCTION ecgbatch_chained()")
    for table in reversed(_CREATED):
        op.drop_table(table)
    for table, columns in reversed(_added()):
        for column in columns:
            op.drop_column(table, column.name)
    for statement in views_0001(dialect).values():
        op.execute(statement)


def _refuse_unchained(dialect: str) -> None:
    """A worker of the former version writes events without a hash: its transaction fails whole."""
    if dialect != "sqlite":
        op.execute(
            "CREATE FUNCTION ecgbatch_chained() RETURNS trigger LANGUAGE plpgsql AS $$\n"
            "BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' without a hash'; END $$"
        )
    for table, condition in _CHAINED.items():
        if dialect == "sqlite":
            op.execute(
                f"CREATE TRIGGER {table}_chained BEFORE INSERT ON {table}\n"
                f"WHEN {condition}\n"
                f"BEGIN SELECT RAISE(ABORT, '{table} without a hash'); END"
            )
        else:
            op.execute(
                f"CREATE TRIGGER {table}_chained BEFORE INSERT ON {table}\n"
                f"FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION ecgbatch_chained()"
            )


def _drop_views(dialect: str) -> None:
    for view in reversed(views_0001(dialect)):
        op.execute(f"DROP VIEW {view}")


def _refers(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_{table}_{column}"))


def _create_supersession() -> None:
    op.create_table(
        "supersession",
        sa.Column("supersession_id", _KEY, nullable=False),
        sa.Column("recording_id", _KEY, nullable=False),
        sa.Column("superseded_by", _KEY, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("from_at", _UTC, nullable=False),
        sa.Column("to_at", _UTC),
        sa.PrimaryKeyConstraint("supersession_id", name=op.f("pk_supersession")),
        _refers("supersession", "recording_id", "recording.recording_id"),
        _refers("supersession", "superseded_by", "recording.recording_id"),
    )
    is_open = sa.text("to_at IS NULL")
    op.create_index(
        op.f("uq_supersession_open"),
        "supersession",
        ["recording_id"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )


def _fill_supersession() -> None:
    op.execute(
        "INSERT INTO supersession (recording_id, superseded_by, reason, from_at)"
        " SELECT recording_id, superseded_by, superseded_reason, superseded_at"
        " FROM recording WHERE superseded_at IS NOT NULL"
    )


def _create_rescore() -> None:
    op.create_table(
        "rescore",
        sa.Column("rescore_id", _KEY, nullable=False),
        sa.Column("asked_at", _UTC, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("bundle_digest", sa.Text, nullable=False),
        sa.Column("units", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("rescore_id", name=op.f("pk_rescore")),
        _refers("rescore", "bundle_digest", "bundle.bundle_digest"),
    )


def _create_control() -> None:
    op.create_table(
        "control",
        sa.Column("control_id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("halted_at", _UTC),
        sa.Column("halted_by", sa.Text),
        sa.Column("halted_why", sa.Text),
        sa.PrimaryKeyConstraint("control_id", name=op.f("pk_control")),
    )
    op.execute("INSERT INTO control (control_id) VALUES (1)")


def _create_firing() -> None:
    op.create_table(
        "firing",
        sa.Column("schedule", sa.Text, nullable=False),
        sa.Column("due_at", _UTC, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("fired_at", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("schedule", "due_at", name=op.f("pk_firing")),
    )


def _create_heartbeat() -> None:
    op.create_table(
        "heartbeat",
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("run_id", _KEY),
        sa.Column("started_at", _UTC, nullable=False),
        sa.Column("seen_at", _UTC, nullable=False),
        sa.PrimaryKeyConstraint("worker", name=op.f("pk_heartbeat")),
        _refers("heartbeat", "run_id", "run.run_id"),
    )


def _create_alert() -> None:
    op.create_table(
        "alert",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("since_at", _UTC, nullable=False),
        sa.Column("sent_at", _UTC),
        sa.Column("count", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_alert")),
    )


def _create_patient() -> None:
    op.create_table(
        "patient",
        sa.Column("patient_key", sa.Text, nullable=False),
        sa.Column("current_key", sa.Text, nullable=False),
        sa.Column("merged_at", _UTC),
        sa.Column("merged_by", sa.Text),
        sa.Column("is_merged", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("patient_key", name=op.f("pk_patient")),
    )
    op.create_index(op.f("ix_patient_current_key"), "patient", ["current_key"])
