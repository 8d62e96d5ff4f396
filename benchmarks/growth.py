"""Bytes that one scored ECG adds to the database, on SQLite and on PostgreSQL.

Rows are written by the ledger itself: item, work, recording, result, four scores, three findings
and the events. The slope between two sizes is printed, so that empty tables and catalogues do not
count. Run with `python -m benchmarks.growth [ECGS]`.
"""

import sys
import tempfile
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Engine, text

from ecgbatch.provenance import library_versions, pipeline_id
from ecgbatch.records import Finding, WorkUnit
from ecgbatch.store import health, ledger
from ecgbatch.store.engine import open_engine, transaction
from ecgbatch.store.migrate import migrate
from ecgbatch.terms import Numerics, ReasonCode
from ecgbatch.worker_name import own_name
from tests.support.ledger import CHAMPION, Site, facts, scored, sighting, site
from tests.support.postgres import find_binaries, postgres_server

BATCH = 50
_FINDINGS = (
    Finding("leads_nearly_equal", ReasonCode.LEADS_NEARLY_EQUAL, "V2", 0.011, 0.02),
    Finding("wander", ReasonCode.BASELINE_WANDER, "V1", 0.84, 0.8),
    Finding("powerline", ReasonCode.POWERLINE_NOISE, "aVL", 0.06, 0.05),
)


def main() -> None:
    n_ecgs = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    with tempfile.TemporaryDirectory() as folder:
        _measure("SQLite", f"sqlite:///{Path(folder) / 'growth.db'}", n_ecgs)
    binaries = find_binaries()
    if binaries is None:
        sys.stdout.write("no PostgreSQL on this machine\n")
        return
    with postgres_server(binaries) as server:
        _measure("PostgreSQL", server.url(server.create()), n_ecgs)


def _measure(name: str, url: str, n_ecgs: int) -> None:
    migrate(url)
    engine = open_engine(url)
    with transaction(engine) as connection:
        inbox = _as_in_use(site(connection))
    _fill(engine, inbox, range(n_ecgs // 2))
    half = _bytes(engine)
    _fill(engine, inbox, range(n_ecgs // 2, n_ecgs))
    each = (_bytes(engine) - half) / (n_ecgs - n_ecgs // 2)
    started = time.perf_counter()
    with transaction(engine) as connection:
        health.read(connection)
    look_ms = (time.perf_counter() - started) * 1000
    sys.stdout.write(
        f"{name}: {each:.0f} bytes for an ECG, {each / 1000:.1f} GB for a million; "
        f"one look of the monitor at {n_ecgs} ECGs {look_ms:.0f} ms\n"
    )
    engine.dispose()


def _fill(engine: Engine, inbox: Site, numbers: range) -> None:
    for first in range(numbers.start, numbers.stop, BATCH):
        names = [f"e{number:07}" for number in range(first, min(first + BATCH, numbers.stop))]
        with transaction(engine) as connection:
            here = replace(inbox, connection=connection)
            # As long as a path of folder by day and a vendor's name usually is.
            here.note(*(sighting(f"2026/05/01/cart-17/{name}.xml", _like(name)) for name in names))
            here.admit()
        with transaction(engine) as connection:
            here = replace(inbox, connection=connection)
            units = _claimed(here)
        for unit in units:
            with transaction(engine) as connection:
                _score(replace(inbox, connection=connection), unit)


def _as_in_use(inbox: Site) -> Site:
    """With digests, versions and a worker's name as long as they really are."""
    digest = sha256(b"settings").hexdigest()
    return replace(
        inbox,
        provenance=replace(
            inbox.provenance,
            pipeline_id=pipeline_id(digest, digest, Numerics.FP32),
            preprocessing_digest=digest,
            settings_digest=digest,
            library_versions=library_versions(),
            worker=own_name(),
        ),
    )


def _claimed(inbox: Site) -> list[WorkUnit]:
    return ledger.claim(
        inbox.connection,
        inbox.source_id,
        CHAMPION,
        pipeline_id=inbox.provenance.pipeline_id,
        worker=inbox.provenance.worker,
        limit=BATCH,
        lease_s=3600.0,
        run_id=inbox.provenance.run_id,
    )


def _score(inbox: Site, unit: WorkUnit) -> None:
    name = unit.locator
    known = facts(
        name,
        signal_digest=sha256(name.encode()).hexdigest(),
        acquisition_key=sha256(b"a" + name.encode()).hexdigest(),
        patient_key=sha256(b"p" + name.encode()).hexdigest(),
    )
    inbox.finish(unit, replace(scored(known), findings=_FINDINGS))


def _like(name: str) -> str:
    """A fingerprint: size and modification time."""
    return f"{150_000 + int(name[1:])}:17771234567{name[1:]}00"


def _bytes(engine: Engine) -> int:
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            pages = connection.execute(text("PRAGMA page_count")).scalar_one()
            return int(pages * connection.execute(text("PRAGMA page_size")).scalar_one())
        size = text("SELECT pg_database_size(current_database())")
        return int(connection.execute(size).scalar_one())


if __name__ == "__main__":
    main()
