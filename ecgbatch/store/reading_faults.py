"""What a database says against a statement, in words of ours: names that were typed, no values."""

import re
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from ecgbatch.errors import EcgbatchError, SetupFault
from ecgbatch.store.faults import postgres_fault, sqlite_fault
from ecgbatch.store.statement import Statement
from ecgbatch.terms import ReasonCode

_WRITES = (ReasonCode.STATEMENT_REFUSED, "it does more than read")
_SLOW = (ReasonCode.STATEMENT_TOO_SLOW, "")
_HIDDEN = (ReasonCode.STATEMENT_REFUSED, "this account may not read all of it")
_PARAMETER = "it has a parameter: write the value itself"
_UNSHOWN = "a value that cannot be shown here"
_SQLITE_ERROR = 1
_SQLITE_TOO_BIG = 18
_SQLITE_SAID = {23: _WRITES, 8: _WRITES, 9: _SLOW}
"""By result code: auth, readonly, interrupt."""
_SQLITE_UNKNOWN = re.compile(r"no such (column|table|function): (.+)")
_SQLITE_NEAR = re.compile(r'near "([^\W\d]\w*)": syntax error')
_SQLITE_SAFE = re.compile(
    r"ambiguous column name: [\w.]+|misuse of (aggregate|window)( function)?:? ?\w*\(?\)?"
    r"|wrong number of arguments to function \w+\(\)|incomplete input"
    r"|a GROUP BY clause is required before HAVING"
)
_POSTGRES_SAID = {
    "25006": _WRITES,
    "57014": _SLOW,
    "42501": _HIDDEN,
    "08P01": (ReasonCode.STATEMENT_INVALID, _PARAMETER),
}
"""By SQLSTATE: a read-only transaction, cancelled, no right, parameters without values."""
_POSTGRES_UNKNOWN: Mapping[str, Literal["column", "table"]] = {"42703": "column", "42P01": "table"}
_POSTGRES_WRONG = frozenset({"0A", "21", "22", "42", "54"})
"""Classes of SQLSTATE that a statement brings upon itself."""
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Clue:
    """What is known about a fault: either `fault` as it is to be raised, or what is unknown."""

    fault: EcgbatchError | None = None
    unknown: Literal["column", "table"] | None = None
    word: str = ""


def clue_of(error: Exception, statement: Statement) -> Clue | None:
    """What a driver's error means; None for an error that is no driver's."""
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error)
    if type(error).__module__.partition(".")[0] == "psycopg":
        return _of_postgres(error, statement)
    return None


def fault_of(
    clue: Clue, statement: Statement, catalogue: Mapping[str, Iterable[str]]
) -> EcgbatchError:
    """The fault to raise; an unknown name comes with the nearest ones that there are.

    Args:
        catalogue: columns by view and table.
    """
    if clue.fault is not None:
        return clue.fault
    near = nearest(clue, statement, catalogue)
    named = f'no {clue.unknown} "{clue.word}"' if clue.word else f"an unknown {clue.unknown}"
    return _invalid(f"{named}; near it: {', '.join(near)}" if near else named)


def nearest(
    clue: Clue, statement: Statement, catalogue: Mapping[str, Iterable[str]]
) -> tuple[str, ...]:
    """The names most like an unknown one: of columns first those of what the statement reads."""
    if clue.unknown == "table":
        return _like(clue.word, catalogue)
    read = [name for name in catalogue if name in statement.names]
    own = _like(clue.word, (column for name in read for column in catalogue[name]))
    if own or read:
        return own
    return _like(clue.word, (column for columns in catalogue.values() for column in columns))


def _like(word: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(get_close_matches(word.lower(), dict.fromkeys(names), n=_SHOWN, cutoff=0.55))


def _of_sqlite(error: sqlite3.Error) -> Clue:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if isinstance(error, sqlite3.Warning | sqlite3.ProgrammingError):
        has_parameter = "binding" in str(error)
        return Clue(_invalid(_PARAMETER) if has_parameter else _refused("more than one statement"))
    if code in _SQLITE_SAID:
        return Clue(SetupFault(*_SQLITE_SAID[code]))
    if code == _SQLITE_TOO_BIG:
        return Clue(_invalid("a value is too long"))
    if str(error).startswith("Could not decode to UTF-8"):
        return Clue(_invalid(f"{_UNSHOWN}: no UTF-8 text"))
    return _of_sqlite_text(str(error)) if code == _SQLITE_ERROR else Clue(sqlite_fault(error))


def _of_sqlite_text(text: str) -> Clue:
    if unknown := _SQLITE_UNKNOWN.fullmatch(text):
        kind, word = unknown[1], unknown[2].rpartition(".")[2]
        if kind == "function":
            return Clue(_invalid(f'no function "{word}"'))
        return Clue(unknown="column" if kind == "column" else "table", word=word)
    if text.startswith("not authorized"):
        return Clue(SetupFault(*_WRITES))
    if near := _SQLITE_NEAR.fullmatch(text):
        return Clue(_invalid(f'syntax error near "{near[1]}"'))
    return Clue(_invalid(text if _SQLITE_SAFE.fullmatch(text) else "SQLite does not accept it"))


def _of_postgres(error: Exception, statement: Statement) -> Clue:
    state = getattr(error, "sqlstate", None) or ""
    position = int(getattr(getattr(error, "diag", None), "statement_position", None) or 0)
    word = statement.name_at(position - 1) if position else ""
    if state in _POSTGRES_SAID:
        return Clue(SetupFault(*_POSTGRES_SAID[state]))
    if state in _POSTGRES_UNKNOWN:
        return Clue(unknown=_POSTGRES_UNKNOWN[state], word=word)
    if state[:2] in _POSTGRES_WRONG:
        where = f' near "{word}"' if word else ""
        return Clue(_invalid(f"{_words(type(error).__name__)}{where}"))
    if not state and type(error).__name__ == "DataError":
        return Clue(_invalid(f"{_UNSHOWN}; cast it to text"))
    return Clue(postgres_fault(state, lost=type(error).__name__ == "OperationalError"))


def _words(name: str) -> str:
    """`UndefinedFunction` as words: the driver names its errors after the standard."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", name).lower()


def _invalid(detail: str) -> SetupFault:
    return SetupFault(ReasonCode.STATEMENT_INVALID, detail)


def _refused(detail: str) -> SetupFault:
    return SetupFault(ReasonCode.STATEMENT_REFUSED, detail)
