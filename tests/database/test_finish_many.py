"""A batch leaves the rows that its units would leave one by one, in few statements."""

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, select, update

from ecgbatch.records import NotYet, Outcome, Quarantined, RetryLater
from ecgbatch.store import bulk, bundles, checks, finish_many, finish_plain, ledger
from ecgbatch.store.batch import Entangled
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.columns import UtcTime
from ecgbatch.store.engine import open_engine, transaction
from ecgbatch.store.finish_many import Ended
from ecgbatch.store.rescore import Scope, ask
from ecgbatch.store.tables import event as event_table
from ecgbatch.store.tables import finding, item, recording, result, score, work
from ecgbatch.store.tables_ledger import supersession
from ecgbatch.terms import BundleRole, ItemState, ReasonCode
from tests.support.effort import effort
from tests.support.ledger import (
    OTHER,
    STRATA,
    Site,
    activate,
    facts,
    rejected,
    scored,
    sighting,
    site,
)

EARLY = datetime(2026, 1, 1, 8)  # noqa: DTZ001 - a wall clock
WRITTEN = (item, work, recording, finding, result, score, event_table, supersession)
NUMBERED = {
    "recording_id": recording.c.recording_id,
    "superseded_by": recording.c.recording_id,
    "result_id": result.c.result_id,
    "finding_id": finding.c.finding_id,
    "event_id": event_table.c.event_id,
    "supersession_id": supersession.c.supersession_id,
}
"""Keys that a sequence gives: only their order is the same."""
NEVER = 1 << 60
FILE_CLOCKS = {"first_seen_at"}

_Way = Callable[[Connection, Sequence[Ended], Site, float], list[Any]]


def one_by_one(
    connection: Connection, ended: Sequence[Ended], inbox: Site, grace_s: float
) -> list[Any]:
    return [
        finish_many._one(
            connection, Entangled(one.unit, one.outcome), inbox.provenance, grace_s, 86_400.0
        )
        for one in ended
    ]


def together(
    connection: Connection, ended: Sequence[Ended], inbox: Site, grace_s: float
) -> list[Any]:
    return list(ledger.finish_many(connection, ended, inbox.provenance, grace_s))


def rows(connection: Connection) -> dict[str, list[dict[str, object]]]:
    """Every table that an end writes to; keys as ordinals, moments as whether there is one."""
    ordinals: dict[Any, dict[object, int]] = {
        key: {
            one: n for n, one in enumerate(connection.execute(select(key).order_by(key)).scalars())
        }
        for key in set(NUMBERED.values())
    }

    def plain(name: str, column: Any, value: object) -> object:
        if value is None or name in {"hash", "prev_hash"}:
            return value is None
        if name in NUMBERED:
            return ordinals[NUMBERED[name]][value]
        if isinstance(column.type, UtcTime) and name not in FILE_CLOCKS:
            return "a moment"
        return value

    return {
        table.name: [
            {column.name: plain(column.name, column, row[column.name]) for column in table.c}
            for row in connection.execute(
                select(table).order_by(*table.primary_key.columns)
            ).mappings()
        ]
        for table in WRITTEN
    }


def outcome(draw: random.Random) -> Outcome:
    """Of a small world, in which much is linked with something; half of it with nothing."""
    if draw.random() < 0.5:
        name = f"alone {draw.getrandbits(60)}"
        of = facts(name, patient_key=draw.choice((None, "p")), acquired_at=EARLY, age_years=61)
    else:
        name = f"bytes {draw.randrange(6)}"
        of = facts(
            name,
            ecg_id=draw.choice((None, name, "ecg 1", "ecg 2")),
            acquisition_key=draw.choice((None, None, "k1", "k2")),
            signal_digest=draw.choice((f"signal {name}", "signal 1")),
            patient_key=draw.choice((None, "p", "q")),
            edit_at=draw.choice((None, EARLY, EARLY + timedelta(days=1))),
            statement_normal=draw.choice((None, True, False)),
        )
    known = draw.choice((None, of, facts(name, format=None, ecg_id=None, signal_digest=None)))
    return draw.choices(
        (
            scored(of, draw.choice(((0.1, 0.2, 0.3, 0.7), (0.1, -0.0, 0.3, 0.7)))),
            rejected(of),
            replace(scored(of), findings=()),
            Quarantined(known, ReasonCode.CHECKSUM_MISMATCH, "decode"),
            Quarantined(None, ReasonCode.FORMAT_UNKNOWN, "decode"),
            NotYet(known, ReasonCode.INCOMPLETE, "decode"),
            RetryLater(ReasonCode.READ_FAILED, "read"),
        ),
        (8, 2, 1, 1, 1, 1, 1),
    )[0]


