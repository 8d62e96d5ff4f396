"""What a process of its own costs an ECG: CPU time of run and reader process, and latency.

Bytes in, examined ECG out; interleaved with the same in the run's own process. The last
line is JSON. Run with `python -m benchmarks.isolation`.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import kept
from benchmarks.ratio import summary
from ecgbatch.examination import Terms, examine
from ecgbatch.isolation.decoder import Decoder
from ecgbatch.isolation.examiners import Examiners
from ecgbatch.isolation.here import decode_here
from ecgbatch.preprocessing.spec import preset
from ecgbatch.records import Member, RecordingBytes
from ecgbatch.resources import demonstration
from ecgbatch.settings import load_settings

ROUNDS = 12
WAITS = 50
ECGS = 20
PRESET = "anyecg-ccta"
FILES = {
    "WFDB, 12 x 5000": ("wfdb/E07500.hea", "wfdb/E07500.mat"),
    "GE MUSE XML, 8 x 5000": ("muse/guangxi_teaching_sinus_rhythm.xml",),
}


def main() -> None:
    options = kept.parsed(kept.parser("what a process of its own costs", "two rounds"))
    n_rounds, n_waits = (2, 2) if options.quick else (ROUNDS, WAITS)
    figures: dict[str, object] = {}
    settings = load_settings(environment={})
    terms = Terms(settings.quality, settings.eligibility, preset(PRESET))
    reading, writing = os.pipe()
    started = time.perf_counter()
    with Examiners(settings.isolation, terms, 1) as examiners, Decoder(settings.isolation) as one:
        examiners.wait_until_ready()
        start_ms = (time.perf_counter() - started) * 1000
        start_cpu_ms = _cpu_s(examiners.process_ids) * 1000
        figures |= {"start_ms": round(start_ms), "start_cpu_ms": round(start_cpu_ms)}
        sys.stdout.write(f"start {start_ms:.0f} ms, {start_cpu_ms:.0f} ms of CPU time\n")
        for name, paths in FILES.items():
            source = RecordingBytes(tuple(map(_member, paths)))

            def here(source: RecordingBytes = source) -> None:
                for _ in range(ECGS):
                    examine(decode_here(source), terms)

            def there(source: RecordingBytes = source) -> None:
                _through(examiners, source, reading)

            there()
            one.decode(source)
            pairs = [
                (_cpu_ms(there, examiners.process_ids), _cpu_ms(here, [])) for _ in range(n_rounds)
            ]
            low, middle, high = np.percentile([a - b for a, b in pairs], [25, 50, 75])
            sys.stdout.write(
                f"{name}, CPU time of decoding, checks and preparation: "
                f"{summary('reader process', 'in process', pairs)}"
                f"around them {middle:.2f} ms [{low:.2f}, {high:.2f}]\n"
            )
            waits = [
                (_wall_ms(lambda: one.decode(source)), _wall_ms(lambda: decode_here(source)))  # noqa: B023
                for _ in range(n_waits)
            ]
            sys.stdout.write(f"decoding alone: {summary('reader process', 'in process', waits)}")
            figures[name] = {
                **_medians("cpu_ms", pairs),
                "cpu_ms_around": round(float(middle), 3),
                **_medians("decoding_wall_ms", waits),
            }
    os.close(reading)
    os.close(writing)
    kept.tell("isolation", figures, is_kept=options.write)


def _medians(name: str, pairs: list[tuple[float, float]]) -> dict[str, float]:
    there, here = np.median(pairs, axis=0)
    return {f"{name}_reader_process": round(there, 3), f"{name}_in_process": round(here, 3)}


def _member(path: str) -> Member:
    file = demonstration("samples") / path
    return Member(file.name, file.read_bytes())


def _through(examiners: Examiners, source: RecordingBytes, beside: int) -> None:
    n_given = n_answered = 0
    while n_answered < ECGS:
        while n_given < ECGS and examiners.room > 0:
            examiners.give(n_given, source)
            n_given += 1
        n_answered += len(examiners.answers(1.0, beside))


def _cpu_ms(work: Callable[[], None], processes: list[int]) -> float:
    """Of this process and the named ones, for one ECG."""
    before = time.process_time() + _cpu_s(processes)
    work()
    return (time.process_time() + _cpu_s(processes) - before) * 1000 / ECGS


def _cpu_s(processes: list[int]) -> float:
    return sum(
        int(Path(f"/proc/{process}/schedstat").read_text("ascii").split()[0]) / 1e9
        for process in processes
    )


def _wall_ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    main()
