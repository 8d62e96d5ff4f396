"""Alembic's environment: the connection comes from `ecgbatch.store.migrate`, never from a file."""

from alembic import context

from ecgbatch.store.tables_ledger import metadata


def run() -> None:
    connection = context.config.attributes.get("connection")
    if connection is None:
        dialect = context.config.attributes["dialect"]
        context.configure(
            dialect_name=dialect,
            target_metadata=metadata,
            literal_binds=True,
            transactional_ddl=True,
        )
    else:
        context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()


run()
