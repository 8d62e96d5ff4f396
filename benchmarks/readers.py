"""CPU time of reading one ECG in process, format by format: bytes in, `Recording` out.

Beside it what the run itself does per ECG around that: reading the files of a folder, the digest
of their bytes, the facts with pseudonyms.

Process time, the least of `ROUNDS` short rounds, so that neighbours disturb little. The last line
is JSON, in ms. Run with `python -m benchmarks.readers`.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import kept
from ecgbatch.identity import Pseudonymiser, facts_of
from ecgbatch.isolation.here import decode_here
from ecgbatch.readers.compressed import expand
from ecgbatch.records import Stated
from ecgbatch.resources import demonstration
from ecgbatch.sources.folder import FolderSource

ROUNDS = 40
ROUND_S = 0.02
LIMIT_BYTES = 1 << 26
_SHIPPED = demonstration("samples")
_OTHERS = Path(__file__).parents[1] / "tests" / "data" / "samples"
FILES = {
    "wfdb": (_SHIPPED, "wfdb/E07500.hea"),
    "muse": (_SHIPPED, "muse/guangxi_teaching_sinus_rhythm.xml"),
    "philips": (_OTHERS, "philips/ad4d3d80-d165_1-04_orig.xml.gz"),
    "aecg": (_OTHERS, "aecg/ecgtoolkit_Example.xml.gz"),
    "mortara": (_OTHERS, "mortara/ecgdatakit_mortara_synthetic.xml"),
    "dicom": (_OTHERS, "dicom/guangxi_teaching_sinus_rhythm.dcm"),
    "scp": (_OTHERS, "scp/ecgtoolkit_Example.scp"),
    "edf": (_OTHERS, "edf/A0001.edf"),
}
AROUND = ("wfdb", "muse")


def main() -> None:
    options = kept.parsed(kept.parser("reading one ECG", "two rounds"))
    n_rounds = 2 if options.quick else ROUNDS
    answer = {"read": {name: _read_ms(*place, n_rounds) for name, place in FILES.items()}}
    answer |= {f"around {name}": _around_ms(*FILES[name], n_rounds) for name in AROUND}
    for title, figures in answer.items():
        line = ", ".join(f"{name} {figure:.3f}" for name, figure in figures.items())
        sys.stdout.write(f"{title} (ms): {line}\n")
    kept.tell("readers", answer, is_kept=options.write)


def _read_ms(root: Path, locator: str, n_rounds: int) -> float:
    """Of the plain file: how it is compressed is not the format's matter."""
    source = expand(FolderSource(root, LIMIT_BYTES).read_as_is(locator))
    return _ms(lambda: decode_here(source), n_rounds)


def _around_ms(root: Path, locator: str, n_rounds: int) -> dict[str, float]:
    folder = FolderSource(root, LIMIT_BYTES)
    seen = next(seen for seen in folder.scan() if seen.locator == locator)
    source = folder.read(locator, seen.fingerprint)
    stated = Stated.of(decode_here(source))
    pseudonymiser = Pseudonymiser(b"k" * 32, "benchmark", frozenset({"unknown"}))
    return {
        "folder": _ms(lambda: folder.read(locator, seen.fingerprint), n_rounds),
        "digest": _ms(lambda: source.file_digest, n_rounds),
        "facts": _ms(lambda: facts_of(stated, "0" * 64, pseudonymiser, "Europe/Berlin"), n_rounds),
    }


def _ms(work: Callable[[], object], n_rounds: int) -> float:
    return min(_round_ms(work) for _ in range(n_rounds))


def _round_ms(work: Callable[[], object]) -> float:
    n_done = 0
    started = time.process_time()
    while time.process_time() < started + ROUND_S:
        work()
        n_done += 1
    return (time.process_time() - started) / n_done * 1000


if __name__ == "__main__":
    main()
