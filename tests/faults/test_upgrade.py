"""A ledger of the first schema is upgraded while a worker of that version runs (U1)."""

from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, select, text

from ecgbatch.errors import EcgbatchError
from ecgbatch.store import ledger
from ecgbatch.store.engine import open_engine, transaction
from ecgbatch.store.migrate import migrate
from ecgbatch.store.tables import event, item, work
from tests.faults import old_ledger
from tests.faults.old_ledger import DISPOSITIONS, old_claim, old_finish
from tests.support.ledger import CHAMPION, PIPELINE, facts, provenance, scored

UNFINISHED = {"ready", "leased", "leased, overdue", "unreadable", "incomplete"}


@pytest.fixture
def old(empty_database_url: str) -> str:
    old_ledger.make(empty_database_url)
    return empty_database_url


@pytest.fixture
def engine(old: str) -> Iterator[Engine]:
    """Opened before the upgrade, as the worker of the former version has it."""
    opened = open_engine(old)
    yield opened
    opened.dispose()


def shown(engine: Engine) -> dict[str, str]:
    with transaction(engine) as connection:
        rows = connection.execute(text("SELECT locator, disposition FROM v_disposition"))
        return {row[0]: row[1] for row in rows}


def unit(engine: Engine, locator: str) -> tuple[int, int]:
    with transaction(engine) as connection:
        row = connection.execute(
            select(work.c.work_id, work.c.token)
            .join(item, item.c.item_id == work.c.item_id)
            .where(item.c.locator == locator)
        ).one()
    return row.work_id, row.token


def counted(engine: Engine) -> Counter[str]:
    tables = ("source", "item", "recording", "work", "result", "score", "event", "run")
    with transaction(engine) as connection:
        return Counter(
            {
                name: connection.execute(text(f"SELECT COUNT(*) FROM {name}")).scalar_one()
                for name in tables
            }
        )


def work_on(engine: Engine) -> set[str]:
    """A worker of this version claims and scores all that it is given; what that was."""
    done: set[str] = set()
    with transaction(engine) as connection:
        run_id = ledger.start_run(connection, "run-once", None, "new:2")
    while True:
        with transaction(engine) as connection:
            units = ledger.claim(
                connection,
                None,
                CHAMPION,
                pipeline_id=PIPELINE,
                worker="new:2",
                limit=16,
                lease_s=60.0,
                run_id=run_id,
            )
        if not units:
            return done
        for one in units:
            assert one.locator not in done
            done.add(one.locator)
            with transaction(engine) as connection:
                ledger.finish(connection, one, scored(facts(one.locator)), provenance(run_id), 0.0)


def test_every_row_keeps_its_disposition_through_upgrade_and_downgrade(
    engine: Engine, old: str
) -> None:
    before = counted(engine)
    assert shown(engine) == DISPOSITIONS

    migrate(old)
    upgraded, of_upgraded = counted(engine), shown(engine)
    with transaction(engine) as connection:
        ledger.balance(connection)
    old_ledger.downgrade(old)
    downgraded, of_downgraded = counted(engine), shown(engine)
    migrate(old)

    assert upgraded == downgraded == counted(engine) == before
    assert of_upgraded == of_downgraded == shown(engine) == DISPOSITIONS


def test_old_worker_can_finish_nothing_that_it_held(engine: Engine, old: str) -> None:
    held = [unit(engine, locator) for locator in ("leased", "leased, overdue")]

    migrate(old)

    for work_id, token in held:
        with transaction(engine) as connection:
            assert old_finish(connection, work_id, token) is False


def test_what_it_claims_afterwards_fails_whole_and_comes_back(engine: Engine, old: str) -> None:
    migrate(old)
    with transaction(engine) as connection:
        work_id, token = old_claim(connection, "ready")
    before = counted(engine)

    with pytest.raises(EcgbatchError), transaction(engine) as connection:
        old_finish(connection, work_id, token)

    assert counted(engine) == before
    assert shown(engine) == DISPOSITIONS
    with transaction(engine) as connection:
        ledger.bury(connection, old_ledger.OLD_WORKER)
    assert work_on(engine) == UNFINISHED


def test_new_worker_goes_on_and_nothing_is_lost(engine: Engine, old: str) -> None:
    migrate(old)

    at_once = work_on(engine)
    with transaction(engine) as connection:
        ledger.bury(connection, old_ledger.OLD_WORKER)
    later = work_on(engine)

    assert at_once == UNFINISHED - {"leased"}
    assert later == {"leased"}
    now_scored = dict.fromkeys(UNFINISHED, "scored")
    assert shown(engine) == {**DISPOSITIONS, **now_scored}
    with transaction(engine) as connection:
        counts = ledger.balance(connection)
    assert sum(counts.values()) == len(DISPOSITIONS)


def test_new_worker_refuses_the_ledger_before_and_after(engine: Engine, old: str) -> None:
    """Until it is upgraded, and once it is downgraded under it, nothing is leased."""
    with pytest.raises(EcgbatchError) as before:
        work_on(engine)
    migrate(old)
    old_ledger.downgrade(old)
    with pytest.raises(EcgbatchError) as after:
        work_on(engine)

    assert before.value.reason == after.value.reason == "database_revision"


def test_control_without_the_migrations_guards_the_old_worker_finishes(
    engine: Engine, old: str
) -> None:
    """What it held and what it claims, twice over if another has taken it."""
    held = unit(engine, "leased")
    with transaction(engine) as connection:
        claimed = old_claim(connection, "ready")

    for work_id, token in (held, claimed):
        with transaction(engine) as connection:
            assert old_finish(connection, work_id, token) is True

    with transaction(engine) as connection:
        events = select(event.c.to_state).where(event.c.work_id.in_((held[0], claimed[0])))
        assert list(connection.execute(events).scalars()).count("scored") == 2
