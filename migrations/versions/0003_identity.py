"""Merges of merges can be undone one by one; on PostgreSQL the schema for kept identifiers.

A re-scoring that adds no result no longer shows its item as a duplicate.

A snapshot: this file is not edited when the tables move on, a later migration is added.
"""

import sqlalchemy as sa
from alembic import op

from ecgbatch.store.views_0002 import views_0002
from ecgbatch.store.views_0003 import views_0003

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("patient", sa.Column("merged_into", sa.Text))
    op.execute("UPDATE patient SET merged_into = current_key WHERE is_merged")
    # On SQLite identifiers are in a file of their own, made when the first one is kept.
    if op.get_context().dialect.name != "sqlite":
        _create_identity()
    _replace_views(views_0003(op.get_context().dialect.name))


def downgrade() -> None:
    if op.get_context().dialect.name != "sqlite":
        op.execute("DROP TABLE identity.patient_identifier")
    op.drop_column("patient", "merged_into")
    _replace_views(views_0002(op.get_context().dialect.name))


def _replace_views(views: dict[str, str]) -> None:
    for view in reversed(views):
        op.execute(f"DROP VIEW {view}")
    for statement in views.values():
        op.execute(statement)


def _create_identity() -> None:
    """Asked first: a role that may not create schemas can use one that its DBA has made."""
    op.execute(
        "DO $$ BEGIN\n"
        "  IF to_regnamespace('identity') IS NULL THEN CREATE SCHEMA identity; END IF;\n"
        "END $$"
    )
    op.execute(
        "CREATE TABLE IF NOT EXISTS identity.patient_identifier (\n"
        "  patient_key text NOT NULL,\n"
        "  authority text NOT NULL,\n"
        "  identifier text NOT NULL,\n"
        "  CONSTRAINT pk_patient_identifier PRIMARY KEY (patient_key)\n"
        ")"
    )
