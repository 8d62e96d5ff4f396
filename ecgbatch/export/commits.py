"""What one export wrote, and where the next one goes on: a small JSON file per export."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from ecgbatch.errors import SetupFault
from ecgbatch.export.watermark import Mark, Writers
from ecgbatch.terms import ReasonCode

Kind = Literal["parquet", "csv"]
_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Choices:
    """What is decided when a folder is begun, and stays."""

    kind: Kind = "parquet"
    with_identifiers: bool = True


@dataclass(frozen=True, slots=True)
class File:
    """A data file; `path` is relative to the folder, `sha256` in hexadecimal."""

    path: str
    rows: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Commit:
    """One export.

    Attributes:
        database: which database it came from.
        anchor: what stood at the highest `result_id` read; None before the first one.
        writers: who could still fill the gaps of the two marks.
    """

    number: int
    at: datetime
    database: str
    choices: Choices
    results: Mark
    events: Mark
    writers: Writers
    anchor: str | None
    files: tuple[File, ...]

    def position(self) -> tuple[Mark, Mark]:
        return self.results, self.events


def to_json(commit: Commit) -> str:
    """The text of a commit; `from_json` gives back an equal one."""
    values = {"schema": _SCHEMA, **asdict(commit), "at": commit.at.isoformat()}
    names = sorted(commit.writers.names)
    values["writers"] = {"names": names, "is_known": commit.writers.is_known}
    return json.dumps(values, indent=1) + "\n"


def from_json(text: str) -> Commit:
    """Read a commit.

    Raises:
        SetupFault: EXPORT_FOLDER_UNFIT, damaged or of a newer version.
    """
    try:
        values = json.loads(text)
        if values.pop("schema") != _SCHEMA:
            raise SetupFault(ReasonCode.EXPORT_FOLDER_UNFIT, "written by another version")
        return _commit(values)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise SetupFault(ReasonCode.EXPORT_FOLDER_UNFIT, "its log is damaged") from None


def _commit(values: dict[str, Any]) -> Commit:
    writers = values["writers"]
    read = {
        "at": datetime.fromisoformat(values["at"]),
        "choices": Choices(**values["choices"]),
        "results": _mark(values["results"]),
        "events": _mark(values["events"]),
        "writers": Writers(frozenset(writers["names"]), bool(writers["is_known"])),
        "files": tuple(File(**one) for one in values["files"]),
    }
    return Commit(**{**values, **read})


def _mark(values: dict[str, Any]) -> Mark:
    gaps: Sequence[Sequence[int]] = values["gaps"]
    return Mark(int(values["top"]), tuple((int(first), int(last)) for first, last in gaps))
