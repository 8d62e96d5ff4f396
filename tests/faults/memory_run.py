"""Two runs in a process of its own whose memory is short from the second on.

Prints what became of each file, as JSON.
"""

import json
import re
import resource
import sys
from pathlib import Path

from ecgbatch import pipeline
from tests.faults.ecg_files import FORMATS, ecg, put
from tests.faults.place import Place, place
from tests.support.ecgs import heartbeats, write_wfdb

LEFT_BYTES = 20 << 20
LONG_SAMPLES = 300_000
"""10 minutes: 7 MB as a file, 29 MB as millivolts."""


def main(folder: Path, is_caught: bool) -> None:
    if not is_caught:
        pipeline.MemoryError = ZeroDivisionError  # type: ignore[attr-defined]
    made = place(folder)
    scp = next(fmt for fmt in FORMATS if fmt.name == "scp")
    put(made.root / "0", ecg(scp, 1))
    made.run()
    (made.root / "1-long").mkdir()
    write_wfdb(made.root / "1-long", "long", heartbeats(2, LONG_SAMPLES))
    put(made.root / "2", ecg(scp, 3))
    put(made.root / "3", ecg(scp, 4))
    _leave(LEFT_BYTES)
    errors = [_error(made), _error(made)]
    short = _found(made)
    _leave(None)
    made.tell("UPDATE work SET next_at = '2000-01-01T00:00:00.000000Z' WHERE next_at > ''")
    errors.append(_error(made))
    sys.stdout.write(json.dumps({"errors": errors, "short": short, "enough": _found(made)}))


def _leave(n_bytes: int | None) -> None:
    """So much address space beside what the process has."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    found = re.search(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    soft = hard if n_bytes is None else int(found[1]) * 1024 + n_bytes
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


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
