"""What the service shows of itself: numbers, moments and reason codes, nothing of any ECG."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    Select,
    TableClause,
    case,
    cast,
    column,
    func,
    select,
    table,
    true,
)

from ecgbatch.reasons import Unknown, known
from ecgbatch.store import bundles, exports, proofs
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.columns import UtcTime
from ecgbatch.store.engine import now, take_time
from ecgbatch.store.exports import ExportRow
from ecgbatch.store.firings import SUCCESSES
from ecgbatch.store.proofs import Proofs
from ecgbatch.store.runs import SCAN
from ecgbatch.store.tables import activation, event, result, run, work
from ecgbatch.store.tables_ledger import control, heartbeat
from ecgbatch.terms import FINISHED, BundleRole, Disposition, ItemState, ReasonCode, WorkState

SCANS = (SCAN, "run-once")
"""Kinds of run that look through a source."""

_ITEMS: TableClause = table(
    "v_disposition",
    column("item_id"),
    column("source_id"),
    column("disposition"),
    column("reason"),
    column("first_seen_at", UtcTime),
    column("acknowledged_at", UtcTime),
)
_OPEN = (WorkState.READY, WorkState.LEASED, WorkState.RETRY_WAIT)
_KNOWN = frozenset(Disposition)
_OVER = (*FINISHED, ItemState.VANISHED, ItemState.IGNORED, ItemState.SUPERSEDED)
"""States that an item or its work leaves only to begin anew."""
_LOST = ("lost", "lost_alone")
_RECENT = timedelta(days=1)
_LONGEST_S = 120
"""Of a million items the count may take longer than any statement of a worker."""


@dataclass(frozen=True, slots=True)
class Beat:
    """The newest sign of life of a process that works on this database."""

    worker: str
    kind: str
    started_at: datetime
    seen_at: datetime

    def age_s(self, moment: datetime) -> float:
        """Seconds from then to `moment`."""
        return (moment - self.seen_at).total_seconds()


@dataclass(frozen=True, slots=True)
class ScanRow:
    """A scan of a source; `exit_code` is None while it goes on, or if it was killed."""

    kind: str
    started_at: datetime
    ended_at: datetime | None
    exit_code: int | None


@dataclass(frozen=True, slots=True)
class Health:
    """The state of the database at `moment` (its own clock).

    Attributes:
        items: all items by disposition.
        unaccounted: items without a disposition, or not scored and without a reason.
        failures: failed and unsupported items that nobody has acknowledged, by reason.
        oldest_waiting_at: since when the item waits that waits longest.
        newest_item_at: when the newest item of the source was first seen.
        queue: units of the champion's work that are not finished, by state.
        results: how many results there are.
        last_scan: the newest one, ended or not.
        last_success_at: when a scan last ended that had looked at everything.
        beats: processes that were seen within a day, newest first.
        halted_at: since when nothing is claimed.
        last_event: number of the newest event.
        proofs: what canaries and replays say.
        last_export: the newest one, ended or not.
    """

    moment: datetime
    items: Mapping[Disposition, int]
    unaccounted: int
    failures: Mapping[ReasonCode | Unknown, int]
    oldest_waiting_at: datetime | None
    newest_item_at: datetime | None
    queue: Mapping[WorkState, int]
    results: int
    last_scan: ScanRow | None
    last_success_at: datetime | None
    beats: tuple[Beat, ...]
    halted_at: datetime | None
    champion: BundleRow | None = field(repr=False)
    last_event: int
    proofs: Proofs = field(default_factory=Proofs)
    last_export: ExportRow | None = None

    def alive(self, kind: str, within_s: float) -> int:
        """How many processes of a kind were seen within so many seconds."""
        since = self.moment - timedelta(seconds=within_s)
        return sum(beat.kind == kind and beat.seen_at >= since for beat in self.beats)


def read(connection: Connection, source_id: int | None = None) -> Health:
    """Ask for all of it, in one transaction; the items are gone through once.

    Args:
        source_id: whose newest item, newest scan and last success count; None: those of any.
    """
    take_time(connection, _LONGEST_S)
    moment = now(connection)
    items: Counter[Disposition] = Counter(dict.fromkeys(Disposition, 0))
    failures: Counter[ReasonCode | Unknown] = Counter()
    unaccounted, oldest, newest = 0, None, None
    for row in connection.execute(_counted(source_id)):
        unaccounted += _unaccounted(row)
        newest = max(filter(None, (newest, row.newest)), default=None)
        if row.disposition not in _KNOWN:
            continue
        disposition = Disposition(row.disposition)
        items[disposition] += row.number
        if disposition is Disposition.WAITING:
            oldest = row.oldest if oldest is None else min(oldest, row.oldest)
        if disposition in (Disposition.FAILED, Disposition.UNSUPPORTED) and row.is_open:
            failures[known(row.reason)] += row.number
    n_results = select(func.count()).select_from(result)
    newest_event = select(func.max(event.c.event_id))
    return Health(
        moment=moment,
        items=items,
        unaccounted=unaccounted,
        failures=failures,
        oldest_waiting_at=oldest,
        newest_item_at=newest,
        queue=_queue(connection),
        results=int(connection.execute(n_results).scalar_one()),
        last_scan=last_scan(connection, source_id),
        last_success_at=_last_success(connection, source_id),
        beats=beats(connection, moment - _RECENT),
        halted_at=connection.execute(select(control.c.halted_at)).scalar(),
        champion=bundles.champion(connection),
        last_event=connection.execute(newest_event).scalar() or 0,
        proofs=proofs.read(connection),
        last_export=exports.newest(connection),
    )


def last_scan(connection: Connection, source_id: int | None = None) -> ScanRow | None:
    """The newest scan, ended or not, of this source or of any."""
    columns = select(run.c.kind, run.c.started_at, run.c.ended_at, run.c.exit_code)
    newest = columns.where(*_scans(source_id)).order_by(run.c.run_id.desc()).limit(1)
    row = connection.execute(newest).first()
    return None if row is None else ScanRow(*row)


def beats(connection: Connection, since: datetime) -> tuple[Beat, ...]:
    """Processes that were seen since then, newest first."""
    columns = heartbeat.c
    seen = select(columns.worker, columns.kind, columns.started_at, columns.seen_at)
    rows = connection.execute(
        seen.where(columns.seen_at >= since).order_by(columns.seen_at.desc(), columns.worker)
    )
    return tuple(Beat(*row) for row in rows)


def lost_leases(connection: Connection, since: int, until: int) -> int:
    """Leases that ran out unfinished, among the events numbered since < n <= until."""
    counted = select(func.count()).where(
        event.c.event_id > since, event.c.event_id <= until, event.c.kind.in_(_LOST)
    )
    return int(connection.execute(counted).scalar_one())


def _scans(source_id: int | None) -> list[ColumnElement[bool]]:
    here = [] if source_id is None else [run.c.source_id == source_id]
    return [run.c.kind.in_(SCANS), *here]


def _counted(source_id: int | None) -> Select[tuple[object, ...]]:
    columns = _ITEMS.c
    is_here = true() if source_id is None else columns.source_id == source_id
    is_open = columns.acknowledged_at.is_(None)
    return select(
        columns.disposition,
        columns.reason,
        cast(is_open, Integer).label("is_open"),
        func.count().label("number"),
        func.min(_waits_since()).label("oldest"),
        func.max(case((is_here, columns.first_seen_at))).label("newest"),
    ).group_by(columns.disposition, columns.reason, cast(is_open, Integer))


def _waits_since() -> ColumnElement[datetime]:
    """When an item began to wait: an ECG that was tried again does so from that act on."""
    columns = _ITEMS.c
    again = (
        select(func.max(event.c.event_at))
        .where(event.c.item_id == columns.item_id, event.c.from_state.in_(_OVER))
        .scalar_subquery()
    )
    since = func.coalesce(again, columns.first_seen_at, type_=UtcTime())
    return case((columns.disposition == Disposition.WAITING, since))


def _unaccounted(row: Row[tuple[object, ...]]) -> int:
    """The balance of the ledger: everything is somewhere, and has a reason unless scored."""
    is_known = row.disposition in _KNOWN
    is_explained = row.reason is not None or row.disposition == Disposition.SCORED
    return 0 if is_known and is_explained else int(row.number)


def _queue(connection: Connection) -> dict[WorkState, int]:
    champion = select(activation.c.bundle_digest).where(
        activation.c.role == BundleRole.CHAMPION, activation.c.to_at.is_(None)
    )
    counted = select(work.c.state, func.count()).where(
        work.c.bundle_digest.in_(champion), work.c.state.in_(_OPEN)
    )
    numbers = dict.fromkeys(_OPEN, 0)
    for state, number in connection.execute(counted.group_by(work.c.state)):
        numbers[WorkState(state)] = number
    return numbers


def _last_success(connection: Connection, source_id: int | None) -> datetime | None:
    ended = select(run.c.ended_at).where(*_scans(source_id), run.c.exit_code.in_(SUCCESSES))
    return connection.execute(ended.order_by(run.c.run_id.desc()).limit(1)).scalar()
