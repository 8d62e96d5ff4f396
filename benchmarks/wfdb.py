"""Own WFDB reader against `wfdb.rdrecord`: one record of 12 x 5000 in format 16, both from disk.

Ours hashes every byte and verifies sizes, initial values and checksums; the library does none of
it. Interleaved in one process. Run with `python -m benchmarks.wfdb`.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import wfdb

from benchmarks.ratio import summary
from ecgbatch.readers.wfdb import member_names, read
from ecgbatch.records import Member, Recording, RecordingBytes
from ecgbatch.terms import LEADS

ROUNDS = 40
PER_ROUND = 10


def main() -> None:
    with TemporaryDirectory() as folder:
        header = _written(Path(folder))
        ours, theirs = _ours(header), wfdb.rdrecord(str(header.with_suffix("")))
        if not np.array_equal(ours.signal, theirs.p_signal.T):
            sys.exit("the two readers differ")
        pairs = [
            (_ms(lambda: wfdb.rdrecord(str(header.with_suffix("")))), _ms(lambda: _ours(header)))
            for _ in range(ROUNDS)
        ]
    sys.stdout.write(summary("wfdb.rdrecord", "own reader", pairs))


def _ours(header: Path) -> Recording:
    content = header.read_bytes()
    names = member_names(content)
    signals = (Member(name, (header.parent / name).read_bytes()) for name in names)
    source = RecordingBytes((Member(header.name, content), *signals))
    if len(source.file_digest) != 64:
        sys.exit("no digest")
    return read(source)


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(PER_ROUND):
        work()
    return (time.perf_counter() - started) / PER_ROUND * 1000


def _written(folder: Path) -> Path:
    counts = np.random.default_rng(7).integers(-2000, 2000, (5000, 12))
    wfdb.wrsamp(
        "record",
        fs=500,
        units=["mV"] * 12,
        sig_name=list(LEADS),
        d_signal=counts,
        fmt=["16"] * 12,
        adc_gain=[1000.0] * 12,
        baseline=[0] * 12,
        comments=["Age: 63", "Sex: Female"],
        write_dir=str(folder),
    )
    return folder / "record.hea"


if __name__ == "__main__":
    main()
