"""Leased units that end together: held, and which of them nothing else has to do with."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from ecgbatch.records import Facts, Outcome, Quarantined, Rejected, RetryLater, Scored, WorkUnit
from ecgbatch.store import linking
from ecgbatch.store.claims import role_of
from ecgbatch.store.tables import NEW_REQUEST, item, work
from ecgbatch.terms import BundleRole, ItemState

_Link = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """A leased unit and what became of it."""

    unit: WorkUnit
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Plain:
    """A champion's first reading of an item, of an acquisition that the ledger does not know.

    Its end depends on nothing but itself: no copy of its bytes, no other export, no other item at
    its place, neither in the ledger nor before it in the batch.
    """

    unit: WorkUnit
    outcome: Scored | Rejected | Quarantined
    first_seen_at: datetime


@dataclass(frozen=True, slots=True)
class Entangled:
    """Whatever has to be weighed one by one."""

    unit: WorkUnit
    outcome: Outcome


def hold(connection: Connection, ended: Sequence[Ended]) -> list[Plain | Entangled | None]:
    """Lock what a batch changes, in one order for all workers, and tell what is plain in it.

    All work first, then all items, then the keys of all recordings: a scan locks in that order
    too. What is held here is fenced until the transaction ends.

    Returns:
        One for each of `ended`, in that order; None where the lease is another's.
    """
    leased = _leased(connection, [one.unit for one in ended])
    items = _items(connection, [row.item_id for row in leased.values()])
    held = [_is_held(one.unit, leased.get(one.unit.work_id)) for one in ended]
    _lock(connection, [one.outcome for one, ours in zip(ended, held, strict=True) if ours])
    champions = {
        digest
        for digest in {one.unit.bundle_digest for one in ended}
        if role_of(connection, digest) is BundleRole.CHAMPION
    }
    told: list[Plain | Entangled | None] = []
    met: set[_Link] = set()
    for one, ours in zip(ended, held, strict=True):
        if not ours:
            told.append(None)
            continue
        row = leased[one.unit.work_id]
        of_item = items[row.item_id]
        is_new = row.request == NEW_REQUEST and one.unit.bundle_digest in champions
        links = set(_links(one.outcome, of_item))
        plain = _plain(one, of_item) if is_new and met.isdisjoint(links) else None
        told.append(plain or Entangled(one.unit, one.outcome))
        met |= links
    known = _known(connection, told, items)
    return [
        Entangled(one.unit, one.outcome) if one is not None and number in known else one
        for number, one in enumerate(told)
    ]


def _leased(connection: Connection, units: Sequence[WorkUnit]) -> Mapping[int, Row[Any]]:
    """The fence: whoever has the rows of the leases has them until the transaction ends."""
    wanted = sorted({unit.work_id for unit in units})
    rows = connection.execute(_LEASED[connection.dialect.name], _listed(connection, wanted))
    return {row.work_id: row for row in rows}


def _items(connection: Connection, item_ids: Sequence[int]) -> Mapping[int, Row[Any]]:
    wanted = sorted(set(item_ids))
    rows = connection.execute(_ITEMS[connection.dialect.name], _listed(connection, wanted))
    return {row.item_id: row for row in rows}


def _is_held(unit: WorkUnit, row: Row[Any] | None) -> bool:
    return row is not None and (row.token, row.bundle_digest) == (unit.token, unit.bundle_digest)


def _lock(connection: Connection, outcomes: Sequence[Outcome]) -> None:
    keys: set[str | None] = set()
    for outcome in outcomes:
        facts = _facts(outcome)
        if isinstance(outcome, Scored | Rejected):
            keys |= linking.keys_of(outcome.facts)
        elif facts is not None:
            keys.add(facts.file_digest)
    linking.lock_keys(connection, keys)


def _facts(outcome: Outcome) -> Facts | None:
    return None if isinstance(outcome, RetryLater) else outcome.facts


def _plain(one: Ended, of_item: Row[Any]) -> Plain | None:
    if not isinstance(one.outcome, Scored | Rejected | Quarantined):
        return None
    is_unread = of_item.state == ItemState.ADMITTED and of_item.recording_id is None
    if not is_unread or of_item.fingerprint != one.unit.fingerprint:
        return None
    return Plain(one.unit, one.outcome, of_item.first_seen_at)


def _links(outcome: Outcome, of_item: Row[Any]) -> Iterator[_Link]:
    """What an earlier one of the batch may have in common with this one."""
    yield ("spot", of_item.source_id, of_item.locator)
    facts = _facts(outcome)
    if facts is None:
        return
    yield ("file", facts.file_digest)
    for kind in ("acquisition_key", "ecg_id", "signal_digest"):
        if (key := getattr(facts, kind)) is not None:
            yield (kind, key)


def _known(
    connection: Connection,
    told: Sequence[Plain | Entangled | None],
    items: Mapping[int, Row[Any]],
) -> set[int]:
    """Which of the plain ones the ledger may know something about, by their places in the list.

    More than are linked in the end: each of them is weighed by `finish`.
    """
    asked: list[tuple[object, ...]] = []
    for number, one in enumerate(told):
        if isinstance(one, Plain):
            facts = one.outcome.facts
            keys = (None,) * 4 if facts is None else _keys(facts)
            of_item = items[one.unit.item_id]
            asked.append((number, *keys, of_item.source_id, of_item.locator))
    if not asked:
        return set()
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql(_KNOWN_SQLITE, (json.dumps(asked),))
    else:
        columns = tuple(map(list, zip(*asked, strict=True)))
        found = connection.exec_driver_sql(_KNOWN_POSTGRES, columns)
    return set(found.scalars())


def _keys(facts: Facts) -> tuple[str | None, ...]:
    return (facts.file_digest, facts.acquisition_key, facts.ecg_id, facts.signal_digest)


def _listed(connection: Connection, numbers: Sequence[int]) -> dict[str, Any]:
    """A list as one parameter, so that the statement is the same for any length."""
    return {"listed": json.dumps(numbers) if connection.dialect.name == "sqlite" else numbers}


_OF_WORK = (work.c.work_id, work.c.token, work.c.bundle_digest, work.c.request, work.c.item_id)
_OF_ITEM = (
    *(item.c.item_id, item.c.source_id, item.c.locator, item.c.fingerprint),
    *(item.c.state, item.c.recording_id, item.c.first_seen_at),
)
_LEASED = {
    "sqlite": text(
        "SELECT work_id, token, bundle_digest, request, item_id FROM work"
        " WHERE work_id IN (SELECT value FROM json_each(:listed)) AND state = 'leased'"
    ).columns(*_OF_WORK),
    "postgresql": text(
        "SELECT work_id, token, bundle_digest, request, item_id FROM work"
        " WHERE work_id = ANY(CAST(:listed AS bigint[])) AND state = 'leased'"
        " ORDER BY work_id FOR UPDATE"
    ).columns(*_OF_WORK),
}
_ITEMS = {
    "sqlite": text(
        "SELECT item_id, source_id, locator, fingerprint, state, recording_id, first_seen_at"
        " FROM item WHERE item_id IN (SELECT value FROM json_each(:listed))"
    ).columns(*_OF_ITEM),
    "postgresql": text(
        "SELECT item_id, source_id, locator, fingerprint, state, recording_id, first_seen_at"
        " FROM item WHERE item_id = ANY(CAST(:listed AS bigint[])) ORDER BY item_id FOR UPDATE"
    ).columns(*_OF_ITEM),
}
# One look into an index each, and none behind one that finds something.
_ANY_KNOWN = """
WHERE COALESCE(
  (SELECT 1 FROM recording WHERE file_digest = one.file_digest LIMIT 1),
  (SELECT 1 FROM recording WHERE acquisition_key = one.acquisition_key LIMIT 1),
  (SELECT 1 FROM recording WHERE ecg_id = one.ecg_id LIMIT 1),
  (SELECT 1 FROM recording WHERE signal_digest = one.signal_digest LIMIT 1),
  (SELECT 1 FROM item WHERE source_id = one.source_id AND locator = one.locator
   AND recording_id IS NOT NULL LIMIT 1)
) = 1
"""
_KNOWN_SQLITE = (
    """
SELECT one.number FROM (
  SELECT json_extract(value, '$[0]') AS number, json_extract(value, '$[1]') AS file_digest,
    json_extract(value, '$[2]') AS acquisition_key, json_extract(value, '$[3]') AS ecg_id,
    json_extract(value, '$[4]') AS signal_digest, json_extract(value, '$[5]') AS source_id,
    json_extract(value, '$[6]') AS locator
  FROM json_each(?)) AS one
"""  # noqa: S608 - no value in it
    + _ANY_KNOWN
)
_KNOWN_POSTGRES = (
    """
SELECT one.number
FROM unnest(%s::int[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[])
  AS one(number, file_digest, acquisition_key, ecg_id, signal_digest, source_id, locator)
"""
    + _ANY_KNOWN
)
