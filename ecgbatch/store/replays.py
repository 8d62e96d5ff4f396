"""Current results with all that was written down of them, to be computed again and compared."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from heapq import nsmallest
from itertools import islice

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    and_,
    case,
    exists,
    func,
    or_,
    select,
)

from ecgbatch.errors import SetupFault
from ecgbatch.store.detail import ScoreDetail, find_recording, score_detail
from ecgbatch.store.engine import WHOLE_TABLES_S, take_time, transaction
from ecgbatch.store.tables import activation, bundle, item, recording, result, score, source
from ecgbatch.terms import BundleRole, ReasonCode, ResultOutcome, Stratum

_IDS = 1000
_PAGE = 200
_COLUMNS = (
    "result_id",
    "recording_id",
    "bundle_digest",
    "pipeline_id",
    "reason",
    "any_vessel_risk",
    "outside_intended_use",
    "reader",
    "reader_version",
    "signal_digest",
    "preprocessing_digest",
    "runtime",
    "precision",
    "code_version",
    "library_versions",
    "padded_samples",
)


@dataclass(frozen=True, slots=True)
class KeptPlace:
    """Where a recording was seen.

    Attributes:
        kind, root: of the source; `locator` lies below `root`.
    """

    kind: str
    root: str = field(repr=False)
    locator: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeptResult:
    """A result as it stands in the database.

    Attributes:
        scores: one per task, in no order; none where it was rejected.
        places: every place at which the recording was seen, present ones first.
    """

    result_id: int
    recording_id: int
    file_digest: str
    bundle_digest: str
    is_clinical: bool
    pipeline_id: str
    outcome: ResultOutcome
    reason: str | None
    any_vessel_risk: float | None
    any_vessel_stratum: Stratum | None
    outside_intended_use: bool | None
    reader: str | None
    reader_version: str | None
    signal_digest: str | None
    preprocessing_digest: str
    runtime: str
    precision: str
    code_version: str
    library_versions: str
    padded_samples: int | None
    scores: tuple[ScoreDetail, ...]
    places: tuple[KeptPlace, ...] = field(repr=False)


def count_current(engine: Engine) -> int:
    """How many results `current_results` gives."""
    with transaction(engine) as connection:
        take_time(connection, WHOLE_TABLES_S)
        champions = _champions(connection)
        counted = (_of_current(func.count(), champions, rank) for rank in range(len(champions)))
        return sum(int(connection.execute(query).scalar_one()) for query in counted)


def current_results(engine: Engine) -> Iterator[KeptResult]:
    """The results that v_latest_risk's rule makes current, rejected ones too.

    Bundle by bundle, the present champion's first, then by number. Memory is bounded, and no
    transaction stays open between two of them.
    """
    yield from _kept(engine, (result_id for _, result_id in _current_ids(engine)))


def sample_of(engine: Engine, size: int, seed: int) -> Iterator[KeptResult]:
    """A random sample of the current results, without replacement, in the order of all of them.

    Args:
        size: how many; all where there are fewer.
        seed: the same seed takes the same results of the same database, on either kind.
    """

    def lot(numbered: tuple[int, int]) -> bytes:
        return sha256(f"{seed} {numbered[1]}".encode()).digest()

    drawn = sorted(nsmallest(size, _current_ids(engine), key=lot))
    yield from _kept(engine, (result_id for _, result_id in drawn))


def of_record(engine: Engine, record: str) -> KeptResult:
    """The result of one recording that is current, or would be if nothing superseded it.

    Args:
        record: a recording_id, or at least 12 hex digits of the file digest.

    Raises:
        SetupFault: RECORD_UNKNOWN; no such recording, or it has no result.
    """
    with transaction(engine) as connection:
        recording_id = find_recording(connection, record).recording_id
        champions = _champions(connection)
        for rank in range(len(champions)):
            newest = select(result.c.result_id).where(
                result.c.recording_id == recording_id, *_is_newest(champions, rank)
            )
            if (result_id := connection.execute(newest).scalar()) is not None:
                return _page(connection, [result_id])[0]
    raise SetupFault(ReasonCode.RECORD_UNKNOWN, "the recording has no result to replay")


def of_results(engine: Engine, result_ids: Sequence[int]) -> Iterator[KeptResult]:
    """Those of these results that exist, in the order asked for, current or not."""
    yield from _kept(engine, result_ids)


def which_are_current(connection: Connection, result_ids: Select[int]) -> dict[int, int]:
    """Those of `result_ids` that `current_results` gives, each with its recording."""
    champions = _champions(connection)
    found: dict[int, int] = {}
    for rank in range(len(champions)):
        current = _of_current(result.c.result_id, champions, rank).add_columns(
            result.c.recording_id
        )
        rows = connection.execute(current.where(result.c.result_id.in_(result_ids)))
        found |= {row.result_id: row.recording_id for row in rows}
    return found


def _champions(connection: Connection) -> list[str]:
    """Present and former champions of the present one's kind, in the order of v_latest_risk."""
    is_open = func.max(case((activation.c.to_at.is_(None), 1), else_=0))
    rows = connection.execute(
        select(bundle.c.bundle_digest, bundle.c.is_clinical)
        .join(activation, activation.c.bundle_digest == bundle.c.bundle_digest)
        .where(activation.c.role == BundleRole.CHAMPION)
        .group_by(bundle.c.bundle_digest, bundle.c.is_clinical)
        .order_by(
            is_open.desc(),
            func.max(activation.c.from_at).desc(),
            func.max(activation.c.activation_id).desc(),
        )
    ).all()
    return [row.bundle_digest for row in rows if row.is_clinical == rows[0].is_clinical]


