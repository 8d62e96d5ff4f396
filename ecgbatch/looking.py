"""A look at a source, written down batch by batch, and what follows from what it did not see."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from ecgbatch import telemetry
from ecgbatch.errors import SetupFault
from ecgbatch.sources.source import Memory, Scan, Source
from ecgbatch.store import ledger, memory
from ecgbatch.store.engine import WHOLE_TABLES_S, Engine, take_time, transaction
from ecgbatch.store.locks import Held
from ecgbatch.terms import ReasonCode

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Looker:
    """Who looks: one run at one source, under its lock."""

    engine: Engine
    source: Source
    source_id: int
    run_id: int
    held: Held | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """A finished look: when it began (the database's time), and what it did not cover."""

    began_at: datetime
    scan: Scan


def look(looker: Looker) -> Look:
    """Note everything that is there.

    Raises:
        SetupFault: the source is missing, or suddenly empty; another scan has begun.
    """
    with transaction(looker.engine) as connection:
        take_time(connection, WHOLE_TABLES_S)
        began_at = ledger.now(connection)
        present = ledger.present_items(connection, looker.source_id)
    scan = looker.source.scan(_memory(looker, began_at))
    with closing(scan):
        n_seen = _note(looker, scan)
    if present and not n_seen and scan.covers_all:
        raise SetupFault(ReasonCode.SOURCE_UNAVAILABLE, "suddenly empty")
    if scan.unlisted:
        log = telemetry.logger().bind(run_id=looker.run_id)
        log.warning("folders_unlisted", folders=len(scan.unlisted))
    return Look(began_at, scan)


def _note(looker: Looker, scan: Scan) -> int:
    n_seen = 0
    while batch := list(islice(scan, _BATCH)):
        n_seen += len(batch)
        # A query may give a row twice; what it said last counts.
        once = {sighting.locator: sighting for sighting in batch}.values()
        with transaction(looker.engine) as connection:
            ledger.note(connection, looker.source_id, once, looker.run_id, looker.held)
    return n_seen


def conclude(looker: Looker, last: Look) -> None:
    """After the last look of a run: count as missed what was looked for and not seen.

    Raises:
        SetupFault: another scan has begun.
    """
    scan = last.scan
    with transaction(looker.engine) as connection:
        ledger.mark_missing(
            connection,
            looker.source_id,
            last.began_at,
            looker.run_id,
            looker.held,
            unlisted=scan.unlisted,
            waiting_only=not scan.covers_all,
        )
        if scan.watermark is not None:
            memory.keep_watermark(connection, looker.source_id, scan.watermark, looker.held)


def _memory(looker: Looker, began_at: datetime) -> Memory:
    engine, source_id = looker.engine, looker.source_id

    def recall(locators: Sequence[str]) -> Mapping[tuple[str, str], tuple[str, ...]]:
        if not locators:
            return {}
        with transaction(engine) as connection:
            return memory.recall(connection, source_id, locators)

    with transaction(engine) as connection:
        watermark = memory.watermark(connection, source_id)
    return Memory(recall, lambda: memory.waiting(engine, source_id, began_at), watermark)
