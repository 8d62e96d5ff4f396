"""The monitor: what it sees, which alarms two of them tell, and a database that goes away."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text, update

from ecgbatch.errors import TransientFault
from ecgbatch.records import Quarantined
from ecgbatch.service import monitor as module
from ecgbatch.service import timetable
from ecgbatch.service.messages import Message
from ecgbatch.service.monitor import Monitor
from ecgbatch.service.outbox import Outbox
from ecgbatch.service.schedule import Schedule
from ecgbatch.settings import load_settings
from ecgbatch.store import alarms, control, health, ledger
from ecgbatch.store.engine import open_engine, read_only, transaction
from ecgbatch.store.tables import item
from ecgbatch.terms import ReasonCode
from tests.support.ledger import Site, facts, scored, sighting, site
from tests.support.postgres import Postgres

_QUIET = dict.fromkeys(("source_silence_s", "waiting_s", "scan_silence_s", "free_bytes"), 0)
_ON_POSTGRESQL = pytest.mark.parametrize(
    "backend", [pytest.param("postgresql", marks=pytest.mark.postgres)]
)


class Watch:
    """A monitor whose looks the test takes, and what its outbox delivered."""

    def __init__(self, url: str, identity: str, **limits: object) -> None:
        settings = load_settings(None, {"alerts": {**_QUIET, **limits}}, {})
        self.reader, self.writer = read_only(url), open_engine(url)
        self.told: list[Message] = []
        self.outbox = Outbox({"list": self.told.append})
        self.outbox.start()
        self.schedule = Schedule(settings.service, 1, self.writer, identity, lambda: None)
        database = self.writer.url.database or ""
        self.monitor = Monitor(
            settings,
            self.reader,
            self.writer,
            identity=identity,
            source_id=1,
            host=f"host-{identity}",
            timetable=timetable.trigger(settings.service),
            schedule=self.schedule,
            outbox=self.outbox,
            database=Path(database) if self.writer.dialect.name == "sqlite" else None,
        )

    def look(self) -> module.Snapshot:
        self.monitor.look()
        return self.monitor.now

    def phases(self) -> list[tuple[str, str]]:
        deadline = time.monotonic() + 5
        while self.outbox.counts()["list"][2] and time.monotonic() < deadline:
            time.sleep(0.01)
        return [(message.alarm, message.phase) for message in self.told]

    def close(self) -> None:
        self.outbox.stop(5)
        self.reader.dispose()
        self.writer.dispose()


@pytest.fixture(autouse=True)
def _writes_at_each_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_S", 0.0)


@pytest.fixture
def two(database_url: str) -> Iterator[tuple[Watch, Watch]]:
    watches = Watch(database_url, "a"), Watch(database_url, "b")
    yield watches
    for watch in watches:
        watch.close()


@pytest.fixture
def one(two: tuple[Watch, Watch]) -> Watch:
    return two[0]


def fail_one(engine: Engine) -> Site:
    with transaction(engine) as connection:
        inbox = site(connection)
        fail(inbox, "a")
    return inbox


def fail(inbox: Site, name: str) -> None:
    unsupported = Quarantined(facts(name), ReasonCode.FORMAT_PDF, "decode")
    inbox.arrive(unsupported, f"PLANTED-NAME-{name}.pdf")


def acknowledge(engine: Engine) -> None:
    with transaction(engine) as connection:
        moment = ledger.now(connection)
        noted = {"acknowledged_at": moment, "acknowledged_by": "o", "acknowledged_why": "w"}
        connection.execute(update(item).values(**noted))


def test_two_services_tell_each_alarm_once_and_its_end_once(
    two: tuple[Watch, Watch], engine: Engine
) -> None:
    first, second = two
    first.look()
    fail_one(engine)
    for watch in (first, second, first):
        watch.look()
    assert first.phases() + second.phases() == [("failures_open", "begins")]
    assert "PLANTED" not in first.told[0].text() + repr(first.told[0].fields())

    acknowledge(engine)
    for watch in (second, first, second):
        watch.look()
    assert second.phases() == [("failures_open", "ends")]
    assert len(first.phases()) == 1


def test_failures_that_double_are_told_once_more(two: tuple[Watch, Watch], engine: Engine) -> None:
    first, second = two
    inbox = fail_one(engine)
    first.look()
    for number in (2, 3):
        with transaction(engine) as connection:
            inbox = Site(connection, inbox.source_id, inbox.provenance)
            fail(inbox, f"file-{number}")
        for watch in (second, first, second):
            watch.look()

    assert first.phases() == [("failures_open", "begins")]
    assert second.phases() == [("failures_open", "rises")]
    assert second.told[0].value == 2


def test_alarm_of_one_host_is_not_ended_by_a_service_on_another(two: tuple[Watch, Watch]) -> None:
    lost, sees_it = two
    lost.schedule.last_fault = ReasonCode.SOURCE_UNAVAILABLE
    for watch in (lost, sees_it, lost, sees_it):
        watch.look()

    assert lost.phases() == [("source_unavailable", "begins")]
    assert sees_it.phases() == []


def test_services_with_other_limits_tell_theirs_once_each(
    database_url: str, engine: Engine
) -> None:
    limits = {"a": 1, "b": 5, "c": 0}
    watches = [Watch(database_url, name, failures=limit) for name, limit in limits.items()]
    for watch in watches:
        watch.look()
    fail_one(engine)
    for _ in range(3):
        for watch in watches:
            watch.look()

    assert [watch.phases() for watch in watches] == [[("failures_open", "begins")], [], []]
    for watch in watches:
        watch.close()


def test_alarm_of_former_settings_is_forgotten_by_a_service_alone(
    database_url: str, engine: Engine
) -> None:
    former, present = Watch(database_url, "a"), Watch(database_url, "b", failures=5)
    fail_one(engine)
    former.look()
    present.look()
    present.look()
    with transaction(engine) as connection:
        assert [one.name for one in alarms.holding(connection)] == ["failures_open"]
        ledger.leave(connection, "a")
    present.look()
    with transaction(engine) as connection:
        assert alarms.holding(connection) == []
    assert present.phases() == []
    former.close()
    present.close()


def test_restart_ends_no_alarm_that_it_knows_nothing_of(one: Watch) -> None:
    one.schedule.last_fault = ReasonCode.SOURCE_UNAVAILABLE
    one.look()
    one.schedule.last_fault = None  # as after a restart
    one.look()
    assert one.phases() == [("source_unavailable", "begins")]

    one.schedule.has_scanned = True
    one.look()
    assert one.phases()[1:] == [("source_unavailable", "ends")]


def test_look_that_takes_too_long_is_no_database_away(
    one: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_long(*_: object) -> None:
        raise TransientFault(ReasonCode.DATABASE_UNAVAILABLE)

    one.look()
    monkeypatch.setattr(health, "read", too_long)
    time.sleep(0.1)
    found = one.look()
    assert (found.away_s, found.unready) == (0.0, ReasonCode.DATABASE_UNAVAILABLE)

    monkeypatch.setattr(ledger, "beat", too_long)  # control: now nothing answers
    time.sleep(0.1)
    assert one.look().away_s > 0.1


def test_snapshot_shows_readiness_rate_and_lost_leases(one: Watch, engine: Engine) -> None:
    assert one.look().unready is ReasonCode.BUNDLE_NOT_ACTIVE
    with transaction(engine) as connection:
        inbox = site(connection)
    assert one.look().unready is None
    with transaction(engine) as connection:
        inbox = Site(connection, inbox.source_id, inbox.provenance)
        inbox.arrive(scored(facts("a")), "a")
        lose_a_lease(inbox)
        control.halt(connection, "op", "test")

    found = one.look()
    assert found.unready is ReasonCode.OPERATOR
    assert found.lost_leases == 1
    assert found.results_per_second is not None
    assert found.results_per_second > 0
    assert one.look().lost_leases == 1


def lose_a_lease(inbox: Site) -> None:
    inbox.note(sighting("b"))
    inbox.admit()
    inbox.claim(lease_s=-1.0)
    inbox.claim()


def test_service_beats_and_leaves_nothing_behind(one: Watch, engine: Engine) -> None:
    one.monitor.start()
    with transaction(engine) as connection:
        kinds = connection.execute(text("SELECT worker, kind FROM heartbeat")).all()
    assert [tuple(row) for row in kinds] == [("a", "serve")]

    one.monitor.stop()
    with transaction(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM heartbeat")).scalar() == 0


def test_database_of_another_revision_is_not_read(one: Watch, engine: Engine) -> None:
    with transaction(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    assert one.look().unready is ReasonCode.DATABASE_REVISION


@_ON_POSTGRESQL
def test_database_that_goes_away_is_told_and_its_return_too(
    database_url: str, postgres: Postgres, engine: Engine
) -> None:
    with transaction(engine) as connection:
        site(connection)
    engine.dispose()
    watch = Watch(database_url, "a", database_away_s=0.2)
    assert watch.look().unready is None
    name = engine.url.database
    postgres._run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    postgres._run(
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    )

    assert watch.look().unready is ReasonCode.DATABASE_UNAVAILABLE
    time.sleep(0.3)
    away = watch.look()
    watch.look()
    assert away.away_s > 0.2
    assert [one.alarm for one in away.holding] == ["database_away"]
    assert watch.phases() == [("database_away", "begins")]
    assert watch.told[0].reason is ReasonCode.DATABASE_UNAVAILABLE
    assert away.health is not None  # the last answer is kept

    postgres._run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert watch.look().unready is None
    assert watch.phases() == [("database_away", "begins"), ("database_away", "ends")]
    watch.close()


def test_heartbeat_goes_on_between_looks_that_are_far_apart(
    one: Watch, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_S", 0.05)
    monkeypatch.setattr(module, "_SHARE", 1e6)  # as where a look takes minutes
    one.monitor.start()
    taken, seen = one.monitor.now.taken, set()
    deadline = time.monotonic() + 10
    while len(seen) < 4 and time.monotonic() < deadline:
        with transaction(engine) as connection:
            seen.add(connection.execute(text("SELECT seen_at FROM heartbeat")).scalar())
        time.sleep(0.05)

    assert len(seen) >= 4
    assert one.monitor.now.taken == taken
    assert one.monitor.age_s() < 5
    one.monitor.stop()