def disturb(inbox: Site, draw: random.Random) -> None:
    """What other processes did since the claim."""
    changed = (
        update(work).values(token=work.c.token + 1),
        update(item).values(fingerprint="newer bytes"),
        update(item).values(state=ItemState.IGNORED, reason=ReasonCode.OPERATOR),
        update(item).values(state=ItemState.VANISHED, reason=ReasonCode.GONE),
        update(item).values(acknowledged_at=ledger.now(inbox.connection)),
    )
    n_items = inbox.connection.execute(select(func.max(item.c.item_id))).scalar_one()
    for _ in range(draw.randrange(4)):
        of_one = draw.choice(changed)
        number = draw.randint(max(1, n_items - 12), n_items)
        inbox.connection.execute(of_one.where(of_one.table.c.item_id == number))


def batch(inbox: Site, draw: random.Random) -> list[Ended]:
    """Leased units of a champion, a challenger and a re-scoring, in any order, some twice."""
    for number in range(6):
        known = draw.choice((f"alone {number}", f"bytes {number}"))
        inbox.arrive(scored(facts(known, patient_key=draw.choice((None, "p")))), f"old {number}")
    inbox.note(*(sighting(f"new {n}") for n in range(10)))
    inbox.note(*(sighting(f"old {n}", "2") for n in range(3)))
    inbox.admit()
    units = inbox.claim()
    ask(inbox.connection, Scope(), "op", "again")
    units += draw.sample(inbox.claim(lane="rescore"), 2)
    units += draw.sample(inbox.claim(bundle=OTHER), 2)
    draw.shuffle(units)
    disturb(inbox, draw)
    return [Ended(unit, outcome(draw)) for unit in (*units, units[0])]


def test_a_batch_leaves_the_rows_of_its_units_one_by_one(
    inbox: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, n_plain = inbox.connection, 0
    write = finish_plain.finish_plain

    def counted(connection: Connection, plain: Sequence[Any], provenance: Any) -> list[Any]:
        nonlocal n_plain
        n_plain += len(plain)
        return write(connection, plain, provenance)

    monkeypatch.setattr(finish_many, "finish_plain", counted)
    bundles.register(connection, BundleRow(OTHER, "next", "2", False), STRATA)
    activate(connection, OTHER, BundleRole.CHALLENGER)
    for seed in range(effort(200, with_every_change=6)):
        draw = random.Random(seed)  # noqa: S311 - no secret
        monkeypatch.setattr(bulk, "COPY_FROM", draw.choice((1, 20, NEVER)))
        left: list[Any] = []
        with connection.begin_nested() as world:
            ended, grace_s = batch(inbox, draw), draw.choice((0.0, 900.0))
            for way in (one_by_one, together):
                with connection.begin_nested() as tried:
                    shown = way(connection, ended, inbox, grace_s)
                    left.append((shown, rows(connection)))
                    if way is together:
                        assert checks.broken(connection) == [], seed
                    tried.rollback()
            world.rollback()
        assert left[0] == left[1], seed
    assert n_plain > 10


def test_statements_do_not_grow_with_the_batch(
    inbox: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "COPY_FROM", NEVER)
    counted: list[int] = []
    for size in (2, 20):
        names = [f"{size} {number}" for number in range(size)]
        inbox.note(*map(sighting, names))
        inbox.admit()
        ended = [Ended(unit, scored(facts(unit.locator))) for unit in inbox.claim()]
        statements: list[str] = []

        def note(*arguments: Any, seen: list[str] = statements) -> None:
            seen.append(arguments[2])

        event.listen(inbox.connection, "before_cursor_execute", note)
        ledger.finish_many(inbox.connection, ended, inbox.provenance, 900.0)
        event.remove(inbox.connection, "before_cursor_execute", note)
        counted.append(len(statements))

    assert counted[0] == counted[1] < 20


@pytest.mark.postgres
def test_two_workers_with_the_same_acquisitions_do_not_wait_for_each_other_in_a_circle(
    postgres: Any, postgres_template: str
) -> None:
    engine: Engine = open_engine(postgres.url(postgres.create(postgres_template)))
    with transaction(engine) as connection:
        inbox = site(connection)
        inbox.note(*(sighting(f"{n:02d}") for n in range(40)))
        inbox.admit()
        units = inbox.claim()
    faults: list[BaseException] = []

    def work_on(mine: Sequence[Any], step: int) -> None:
        names = [f"acquisition {n}" for n in range(20)][::step]
        ended = [
            Ended(unit, scored(facts(unit.locator, ecg_id=name)))
            for unit, name in zip(mine, names, strict=True)
        ]
        try:
            with transaction(engine) as connection:
                ledger.finish_many(connection, ended, inbox.provenance, 900.0)
        except BaseException as fault:  # noqa: BLE001 - looked at below
            faults.append(fault)

    workers = [
        threading.Thread(target=work_on, args=(units[:20], 1)),
        threading.Thread(target=work_on, args=(units[20:], -1)),
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with transaction(engine) as connection:
        n_current = len(replace(inbox, connection=connection).current())
    engine.dispose()
    assert (faults, n_current) == ([], 20)
