"""Two runs in a process of its own whose memory is short from the second on.

Prints what became of each file, as JSON.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from ecgbatch import flow, pipeline
from ecgbatch.records import RecordingBytes
from ecgbatch.sources.folder import FolderSource
from tests.faults.ecg_files import FORMATS, ecg, put
from tests.faults.place import Place, place
from tests.support.ecgs import heartbeats, write_wfdb

LONG_SAMPLES = 300_000
"""10 minutes."""


def main(folder: Path, is_caught: bool) -> None:
    if not is_caught:
        for module in (flow, pipeline):
            module.MemoryError = ZeroDivisionError  # type: ignore[attr-defined]
    made = place(folder)
    scp = next(fmt for fmt in FORMATS if fmt.name == "scp")
    put(made.root / "0", ecg(scp, 1))
    made.run()
    (made.root / "1-long").mkdir()
    write_wfdb(made.root / "1-long", "long", heartbeats(2, LONG_SAMPLES))
    put(made.root / "2", ecg(scp, 3))
    put(made.root / "3", ecg(scp, 4))
    read = FolderSource.read
    FolderSource.read = _short_of_memory(read)  # type: ignore[method-assign]
    errors = [_error(made), _error(made)]
    short = _found(made)
    FolderSource.read = read  # type: ignore[method-assign]
    made.tell("UPDATE work SET next_at = '2000-01-01T00:00:00.000000Z' WHERE next_at > ''")
    errors.append(_error(made))
    sys.stdout.write(json.dumps({"errors": errors, "short": short, "enough": _found(made)}))


def _short_of_memory(read: Callable[..., RecordingBytes]) -> Callable[..., RecordingBytes]:
    """What is left is less than the long file needs; everything beyond it is as it was."""

    def short(source: FolderSource, locator: str, fingerprint: str) -> RecordingBytes:
        if locator.startswith("1-long"):
            raise MemoryError
        return read(source, locator, fingerprint)

    return short


def _error(made: Place) -> str | None:
    try:
        made.run()
    except MemoryError:
        return "MemoryError"
    return None


def _found(made: Place) -> dict[str, list[str | None]]:
    rows = made.ask("SELECT locator, disposition, reason FROM v_disposition ORDER BY locator")
    return {row["locator"].split("/")[0]: [row["disposition"], row["reason"]] for row in rows}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == "caught")
