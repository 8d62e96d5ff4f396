"""Migrations: the database brought to the revision of this program, or the SQL that does it."""

import os
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateSchema

from ecgbatch.errors import SetupFault
from ecgbatch.resources import folder
from ecgbatch.store.engine import normalise, owner_engine, sqlite_path, transaction
from ecgbatch.store.engine_sqlite import refuse_network
from ecgbatch.store.faults import fault
from ecgbatch.store.options import DEFAULT, DatabaseOptions
from ecgbatch.store.revision import stated
from ecgbatch.store.tables import HEAD
from ecgbatch.terms import ReasonCode

_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(25443, 0)"


@dataclass(frozen=True, slots=True)
class Migration:
    """Revision before (None: an empty database) and after; `created`: the file is new."""

    before: str | None
    after: str
    created: bool


def head() -> str:
    """The revision that this program works with."""
    return HEAD


def migrate(url: str, options: DatabaseOptions = DEFAULT) -> Migration:
    """Bring the database to `head()`, in one transaction; a missing SQLite file is made (0600).

    On PostgreSQL the schema of the options is made where it is missing.

    Raises:
        SetupFault: SQLITE_ON_NETWORK_FS; DATABASE_MISSING, the SQLite file's folder is not there;
            DATABASE_UNAVAILABLE; DATABASE_REVISION, the database is newer than this program.
    """
    path = sqlite_path(url)
    if path is not None:
        refuse_network(path.absolute())
    created = path is not None and _create(path)
    try:
        engine = owner_engine(url, options)
        try:
            before = _upgrade(engine, options.schema_name)
        finally:
            engine.dispose()
    except BaseException:
        if created and path is not None:
            path.unlink(missing_ok=True)
        raise
    return Migration(before, HEAD, created)


def migration_sql(url_or_dialect: str) -> str:
    """The SQL from an empty database to `head()`, for a DBA to read and run.

    Args:
        url_or_dialect: `sqlite`, `postgresql` or a database URL; nothing is connected to.
    """
    plain = url_or_dialect in {"sqlite", "postgresql"}
    dialect = url_or_dialect if plain else normalise(url_or_dialect).get_backend_name()
    buffer = StringIO()
    config = _config()
    config.output_buffer = buffer
    config.attributes["dialect"] = dialect
    command.upgrade(config, "head", sql=True)
    return buffer.getvalue()


def roles_sql(schema_name: str) -> str:
    """The SQL that makes the roles of a PostgreSQL database and grants what each needs.

    Args:
        schema_name: of the tables.
    """
    script = (folder("migrations") / "roles.sql").read_text(encoding="utf-8")
    return script.replace("SET search_path = public;", f'SET search_path = "{schema_name}";', 1)


def _create(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    except FileNotFoundError:
        raise SetupFault(ReasonCode.DATABASE_MISSING, "its folder does not exist") from None
    except OSError:
        raise SetupFault(ReasonCode.DATABASE_UNAVAILABLE, "the file cannot be made") from None
    return True


def _upgrade(engine: Engine, schema_name: str) -> str | None:
    with transaction(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(_ONE_AT_A_TIME)
            _make_schema(connection, schema_name)
        before = stated(connection)
        if before != HEAD:
            _run(connection, "head")
        return before


def _make_schema(connection: Connection, name: str) -> None:
    """Asked first: a role that may not create schemas can still migrate inside its own."""
    known = select(func.to_regnamespace(name))
    if connection.execute(known).scalar() is None:
        connection.execute(CreateSchema(name))


def _run(connection: Connection, target: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, target)
    except CommandError:
        raise SetupFault(ReasonCode.DATABASE_REVISION, f"this program has {HEAD}") from None
    except SQLAlchemyError as error:
        raise fault(error) from None


def _config() -> Config:
    config = Config()
    # Alembic's options are interpolated, so a percent sign in a path is doubled.
    config.set_main_option("script_location", str(folder("migrations")).replace("%", "%%"))
    return config
