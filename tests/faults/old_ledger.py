"""A ledger as version 0001 of the schema left it, with rows of every state, and its worker."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256

from alembic import command
from sqlalchemy import Connection, Table, insert, select, text, update

from ecgbatch.reasons import REASONS
from ecgbatch.store import migrate as migrations
from ecgbatch.store.engine import now, owner_engine, sqlite_path
from ecgbatch.store.tables import (
    activation,
    bundle,
    event,
    item,
    recording,
    result,
    run,
    score,
    source,
    work,
)
from ecgbatch.terms import ItemState, ReasonCode, ResultOutcome, Vessel, WorkState
from tests.support.ledger import CHAMPION, PIPELINE

FIRST = "0001"
HOUR = timedelta(hours=1)
R, S, W = ReasonCode, ItemState, WorkState

ADMITTED: Mapping[str, tuple[WorkState, ReasonCode | None]] = {
    "ready": (W.READY, R.NEW),
    "leased": (W.LEASED, R.NEW),
    "leased, overdue": (W.LEASED, R.NEW),
    "unreadable": (W.RETRY_WAIT, R.READ_FAILED),
    "incomplete": (W.RETRY_WAIT, R.INCOMPLETE),
    "scored": (W.SCORED, None),
    "rejected": (W.REJECTED, R.LEAD_FLAT),
    "unsupported": (W.QUARANTINED, R.FORMAT_UNKNOWN),
    "failed": (W.QUARANTINED, R.CHECKSUM_MISMATCH),
    "duplicate": (W.DUPLICATE, R.SAME_BYTES),
    "corrected": (W.SCORED, None),
}
"""Items by locator, with the state of their work."""
NOT_ADMITTED: Mapping[str, tuple[ItemState, ReasonCode]] = {
    "new": (S.DISCOVERED, R.NEW),
    "rewritten": (S.SUPERSEDED, R.FILE_CHANGED),
    "vanished": (S.VANISHED, R.GONE),
    "ignored": (S.IGNORED, R.OPERATOR),
}
DISPOSITIONS = {
    "new": "waiting",
    "ready": "waiting",
    "leased": "waiting",
    "leased, overdue": "waiting",
    "unreadable": "waiting",
    "incomplete": "waiting",
    "scored": "scored",
    "rejected": "rejected",
    "unsupported": "unsupported",
    "failed": "failed",
    "duplicate": "duplicate",
    "corrected": "superseded",
    "rewritten": "superseded",
    "vanished": "vanished",
    "ignored": "ignored",
}
OLD_WORKER = "old:1"


def make(url: str) -> None:
    """Migrate an empty database to 0001 and fill it."""
    if path := sqlite_path(url):
        path.touch(mode=0o600)
    engine = owner_engine(url)
    config = migrations._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, FIRST)
        _fill(connection)
    engine.dispose()


def downgrade(url: str) -> None:
    engine = owner_engine(url)
    config = migrations._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, FIRST)
    engine.dispose()


def _add(connection: Connection, table: Table, **values: object) -> int:
    key = next(iter(table.primary_key.columns))
    return int(connection.execute(insert(table).values(values).returning(key)).scalar_one())


def _fill(connection: Connection) -> None:
    moment = now(connection)
    place = _add(connection, source, name="inbox", kind="folder", root="/inbox", authority="MRN")
    connection.execute(
        insert(bundle).values(bundle_digest=CHAMPION, name="demo", version="1", is_clinical=False)
    )
    role = {"role": "champion", "from_at": moment - 9 * HOUR, "by": "op", "why": "test"}
    _add(connection, activation, bundle_digest=CHAMPION, **role)
    began = moment - 2 * HOUR
    run_id = _add(
        connection, run, kind="run-once", source_id=place, worker=OLD_WORKER, started_at=began
    )
    for locator, (state, reason) in NOT_ADMITTED.items():
        gone = moment if state is S.VANISHED else None
        _item(connection, place, locator, moment, state=state, reason=reason, gone_at=gone)
    winner: int | None = None
    for locator, (state, reason) in ADMITTED.items():
        item_id = _item(connection, place, locator, moment, state=S.ADMITTED)
        work_id = _work(connection, item_id, locator, state, reason, moment)
        if state in (W.SCORED, W.REJECTED):
            recording_id = _result(connection, item_id, locator, reason, run_id, moment)
            winner = winner or recording_id
        _event(connection, run_id, item_id, work_id, state, moment)
    values = {
        "superseded_by": winner,
        "superseded_at": moment,
        "superseded_reason": R.SAME_ACQUISITION,
    }
    connection.execute(update(recording).where(recording.c.ecg_id == "corrected").values(values))


def _item(
    connection: Connection, place: int, locator: str, moment: datetime, **values: object
) -> int:
    seen = dict.fromkeys(("first_seen_at", "changed_at", "last_seen_at"), moment - HOUR)
    where = {"source_id": place, "locator": locator, "fingerprint": "1"}
    return _add(connection, item, **where, **seen, **values)


def _work(
    connection: Connection,
    item_id: int,
    locator: str,
    state: WorkState,
    reason: ReasonCode | None,
    moment: datetime,
) -> int:
    is_leased = state is W.LEASED
    late = -HOUR if locator.endswith("overdue") else HOUR
    is_finished = state not in (W.READY, W.LEASED, W.RETRY_WAIT)
    return _add(
        connection,
        work,
        item_id=item_id,
        bundle_digest=CHAMPION,
        request="new",
        pipeline_id=None if state is W.READY else PIPELINE,
        state=state,
        reason=reason,
        reason_class=None if reason is None else REASONS[reason].reason_class,
        token=0 if state is W.READY else 1,
        attempts=int(is_leased or is_finished),
        worker=None if state is W.READY else OLD_WORKER,
        lease_until=moment + late if is_leased else None,
        next_at=moment - HOUR if state is W.RETRY_WAIT else None,
        finished_at=moment if is_finished else None,
    )


def _result(
    connection: Connection,
    item_id: int,
    locator: str,
    reason: ReasonCode | None,
    run_id: int,
    moment: datetime,
) -> int:
    digest = sha256(locator.encode()).hexdigest()
    recording_id = _add(connection, recording, file_digest=digest, ecg_id=locator)
    connection.execute(
        update(item).where(item.c.item_id == item_id).values(recording_id=recording_id)
    )
    outcome = ResultOutcome.SCORED if reason is None else ResultOutcome.REJECTED
    known = {"any_vessel_risk": 0.3, "any_vessel_stratum": "low"} if reason is None else {}
    made = {
        "preprocessing_digest": "p",
        "runtime": "eager",
        "precision": "fp32",
        "code_version": "0.1.0",
        "library_versions": "torch",
        "run_id": run_id,
        "worker": OLD_WORKER,
        "created_at": moment,
    }
    of = {"recording_id": recording_id, "bundle_digest": CHAMPION, "pipeline_id": PIPELINE}
    result_id = _add(connection, result, outcome=outcome, reason=reason, **of, **known, **made)
    for vessel in Vessel if reason is None else ():
        risk = {"probability": 0.3, "probability_raw": 0.3, "logit": -0.8, "stratum": "low"}
        flags = {"near_cut": False, "is_experimental": False}
        connection.execute(insert(score).values(result_id=result_id, task=vessel, **risk, **flags))
    return recording_id


def _event(
    connection: Connection,
    run_id: int,
    item_id: int,
    work_id: int,
    state: str,
    moment: datetime,
) -> None:
    """As 0001 wrote them: without a hash."""
    seq = int(connection.execute(select(text("COUNT(*) + 1")).select_from(event)).scalar_one())
    values = {"run_id": run_id, "seq": seq, "event_at": moment, "kind": "finished"}
    _add(connection, event, item_id=item_id, work_id=work_id, to_state=state, **values)


def old_claim(connection: Connection, locator: str) -> tuple[int, int]:
    """What the worker of 0001 does to lease a unit; its number and token."""
    moment = now(connection)
    of = select(item.c.item_id).where(item.c.locator == locator)
    row = connection.execute(
        update(work)
        .where(work.c.item_id.in_(of), work.c.state == W.READY)
        .values(
            state=W.LEASED,
            token=work.c.token + 1,
            attempts=work.c.attempts + 1,
            worker=OLD_WORKER,
            lease_until=moment + HOUR,
        )
        .returning(work.c.work_id, work.c.token)
    ).one()
    return row.work_id, row.token


def old_finish(connection: Connection, work_id: int, token: int) -> bool:
    """What it does when it has scored: fence, end, event. False: the lease is not its own."""
    moment = now(connection)
    fenced = connection.execute(
        update(work)
        .where(work.c.work_id == work_id, work.c.token == token, work.c.state == W.LEASED)
        .values(
            state=W.SCORED, reason=None, reason_class=None, lease_until=None, finished_at=moment
        )
        .returning(work.c.item_id)
    ).scalar()
    if fenced is None:
        return False
    run_id = connection.execute(select(run.c.run_id).limit(1)).scalar_one()
    _event(connection, run_id, fenced, work_id, W.SCORED, moment)
    return True
