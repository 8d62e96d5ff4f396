"""Looks and work in this process: the source, the ledger, the reader process and a real net."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, text

from ecgbatch.admission import activate
from ecgbatch.bundle.load import load_bundle
from ecgbatch.errors import InputFault, LeaseLost, TransientFault
from ecgbatch.identity import Pseudonymiser
from ecgbatch.isolation.decoder import Decoder
from ecgbatch.pipeline import Instruments, assess
from ecgbatch.records import Outcome, Provenance, Quarantined, RetryLater, Sighting, WorkUnit
from ecgbatch.scoring.runtimes.registry import Wish
from ecgbatch.scoring.scorer import Scorer
from ecgbatch.settings import load_settings
from ecgbatch.sources.folder import FolderSource
from ecgbatch.store import ledger
from ecgbatch.store.engine import transaction
from tests.support.bundles import save_small_bundle
from tests.support.ledger import provenance

Choose = Callable[[Iterable[Sighting]], Iterable[Sighting]]


@dataclass(frozen=True)
class Ward:
    """One source that is looked at again and again.

    Attributes:
        choose: which sightings a look takes; all, unless a control decides otherwise.
    """

    engine: Engine
    source: FolderSource
    source_id: int
    digest: str
    instruments: Instruments
    provenance: Provenance
    settle_s: float
    grace_s: float
    choose: Choose = tuple

    def look(self) -> None:
        seen = tuple(self.choose(self.source.scan()))
        with transaction(self.engine) as connection:
            ledger.note(connection, self.source_id, seen, self.provenance.run_id)
        with transaction(self.engine) as connection:
            ledger.admit(connection, self.source_id, self.settle_s, self.grace_s)

    def work(self) -> None:
        """Everything that was due when it began."""
        with transaction(self.engine) as connection:
            as_of = ledger.now(connection)
        while True:
            with transaction(self.engine) as connection:
                units = ledger.claim(
                    connection,
                    self.source_id,
                    self.digest,
                    pipeline_id=self.provenance.pipeline_id,
                    worker="w1",
                    limit=16,
                    lease_s=120.0,
                    as_of=as_of,
                    run_id=self.provenance.run_id,
                )
            if not units:
                return
            for unit in units:
                self._finish(unit, self._outcome(unit))

    def _outcome(self, unit: WorkUnit) -> Outcome:
        try:
            source = self.source.read(unit.locator, unit.fingerprint)
        except TransientFault as fault:
            return RetryLater(fault.reason, "read")
        except InputFault as fault:
            return Quarantined(None, fault.reason, "read")
        return assess(source, self.instruments)

    def _finish(self, unit: WorkUnit, outcome: Outcome) -> None:
        try:
            with transaction(self.engine) as connection:
                ledger.finish(connection, unit, outcome, self.provenance, self.grace_s)
        except LeaseLost:
            return

    def look_and_work(self) -> None:
        self.look()
        self.work()

    def until_settled(self, seconds: float) -> None:
        """Look and work until nothing waits any more."""
        until = time.monotonic() + seconds
        while self.waiting():
            assert time.monotonic() < until, "it does not come to rest"
            self.look_and_work()
            time.sleep(0.02)

    def waiting(self) -> int:
        with transaction(self.engine) as connection:
            return ledger.balance(connection)["waiting"]  # type: ignore[index]

    def results(self) -> list[tuple[str, str]]:
        """File digest and outcome of every result."""
        sql = "SELECT file_digest, outcome FROM result JOIN recording USING (recording_id)"
        with transaction(self.engine) as connection:
            return [(row[0], row[1]) for row in connection.execute(text(sql))]


@contextmanager
def ward(
    engine: Engine, root: Path, settle_s: float, grace_s: float, choose: Choose = tuple
) -> Iterator[Ward]:
    """A champion, a source and a reader process, for a migrated database without any."""
    settings = load_settings(
        overrides={"scoring": {"threads": 1}, "bundle": {"allow_demonstration": True}},
        environment={},
    )
    folder = root.parent / f"{root.name}-bundle"
    save_small_bundle(folder)
    digest = activate(engine, settings, folder, "test", first_use=True).digest
    with transaction(engine) as connection:
        source_id = ledger.ensure_source(
            connection, root.name, kind="folder", root=str(root), authority="MRN", time_zone=None
        )
        run_id = ledger.start_run(connection, "run-once", source_id, "w1")
    scorer = Scorer(load_bundle(folder), wish=Wish(threads=1))
    with Decoder(settings.isolation) as decoder:
        decoder.wait_until_ready()
        instruments = Instruments(
            decode=decoder.decode,
            score=lambda prepared: scorer.score([prepared])[0],
            manifest=scorer.bundle.manifest,
            numerics=settings.scoring.precision,
            quality=settings.quality,
            eligibility=settings.eligibility,
            pseudonymiser=Pseudonymiser(b"k" * 32, "MRN", frozenset()),
            time_zone="",
        )
        source = FolderSource(root, settings.limits.recording_bytes)
        yield Ward(
            engine,
            source,
            source_id,
            digest,
            instruments,
            provenance(run_id),
            settle_s,
            grace_s,
            choose,
        )
