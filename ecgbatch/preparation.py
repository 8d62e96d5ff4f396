"""Database and site key, fit for use or refused. Needs no torch, so that `status` is quick."""

import os
from pathlib import Path

from ecgbatch.errors import SetupFault
from ecgbatch.identity import READABLE, Pseudonymiser, create_site_key, load_site_key
from ecgbatch.settings import Settings
from ecgbatch.store import overview
from ecgbatch.store.engine import Engine, open_engine, read_only, sqlite_path, transaction
from ecgbatch.store.options import DatabaseOptions
from ecgbatch.store.revision import check_revision
from ecgbatch.terms import ReasonCode


def options_of(settings: Settings) -> DatabaseOptions:
    """How the settings want the database to be reached."""
    database = settings.database
    return DatabaseOptions(
        database.schema_name,
        database.tls,
        database.tls_root,
    )


def open_to_read(settings: Settings) -> Engine:
    """The database at this version's revision, in sessions that can neither write nor lock.

    Raises:
        SetupFault: missing, unreachable, or at another revision.
    """
    engine = read_only(settings.database_url(), options_of(settings))
    check_revision(engine)
    return engine


def open_database(settings: Settings, *, create: bool = False) -> tuple[Engine, list[str]]:
    """The database at this version's revision; a missing SQLite file is made only if asked.

    Raises:
        SetupFault: missing, unreachable, or at another revision.
    """
    url = settings.database_url()
    path = sqlite_path(url)
    notices: list[str] = []
    if create and path is not None and not os.path.exists(path):  # noqa: PTH110 - never raises
        # Alembic takes a sixth of a second to load, and most runs find their database made.
        from ecgbatch.store.migrate import migrate  # noqa: PLC0415

        migrate(url, options_of(settings))
        notices.append(f"created the database {path.name}")
    engine = open_engine(url, options_of(settings))
    check_revision(engine)
    return engine, notices


def pseudonymiser_of(
    settings: Settings, engine: Engine, *, may_create: bool = True
) -> tuple[Pseudonymiser, list[str]]:
    """The site's pseudonymiser; a new SQLite database gets its key here, once.

    Args:
        may_create: False where a database without a key is not about to get recordings.

    Raises:
        SetupFault: as `site_key`; SITE_KEY_MISSING where none may be made; SETTINGS_INVALID, the
            database holds the other kind of patient keys.
    """
    _check_kind(settings, engine)
    site = settings.site
    placeholders = frozenset(word.strip().lower() for word in site.placeholders)
    if not site.pseudonymise:
        warning = "warning: site.pseudonymise is false: patient_key holds identifiers"
        return Pseudonymiser(None, site.authority, placeholders), [warning]
    key, notices = site_key(settings, engine), []
    if key is None:
        path = _key_beside(settings)
        if not may_create:
            raise SetupFault(ReasonCode.SITE_KEY_MISSING, "the first run makes it")
        key = create_site_key(path)
        notices.append(f"created the site key {path.name}: keep it with the database, and secret")
    return Pseudonymiser(key, site.authority, placeholders), notices


def _check_kind(settings: Settings, engine: Engine) -> None:
    """One database holds pseudonyms or identifiers, never both: they would not meet."""
    with transaction(engine) as connection:
        known = overview.a_patient_key(connection)
    if known is not None and (READABLE in known) is settings.site.pseudonymise:
        held = "identifiers" if settings.site.pseudonymise else "pseudonyms"
        raise SetupFault(ReasonCode.SETTINGS_INVALID, f"site.pseudonymise: it holds {held}")


def site_key(settings: Settings, engine: Engine) -> bytes | None:
    """The key from the settings, or for SQLite from NAME.key; None for a database without records.

    Raises:
        SetupFault: no key, or one that others can read. A lost key is never replaced: the same
            patients would get other pseudonyms.
    """
    if settings.site.key_file:
        return load_site_key(Path(settings.site.key_file))
    path = _key_beside(settings)
    if os.path.exists(path):  # noqa: PTH110 - never raises
        return load_site_key(path)
    with transaction(engine) as connection:
        if overview.has_recordings(connection):
            raise SetupFault(ReasonCode.SITE_KEY_MISSING, f"{path.name} is gone")
    return None


def _key_beside(settings: Settings) -> Path:
    database = sqlite_path(settings.database_url())
    if database is None:
        raise SetupFault(ReasonCode.SITE_KEY_MISSING)
    key = database.with_suffix(".key")
    if key == database:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "a database is not called .key")
    return key
