"""Five nights of an invented hospital, through the ledger's own functions at stated moments.

The data set behind the recipes of docs/sql.md; its ECGs and bundles are in `seeded_ecgs`.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, insert, select

from ecgbatch.provenance import pipeline_id
from ecgbatch.records import Finish, NotYet, Provenance, WorkUnit
from ecgbatch.store import audit, bundles, control, ledger, patients, rescore, retrying
from ecgbatch.store.acts import Choice
from ecgbatch.store.claims import Lane
from ecgbatch.store.rescore import Scope
from ecgbatch.store.tables import result
from ecgbatch.store.tables_ledger import verification
from ecgbatch.terms import BundleRole, Numerics, ReasonCode
from tests.support.ledger import Site, sighting
from tests.support.seeded_ecgs import BUNDLES, V1, V2, V3, outcome, strata
from tests.support.stopped_clock import Clock, Watch, nobody, stopped_clock

WEEK_S = 7 * 86_400.0
PREPROCESSING, SETTINGS = "d4" * 32, "e5" * 32


def seed(connection: Connection, watch: Watch = nobody) -> None:
    """Fill an empty, migrated database; the caller commits.

    Args:
        watch: is told of each moment when all that happens in it has happened.
    """
    with stopped_clock(watch) as clock:
        _live(connection, clock)
        clock.tick()


def _live(connection: Connection, clock: Clock) -> None:
    ward, clinic = (_source(connection, name) for name in ("ward", "clinic"))
    for row in BUNDLES:
        bundles.register(connection, row, strata(row.digest))

    clock.at("2026-03-01 08:00")
    _activate(connection, V1, BundleRole.CHAMPION, "dba", "first bundle", first_use=True)
    with _night(connection, clock, ward, "2026-03-02 02:00", exit_code=1) as night:
        night.see(1, 2, 3, 4, 5, 6)
        night.work(V1)
    clock.at("2026-03-02 09:00")
    audit.acknowledge(connection, "op1", "a text file, no ECG", ReasonCode.FORMAT_UNKNOWN, ())
    clock.at("2026-03-02 09:30")
    retrying.retry(connection, Choice("op1", "copied again", code=ReasonCode.CHECKSUM_MISMATCH))

    with _night(connection, clock, ward, "2026-03-03 02:00", exit_code=1) as night:
        night.see(7, 8, 9, 10)
        night.work(V1)
    clock.at("2026-03-03 10:00")
    _activate(connection, V2, BundleRole.CHALLENGER, "op2", "trained on more carts")

    with _night(connection, clock, ward, "2026-03-04 02:00", exit_code=1) as night:
        night.see(11, 12, 13, 14)
        night.work(V1, V2)
    clock.at("2026-03-04 09:00")
    patients.merge(connection, "patient-7", "patient-3", actor="op1", why="one person")
    clock.at("2026-03-04 12:00")
    _activate(connection, V2, BundleRole.CHAMPION, "op2", "flip report read")
    clock.at("2026-03-04 13:00")
    rescore.ask(connection, Scope(since=datetime(2026, 2, 28)), "op1", "new champion")  # noqa: DTZ001

    with _night(connection, clock, clinic, "2026-03-05 02:00", exit_code=1) as night:
        night.see(15, 16, 17, 18)
        night.work(V2)
    with _night(connection, clock, ward, "2026-03-05 03:00", kind="work", exit_code=0) as night:
        night.work(V2, lane="rescore")
    clock.at("2026-03-05 09:00")
    _activate(connection, V3, BundleRole.CHALLENGER, "op2", "smaller net")
    clock.at("2026-03-05 10:00")
    control.halt(connection, "op1", "file server moves")
    clock.at("2026-03-05 10:30")
    control.resume(connection, "op1", "it has moved")

    with _night(connection, clock, ward, "2026-03-06 02:00", exit_code=1) as night:
        night.see(19, 20, 21, 22, 23, 24)
        night.work(V2, V3)
        clock.at("2026-03-06 02:15")
        night.site.note(sighting(_locator(25)))
    clock.at("2026-03-06 08:00")
    _verify(connection, clock)


@dataclass(slots=True)
class _Night:
    """A run; each file takes it a minute, the champion's work first."""

    site: Site
    clock: Clock
    ended: Counter[str]

    def see(self, *numbers: int) -> None:
        """Files of these numbers appear, stable at once."""
        self.site.note(*(sighting(_locator(number)) for number in numbers))
        self.site.admit()

    def work(self, *digests: str, lane: Lane = "new") -> None:
        """Do all that waits; the run counts what became of it under the first bundle."""
        for digest in digests:
            for unit in self.site.claim(bundle=digest, lease_s=3600.0, lane=lane):
                self.clock.tick()
                shown = self._finish(unit)
                if digest == digests[0]:
                    self.ended[shown.disposition] += 1

    def _finish(self, unit: WorkUnit) -> Finish:
        number = int(unit.locator[:2])
        if number == 24:
            not_whole = NotYet(None, ReasonCode.INCOMPLETE, "decode")
            return self.site.finish(unit, not_whole, grace_s=WEEK_S)
        return self.site.finish(unit, outcome(number, unit.bundle_digest))


@contextmanager
def _night(
    connection: Connection,
    clock: Clock,
    source_id: int,
    start: str,
    *,
    exit_code: int,
    kind: str = "run-once",
) -> Iterator[_Night]:
    """A run that ends 20 minutes after its start."""
    clock.at(start)
    ends_at = clock.moment + timedelta(minutes=20)
    run_id = ledger.start_run(connection, kind, source_id, "host-1")
    night = _Night(Site(connection, source_id, _provenance(run_id)), clock, Counter())
    yield night
    clock.to(ends_at)
    ledger.end_run(connection, run_id, exit_code, night.ended)


def _provenance(run_id: int) -> Provenance:
    return Provenance(
        pipeline_id=pipeline_id(PREPROCESSING, SETTINGS, Numerics.FP32),
        preprocessing_digest=PREPROCESSING,
        settings_digest=SETTINGS,
        runtime="eager",
        precision="fp32",
        code_version="0.1.0",
        library_versions='{"numpy": "2.3.5", "torch": "2.13.0"}',
        worker="host-1",
        run_id=run_id,
    )


def _locator(number: int) -> str:
    return f"{number:02d}.xml"


def _source(connection: Connection, name: str) -> int:
    return ledger.ensure_source(
        connection, name, kind="folder", root=f"/{name}", authority="MRN", time_zone=None
    )


def _activate(
    connection: Connection,
    digest: str,
    role: BundleRole,
    by: str,
    why: str,
    *,
    first_use: bool = False,
) -> None:
    bundles.activate(
        connection, digest, role, by=by, why=why, golden_report="{}", first_use=first_use
    )


VERIFIED: Iterable[tuple[int, str, str | None, float | None]] = (
    (18, "identical", None, 0.0),
    (19, "tolerance", None, 0.000002),
    (23, "gone", None, None),
    (25, "identical", None, 0.0),
    (26, "differs", "signal", 0.4),
)
"""Which result, counted from 1; outcome, first stage that differs, difference of a logit."""


def _verify(connection: Connection, clock: Clock) -> None:
    # A sequence does not go back with the tests that have been rolled back before.
    first = connection.execute(select(func.min(result.c.result_id))).scalar_one()
    rows = [
        {
            "result_id": first + place - 1,
            "verified_at": clock.moment,
            "outcome": ended,
            "stage": stage,
            "difference": difference,
            "code_version": "0.1.0",
        }
        for place, ended, stage, difference in VERIFIED
    ]
    connection.execute(insert(verification), rows)