def _current_ids(engine: Engine) -> Iterator[tuple[int, int]]:
    """Place of the bundle and number of every current result, in order."""
    with transaction(engine) as connection:
        champions = _champions(connection)
    for rank, digest in enumerate(champions):
        after = 0
        while True:
            page = (
                select(result.c.result_id, result.c.recording_id)
                .join(recording, recording.c.recording_id == result.c.recording_id)
                .where(
                    result.c.bundle_digest == digest,
                    result.c.result_id > after,
                    recording.c.superseded_at.is_(None),
                )
                .order_by(result.c.result_id)
                .limit(_IDS)
            )
            with transaction(engine) as connection:
                take_time(connection, WHOLE_TABLES_S)
                rows = connection.execute(page).all()
                first = _first_of(connection, champions, [row.recording_id for row in rows])
            yield from (
                (rank, row.result_id) for row in rows if first[row.recording_id] == row.result_id
            )
            if len(rows) < _IDS:
                break
            after = rows[-1].result_id


def _first_of(
    connection: Connection, champions: Sequence[str], recording_ids: Sequence[int]
) -> dict[int, int]:
    """The result that v_latest_risk's rule puts first, by recording.

    Here and not in the query of the page: a planner may compare all results with all for it.
    """
    rank = {digest: number for number, digest in enumerate(champions)}
    rows = connection.execute(
        select(
            result.c.recording_id, result.c.bundle_digest, result.c.created_at, result.c.result_id
        ).where(result.c.recording_id.in_(recording_ids))
    ).all()
    of_champions = [row for row in rows if row.bundle_digest in rank]
    # Ascending, so that the last one written for a recording is the first of the rule.
    of_champions.sort(key=lambda row: (-rank[row.bundle_digest], row.created_at, row.result_id))
    return {row.recording_id: row.result_id for row in of_champions}


def _of_current(what: ColumnElement[int], champions: Sequence[str], rank: int) -> Select[int]:
    return (
        select(what)
        .select_from(result)
        .join(recording, recording.c.recording_id == result.c.recording_id)
        .where(recording.c.superseded_at.is_(None), *_is_newest(champions, rank))
    )


def _is_newest(champions: Sequence[str], rank: int) -> tuple[ColumnElement[bool], ...]:
    """Of this champion, with nothing of a champion before it and nothing later of its own."""
    other = result.alias()
    is_later = or_(
        other.c.created_at > result.c.created_at,
        and_(other.c.created_at == result.c.created_at, other.c.result_id > result.c.result_id),
    )
    is_before = or_(
        other.c.bundle_digest.in_(champions[:rank]),
        and_(other.c.bundle_digest == champions[rank], is_later),
    )
    beaten = exists().where(other.c.recording_id == result.c.recording_id, is_before)
    return (result.c.bundle_digest == champions[rank], ~beaten)


def _kept(engine: Engine, result_ids: Iterable[int]) -> Iterator[KeptResult]:
    remaining = iter(result_ids)
    while page := list(islice(remaining, _PAGE)):
        with transaction(engine) as connection:
            found = _page(connection, page)
        yield from found


def _page(connection: Connection, result_ids: Sequence[int]) -> list[KeptResult]:
    """In the order asked for."""
    rows = connection.execute(
        select(result, recording.c.file_digest, bundle.c.is_clinical)
        .join(recording, recording.c.recording_id == result.c.recording_id)
        .join(bundle, bundle.c.bundle_digest == result.c.bundle_digest)
        .where(result.c.result_id.in_(result_ids))
    ).all()
    scores: dict[int, list[ScoreDetail]] = {}
    for row in connection.execute(select(score).where(score.c.result_id.in_(result_ids))):
        scores.setdefault(row.result_id, []).append(score_detail(row))
    places = _places(connection, [row.recording_id for row in rows])
    kept = {
        row.result_id: _result(
            row, tuple(scores.get(row.result_id, ())), tuple(places.get(row.recording_id, ()))
        )
        for row in rows
    }
    return [kept[result_id] for result_id in result_ids if result_id in kept]


def _places(connection: Connection, recording_ids: Sequence[int]) -> dict[int, list[KeptPlace]]:
    rows = connection.execute(
        select(item.c.recording_id, item.c.locator, source.c.kind, source.c.root)
        .join(source, source.c.source_id == item.c.source_id)
        .where(item.c.recording_id.in_(recording_ids))
        .order_by(case((item.c.gone_at.is_(None), 0), else_=1), item.c.item_id)
    )
    found: dict[int, list[KeptPlace]] = {}
    for row in rows:
        found.setdefault(row.recording_id, []).append(KeptPlace(row.kind, row.root, row.locator))
    return found


def _result(
    row: Row[tuple[object, ...]],
    scores: tuple[ScoreDetail, ...],
    places: tuple[KeptPlace, ...],
) -> KeptResult:
    stratum = row.any_vessel_stratum
    return KeptResult(
        file_digest=row.file_digest,
        is_clinical=row.is_clinical,
        outcome=ResultOutcome(row.outcome),
        any_vessel_stratum=None if stratum is None else Stratum(stratum),
        scores=scores,
        places=places,
        **{name: row._mapping[name] for name in _COLUMNS},
    )
