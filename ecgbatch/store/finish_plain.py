"""The ends of many plain units, in as few statements as one of them would need."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from ecgbatch.records import Finish, Provenance, Quarantined, Rejected, Scored, WorkUnit
from ecgbatch.store.batch import Plain
from ecgbatch.store.bulk import insert_rows, next_keys, update_rows
from ecgbatch.store.endings import End, ended, set_aside
from ecgbatch.store.engine import now
from ecgbatch.store.events import Event, record
from ecgbatch.store.finish import work_values
from ecgbatch.store.recordings import finding_rows, recording_values, result_values, score_rows
from ecgbatch.store.tables import finding, item, recording, result, score, work
from ecgbatch.terms import ItemState, WorkState

_Read = tuple[WorkUnit, Scored | Rejected, int]
"""What has a result, with its recording's key."""


def finish_plain(
    connection: Connection, plain: Sequence[Plain], provenance: Provenance
) -> list[Finish]:
    """Write the rows that `finish` would write, for units that `batch.hold` holds.

    Raises:
        EcgbatchError: INTERNAL_FAULT, a value that the tables refuse.
    """
    moment = now(connection)
    keys = _note_recordings(connection, plain)
    read: list[_Read] = []
    ends: list[End] = []
    for one, key in zip(plain, keys, strict=True):
        if isinstance(one.outcome, Quarantined):
            ends.append(set_aside(one.outcome, key))
        elif key is not None:
            read.append((one.unit, one.outcome, key))
            ends.append(ended(key, one.outcome, None))
    _add_results(connection, read, provenance, moment)
    at_end = {"finished_at": moment, "fault_since": None}
    units = [one.unit for one in plain]
    finished = list(zip(units, ends, strict=True))
    update_rows(
        connection,
        work,
        [{"work_id": unit.work_id, **at_end, **work_values(end)} for unit, end in finished],
    )
    update_rows(
        connection,
        item,
        [
            {"item_id": unit.item_id, "recording_id": end.recording_id, **_READ}
            for unit, end in finished
        ],
    )
    record(connection, provenance.run_id, [_event(unit, end) for unit, end in finished])
    return [end.shown for end in ends]


_READ = {
    "state": ItemState.ADMITTED,
    "reason": None,
    "acknowledged_at": None,
    "acknowledged_by": None,
    "acknowledged_why": None,
}
"""An item after its reading; an earlier acknowledgement does not cover it."""


def _note_recordings(connection: Connection, plain: Sequence[Plain]) -> list[int | None]:
    """The new recordings' keys, None for what could not be read at all."""
    known = [(one.outcome.facts, one.first_seen_at) for one in plain]
    keys = iter(next_keys(connection, recording, sum(facts is not None for facts, _ in known)))
    noted: list[int | None] = []
    rows: list[dict[str, object]] = []
    for facts, first_seen_at in known:
        noted.append(None if facts is None else next(keys))
        if facts is not None:
            rows.append({"recording_id": noted[-1], **recording_values(facts, first_seen_at)})
    insert_rows(connection, recording, rows)
    return noted


def _add_results(
    connection: Connection, read: Sequence[_Read], provenance: Provenance, moment: datetime
) -> None:
    settings = provenance.settings_digest
    found = [row for _, one, key in read for row in finding_rows(key, one.findings, settings)]
    insert_rows(connection, finding, found)
    keys = next_keys(connection, result, len(read))
    rows = [
        {
            "result_id": result_id,
            **result_values(
                recording_id,
                outcome,
                bundle_digest=unit.bundle_digest,
                work_id=unit.work_id,
                provenance=provenance,
                moment=moment,
            ),
        }
        for result_id, (unit, outcome, recording_id) in zip(keys, read, strict=True)
    ]
    insert_rows(connection, result, rows)
    scores = [
        row
        for result_id, (_, outcome, _) in zip(keys, read, strict=True)
        if isinstance(outcome, Scored)
        for row in score_rows(result_id, outcome)
    ]
    insert_rows(connection, score, scores)


def _event(unit: WorkUnit, end: End) -> Event:
    return Event("finished", unit.item_id, unit.work_id, WorkState.LEASED, end.state, end.reason)
