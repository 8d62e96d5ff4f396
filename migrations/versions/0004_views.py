"""Views for every question; what came of computing results again.

A snapshot: this file is not edited when the tables move on, a later migration is added.
"""

import sqlalchemy as sa
from alembic import op

from ecgbatch.store.views_0003 import views_0003
from ecgbatch.store.views_0004 import views_0004

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UTC = sa.TIMESTAMP(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    dialect = op.get_context().dialect.name
    _drop_views(views_0003(dialect))
    _create_verification()
    _date_recordings()
    for name, table, expression in _indexes(dialect):
        op.execute(f"CREATE INDEX {name} ON {table} ({expression})")
    for statement in views_0004(dialect).values():
        op.execute(statement)


def downgrade() -> None:
    dialect = op.get_context().dialect.name
    _drop_views(views_0004(dialect))
    op.drop_table("verification")
    for name, *_ in _indexes(dialect):
        op.execute(f"DROP INDEX {name}")
    op.drop_column("recording", "first_seen_at")
    for statement in views_0003(dialect).values():
        op.execute(statement)


def _drop_views(views: dict[str, str]) -> None:
    for view in reversed(views):
        op.execute(f"DROP VIEW {view}")


def _date_recordings() -> None:
    """An index reaches no other table: what the items say is copied to their recording."""
    op.add_column("recording", sa.Column("first_seen_at", _UTC))
    op.execute(
        "UPDATE recording SET first_seen_at = (SELECT MIN(i.first_seen_at) FROM item i"
        " WHERE i.recording_id = recording.recording_id)"
    )


def _indexes(dialect: str) -> tuple[tuple[str, str, str], ...]:
    """Name, table and what is indexed."""
    if dialect == "sqlite":
        ecg_date = "COALESCE(acquired_at, substr(first_seen_at, 1, 26))"
        created_on = "substr(created_at, 1, 10)"
    else:
        ecg_date = "COALESCE(acquired_at, first_seen_at AT TIME ZONE 'UTC')"
        created_on = "CAST(created_at AT TIME ZONE 'UTC' AS date)"
    return (
        ("ix_recording_ecg_date", "recording", ecg_date),
        ("ix_result_created_at", "result", "created_at"),
        ("ix_result_created_on", "result", created_on),
        ("ix_supersession_recording_id", "supersession", "recording_id"),
    )


def _check(name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_verification_{name}"))


def _create_verification() -> None:
    op.create_table(
        "verification",
        sa.Column("verification_id", _KEY, nullable=False),
        sa.Column("result_id", _KEY, nullable=False),
        sa.Column("run_id", _KEY),
        sa.Column("verified_at", _UTC, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("stage", sa.Text),
        sa.Column("difference", sa.Float),
        sa.Column("code_version", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("verification_id", name=op.f("pk_verification")),
        sa.ForeignKeyConstraint(
            ["result_id"], ["result.result_id"], name=op.f("fk_verification_result_id")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name=op.f("fk_verification_run_id")),
        _check("outcome", "outcome IN ('identical', 'tolerance', 'differs', 'gone')"),
        _check("stage", "stage IN ('bytes', 'signal', 'preprocessing', 'net', 'strata')"),
    )
    op.create_index(op.f("ix_verification_result_id"), "verification", ["result_id"])
    if op.get_context().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER verification_no_{act.lower()} BEFORE {act} ON verification\n"
                "BEGIN SELECT RAISE(ABORT, 'verification is append-only'); END"
            )
    else:
        op.execute(
            "CREATE TRIGGER verification_append_only"
            " BEFORE UPDATE OR DELETE OR TRUNCATE ON verification\n"
            "FOR EACH STATEMENT EXECUTE FUNCTION ecgbatch_append_only()"
        )
