"""Which revision of the tables a database has; read plainly, so that no run loads Alembic."""

from sqlalchemy import Connection, Engine, Text, column, inspect, select, table
from sqlalchemy.exc import SQLAlchemyError

from ecgbatch.errors import SetupFault
from ecgbatch.store.tables import HEAD
from ecgbatch.terms import ReasonCode

_VERSION = table("alembic_version", column("version_num", Text))


def stated(connection: Connection) -> str | None:
    """The revision that the database states; None where no migration has run.

    Raises:
        SQLAlchemyError: it cannot be read, or there are several.
    """
    if not inspect(connection).has_table(_VERSION.name):
        return None
    return connection.execute(select(_VERSION.c.version_num)).scalar_one_or_none()


def check_revision(engine: Engine) -> None:
    """Refuse a database that this program's tables do not describe.

    Raises:
        SetupFault: DATABASE_REVISION; DATABASE_UNAVAILABLE.
    """
    try:
        with engine.connect() as connection:
            found = stated(connection)
    except SQLAlchemyError:
        raise SetupFault(ReasonCode.DATABASE_UNAVAILABLE) from None
    _check(found)


def check_migrated(connection: Connection) -> None:
    """The same inside a transaction, of a database that was migrated once.

    Raises:
        SetupFault: DATABASE_REVISION.
    """
    _check(connection.execute(select(_VERSION.c.version_num)).scalar())


def _check(found: str | None) -> None:
    if found != HEAD:
        raise SetupFault(ReasonCode.DATABASE_REVISION, f"found {found or 'none'}, needs {HEAD}")
