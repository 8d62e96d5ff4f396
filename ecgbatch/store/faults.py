"""Where the errors of the database's libraries end: ours instead, with none of their text."""

import sqlite3

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from ecgbatch.errors import EcgbatchError, SetupFault, TransientFault
from ecgbatch.terms import ReasonCode

_SQLITE_FULL = 13
_SQLITE_SETUP = (3, 8, 11, 14, 23, 26)
"""SQLite result codes that no retry mends: perm, readonly, corrupt, cantopen, auth, notadb."""

_POSTGRES_TRANSIENT = ("08", "25", "40", "53", "55", "57")
_POSTGRES_DISK_FULL = "53100"
_POSTGRES_NO_RIGHT = "42501"
_POSTGRES_BAD_VALUE = ("22", "23")


def sqlite_fault(error: sqlite3.Error) -> EcgbatchError:
    """The same for a file that is opened without the library between."""
    return _sqlite_fault(getattr(error, "sqlite_errorcode", 0) & 0xFF)


def fault(error: SQLAlchemyError) -> EcgbatchError:
    """Our error for the library's; none of its text, which carries values."""
    if isinstance(error, IntegrityError) or not isinstance(error, DBAPIError):
        return EcgbatchError(ReasonCode.INTERNAL_FAULT, "database")
    if isinstance(error.orig, sqlite3.Error):
        return sqlite_fault(error.orig)
    lost = error.connection_invalidated or isinstance(error, OperationalError)
    return postgres_fault(getattr(error.orig, "sqlstate", None) or "", lost)


def _sqlite_fault(code: int) -> EcgbatchError:
    if code == _SQLITE_FULL:
        return TransientFault(ReasonCode.DISK_FULL)
    kind = SetupFault if code in _SQLITE_SETUP else TransientFault
    return kind(ReasonCode.DATABASE_UNAVAILABLE)


def postgres_fault(sqlstate: str, lost: bool) -> EcgbatchError:
    """The same for an error of the driver itself; `lost`: the connection may be gone."""
    if sqlstate == _POSTGRES_DISK_FULL:
        return TransientFault(ReasonCode.DISK_FULL)
    if sqlstate == _POSTGRES_NO_RIGHT:
        return SetupFault(ReasonCode.DATABASE_UNAVAILABLE, "the role lacks a right")
    if sqlstate[:2] in _POSTGRES_BAD_VALUE:
        return EcgbatchError(ReasonCode.INTERNAL_FAULT, "database")
    if sqlstate[:2] in _POSTGRES_TRANSIENT or (not sqlstate and lost):
        return TransientFault(ReasonCode.DATABASE_UNAVAILABLE)
    return SetupFault(ReasonCode.DATABASE_UNAVAILABLE)
