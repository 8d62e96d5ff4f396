"""Reading in a process of its own against reading in the run's own process, ECG by ECG.

Bytes in, `Recording` out, interleaved. Run with `python -m benchmarks.isolation`.
"""

import sys
import time
from collections.abc import Callable

from benchmarks.ratio import summary
from ecgbatch.isolation.decoder import Decoder
from ecgbatch.isolation.here import decode_here
from ecgbatch.records import Member, Recording, RecordingBytes
from ecgbatch.resources import demonstration
from ecgbatch.settings import load_settings

ROUNDS = 200
WARM_UP = 20
FILES = {
    "WFDB, 12 x 5000": ("wfdb/E07500.hea", "wfdb/E07500.mat"),
    "GE MUSE XML, 8 x 5000": ("muse/guangxi_teaching_sinus_rhythm.xml",),
}


def main() -> None:
    isolation = load_settings(environment={}).isolation
    started = time.perf_counter()
    with Decoder(isolation) as decoder:
        decoder.wait_until_ready()
        sys.stdout.write(f"start {(time.perf_counter() - started) * 1000:.0f} ms\n")
        for name, paths in FILES.items():
            source = RecordingBytes(tuple(map(_member, paths)))
            for _ in range(WARM_UP):
                decoder.decode(source)
            pairs = [(_ms(decoder.decode, source), _ms(decode_here, source)) for _ in range(ROUNDS)]
            sys.stdout.write(f"{name}: {summary('reader process', 'in process', pairs)}")


def _member(path: str) -> Member:
    file = demonstration("samples") / path
    return Member(file.name, file.read_bytes())


def _ms(read: Callable[[RecordingBytes], Recording], source: RecordingBytes) -> float:
    started = time.perf_counter()
    read(source)
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
