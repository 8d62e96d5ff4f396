"""Writing alone: scored ECGs into the ledger, many in one transaction, on both databases.

Each ECG is a recording with four findings, a result, four scores, an event, and the ends of its
work and item, under the fence. The ways are `one by one` (`finish` for each in a savepoint), and
`finish_many`: on SQLite, on PostgreSQL with rows as arrays, on PostgreSQL with COPY. They take
turns on each database; the client's CPU time is this process's alone, the rate is that of client
and server together on this machine. Run with `python -m benchmarks.writing`,
or `make bench-writing`; the last line is JSON.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

from benchmarks import kept
from benchmarks.say import progress
from ecgbatch.records import Finding, Scored, WorkUnit
from ecgbatch.store import bulk, control, identifiers, ledger
from ecgbatch.store.engine import open_engine, transaction
from ecgbatch.store.finish_many import Ended
from ecgbatch.store.migrate import migrate
from ecgbatch.terms import ReasonCode
from tests.support.ledger import Site, facts, scored, sighting, site
from tests.support.postgres import find_binaries, postgres_server

SIZES = (1, 8, 32, 64, 128)
"""ECGs in one transaction."""
FEW_SIZES, FEWER = (1, 32), 4
"""For `one by one`, which takes ten times as long and hardly cares: a quarter of the ECGs."""
N_ECGS, N_QUICK = 512, 128
"""ECGs of one sample."""
MINUTES = 2.5
"""No round begins after it, or would end after it; the first of each database does."""
_SHARES = {"sqlite": 0.4, "postgresql": 1.0}
"""Of that time is over when a database is done."""
_NEVER = 1 << 60
_FINDINGS = tuple(
    Finding(f"noise {lead}", ReasonCode.LEADS_NEARLY_EQUAL, lead, 0.123456789, 0.5)
    for lead in ("I", "II", "V1", "V2")
)

_Write = Callable[[Connection, Site, Sequence[Ended]], None]


@dataclass
class Sample:
    """Seconds of one way at one size for `n` ECGs, a value for each round."""

    n: int
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float]:
        return {
            "ecgs_per_s": round(self.n / statistics.median(self.wall_s)),
            "core_ms": round(1000 * statistics.median(self.cpu_s) / self.n, 3),
        }


@dataclass(frozen=True)
class Plan:
    """How much: `n` ECGs a sample, so many rounds at most, none that ends after `until`."""

    n: int
    rounds: int
    until: float


def main() -> None:
    parser = kept.parser("writing alone", f"one round of {N_QUICK} ECGs a sample")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    options = kept.parsed(parser)
    began = time.monotonic()
    n, rounds = (N_QUICK, 1) if options.quick else (N_ECGS, options.rounds)

    def plan(database: str) -> Plan:
        return Plan(n, rounds, began + 60 * options.minutes * _SHARES[database])

    answer: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    with tempfile.TemporaryDirectory(prefix="writing-") as home:
        answer["sqlite"] = _measured(
            f"sqlite:///{Path(home) / 'ecg.db'}",
            {"one by one": _one_by_one, "set-wise": _set_wise},
            plan("sqlite"),
        )
    binaries = find_binaries()
    if binaries is not None:
        with postgres_server(binaries) as server:
            ways = {
                "one by one": _one_by_one,
                "arrays": _with_copy_from(_NEVER),
                "copy": _with_copy_from(1),
                "set-wise": _set_wise,
            }
            url = server.url(server.create())
            answer["postgresql"] = _measured(url, ways, plan("postgresql"))
    for database, of_ways in answer.items():
        for way, of_sizes in of_ways.items():
            for size, figures in of_sizes.items():
                line = f"{database:11}{way:12}{size:>4} {figures['ecgs_per_s']:>7.0f} ECG/s"
                sys.stdout.write(f"{line} {figures['core_ms']:7.3f} core-ms\n")
    kept.tell("writing", answer, is_kept=options.write)


def _measured(url: str, ways: dict[str, _Write], plan: Plan) -> dict[str, Any]:
    migrate(url)
    engine = open_engine(url)
    with transaction(engine) as connection:
        here = site(connection)
    numbers = count()
    samples = {way: _samples(write, plan.n) for way, write in ways.items()}
    longest_s = 0.0
    for turn in range(plan.rounds):
        began = time.monotonic()
        if turn and began + longest_s > plan.until:
            break
        for size in SIZES:
            for way, write in ways.items():
                if size in samples[way]:
                    _add_sample(samples[way][size], engine, here, numbers, size, write=write)
        longest_s = max(longest_s, time.monotonic() - began)
        progress(f"{engine.dialect.name}: round {turn + 1} took {longest_s:.0f} s at most")
    engine.dispose()
    return {
        way: {str(size): sample.figures() for size, sample in of_sizes.items()}
        for way, of_sizes in samples.items()
    }


def _samples(write: _Write, n: int) -> dict[int, Sample]:
    if write is _one_by_one:
        return {size: Sample(n // FEWER) for size in FEW_SIZES}
    return {size: Sample(n) for size in SIZES}


def _add_sample(
    sample: Sample, engine: Engine, here: Site, numbers: Iterator[int], size: int, *, write: _Write
) -> None:
    ended = [Ended(unit, _ecg(next(numbers))) for unit in _claimed(engine, here, numbers, sample.n)]
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    for start in range(0, len(ended), size):
        with transaction(engine) as connection:
            write(connection, here, ended[start : start + size])
            control.is_halted(connection)
    sample.wall_s.append(time.perf_counter() - wall_s)
    sample.cpu_s.append(time.process_time() - cpu_s)


def _claimed(engine: Engine, here: Site, numbers: Iterator[int], n: int) -> list[WorkUnit]:
    with transaction(engine) as connection:
        at = replace(here, connection=connection)
        at.note(*(sighting(f"ward/{next(numbers):09d}.xml") for _ in range(n)))
        at.admit()
        units = at.claim(n, lease_s=3600.0)
    assert len(units) == n  # noqa: S101 - else the rates are of nothing
    return units


def _ecg(number: int) -> Scored:
    """Its own bytes, signal, patient and time."""
    key = sha256(b"%d" % number).hexdigest()
    of = facts(
        key,
        signal_digest=sha256(key.encode()).hexdigest(),
        acquisition_key=sha256(b"acquisition %d" % number).hexdigest(),
        patient_key=sha256(b"patient %d" % number).hexdigest(),
        device="MAC5500",
        site="1",
        sex="F",
        age_years=61.5,
    )
    risks = (0.123456789, 0.0023456789, 0.34567891234, 0.7123456789)
    return replace(scored(of, risks), findings=_FINDINGS)


def _one_by_one(connection: Connection, here: Site, ended: Sequence[Ended]) -> None:
    for one in ended:
        with connection.begin_nested():
            ledger.finish(connection, one.unit, one.outcome, here.provenance, 900.0)
        identifiers.keep(connection, one.outcome)


def _set_wise(connection: Connection, here: Site, ended: Sequence[Ended]) -> None:
    ledger.finish_many(connection, ended, here.provenance, 900.0)
    identifiers.keep_many(connection, [one.outcome for one in ended])


def _with_copy_from(rows: int) -> _Write:
    def write(connection: Connection, here: Site, ended: Sequence[Ended]) -> None:
        kept, bulk.COPY_FROM = bulk.COPY_FROM, rows
        try:
            _set_wise(connection, here, ended)
        finally:
            bulk.COPY_FROM = kept

    return write


if __name__ == "__main__":
    main()
