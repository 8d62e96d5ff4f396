"""The database source on a real SQLite file and a real PostgreSQL server."""

import hashlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.exc import DBAPIError

from ecgbatch.errors import EcgbatchError, Incomplete, InputFault, SetupFault, TransientFault
from ecgbatch.looking import Looker, conclude, look
from ecgbatch.records import Sighting
from ecgbatch.settings import load_settings
from ecgbatch.sources.database import DatabaseSource
from ecgbatch.sources.registry import open_source
from ecgbatch.store import ledger
from ecgbatch.store.engine import transaction
from ecgbatch.store.tables import item
from ecgbatch.terms import ReasonCode
from tests.support import ledger as support
from tests.support.ledger import CHAMPION, GRACE_S, facts, scored
from tests.support.postgres import Postgres

QUERY = "SELECT id, changed_at, content FROM ecg"
PATHS = "SELECT id, changed_at, path FROM ecg"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_HEADER = "r 1 500 2\nr.dat 16 200/mV 16 0 1 3 0 I\n"


@dataclass
class Archive:
    """The hospital's database of ECGs, as its own program writes it."""

    url: str
    engine: Engine

    def run(self, statement: str, **values: object) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def put(self, key: object, at: datetime = NOON, content: bytes | None = b"ecg") -> None:
        self.run("DELETE FROM ecg WHERE id = :id", id=key)
        self.run(
            "INSERT INTO ecg (id, changed_at, content) VALUES (:id, :at, :content)",
            id=key,
            at=self.moment(at),
            content=content,
        )

    def name(self, key: object, path: str | None) -> None:
        self.run(
            "INSERT INTO ecg (id, changed_at, path) VALUES (:id, :at, :path)",
            id=key,
            at=self.moment(NOON),
            path=path,
        )

    def moment(self, at: datetime) -> object:
        is_text = self.engine.dialect.name == "sqlite"
        return at.isoformat(sep=" ", timespec="seconds")[:19] if is_text else at

    def source(self, query: str = QUERY, **stated: object) -> DatabaseSource:
        tables = {
            "source": {"kind": "database", "url": self.url, "query": query, **stated},
            "limits": {"recording_bytes": 1000},
        }
        source = open_source(load_settings(None, tables, {}))
        assert isinstance(source, DatabaseSource)
        return source


@pytest.fixture
def archive(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    types = {"sqlite": ("TEXT", "BLOB"), "postgresql": ("timestamptz", "bytea")}[backend]
    server: Postgres | None = None
    name = ""
    if backend == "sqlite":
        url = f"sqlite:///{tmp_path / 'hospital.db'}"
    else:
        server = request.getfixturevalue("postgres")
        assert server is not None
        name = server.create()
        url = server.url(name)
    engine = create_engine(url)
    one = Archive(url, engine)
    one.run(f"CREATE TABLE ecg (id integer, changed_at {types[0]}, content {types[1]}, path text)")
    yield one
    engine.dispose()
    if server is not None:
        server.drop(name)


def _seen(source: DatabaseSource) -> dict[str, Sighting]:
    return {sighting.locator: sighting for sighting in source.scan()}


def test_rows_are_seen_without_their_bytes_and_read_once(archive: Archive) -> None:
    archive.put(7)
    archive.put(8, content=b"")
    archive.put(9, content=None)
    with closing(archive.source()) as source:
        seen = _seen(source)

        assert sorted(seen) == ["7", "8", "9"]
        assert [seen[key].is_whole for key in "789"] == [True, False, False]
        assert seen["7"].fingerprint.endswith(";3")
        assert source.read("7", seen["7"].fingerprint).first == b"ecg"
        for key in "89":
            with pytest.raises(Incomplete):
                source.read(key, seen[key].fingerprint)
        assert not source.settles


@pytest.mark.parametrize(
    ("column", "keys"),
    [
        ("text", ["a/b", "x'; DROP TABLE ecg; --", "ä\n%", "7"]),
        ("bigint", [1, -5, 2**40]),
        ("numeric", [3, 10**20]),
    ],
)
def test_ids_are_bound_as_they_are(archive: Archive, column: str, keys: list[Any]) -> None:
    if archive.engine.dialect.name == "sqlite" and 10**20 in keys:
        pytest.skip("SQLite has no such integers")
    archive.run("DROP TABLE ecg")
    content = "BLOB" if archive.engine.dialect.name == "sqlite" else "bytea"
    archive.run(f"CREATE TABLE ecg (id {column}, changed_at text, content {content})")
    for number, key in enumerate(keys):
        archive.run(
            "INSERT INTO ecg VALUES (:id, '2026-01-01', :content)",
            id=key,
            content=b"%d" % number,
        )
    with closing(archive.source()) as source, closing(archive.source()) as another:
        seen = _seen(source)
        assert len(seen) == len(keys)
        assert all(locator.isascii() and "\n" not in locator for locator in seen)
        contents = {another.read(one, seen[one].fingerprint).first for one in seen}
        assert contents == {b"%d" % number for number in range(len(keys))}
        with pytest.raises(TransientFault):
            another.read("none such", "any")


@pytest.mark.postgres
def test_a_uuid_is_an_id(postgres: Postgres) -> None:
    name = postgres.create()
    engine = create_engine(postgres.url(name))
    one = Archive(postgres.url(name), engine)
    one.run("CREATE TABLE ecg (id uuid, changed_at timestamp, content text)")
    key = uuid.uuid4()
    one.run("INSERT INTO ecg VALUES (:id, now(), 'ä')", id=key)
    with closing(one.source()) as source:
        seen = _seen(source)

        assert list(seen) == [str(key)]
        assert source.read(str(key), seen[str(key)].fingerprint).first == "ä".encode()
    engine.dispose()
    postgres.drop(name)


def test_row_that_changed_since_it_was_seen_is_left_for_later(archive: Archive) -> None:
    archive.put(7)
    with closing(archive.source()) as source:
        fingerprint = _seen(source)["7"].fingerprint
        archive.put(7, NOON + timedelta(seconds=1))

        with pytest.raises(TransientFault) as caught:
            source.read("7", fingerprint)
        assert caught.value.reason is ReasonCode.CHANGED_WHILE_READING
        archive.run("DELETE FROM ecg")
        with pytest.raises(TransientFault) as caught:
            source.read("7", fingerprint)
        assert caught.value.reason is ReasonCode.READ_FAILED


def test_large_row_is_refused_unread_and_a_double_one_is_refused(archive: Archive) -> None:
    archive.put(7, content=b"x" * 1001)
    archive.put(8)
    archive.run("INSERT INTO ecg SELECT * FROM ecg WHERE id = 8")
    with closing(archive.source()) as source:
        seen = _seen(source)
        for key, reason in (
            ("7", ReasonCode.FILE_TOO_LARGE),
            ("8", ReasonCode.SOURCE_QUERY_INVALID),
        ):
            with pytest.raises(InputFault) as caught:
                source.read(key, seen[key].fingerprint)
            assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("SELECT id, changed_at FROM ecg", ReasonCode.SOURCE_QUERY_INVALID),
        (f"{QUERY}, path", ReasonCode.SOURCE_QUERY_INVALID),
        ("SELECT id, changed_at, nothing FROM ecg", ReasonCode.SOURCE_QUERY_INVALID),
        ("SELECT id, changed_at, content FROM secret_table", ReasonCode.SOURCE_QUERY_INVALID),
        (PATHS, ReasonCode.SETTINGS_INVALID),
    ],
)
def test_unfit_query_is_refused_without_its_text(
    archive: Archive, query: str, reason: ReasonCode
) -> None:
    with closing(archive.source(query)) as source:
        for act in (source.check, lambda: list(source.scan())):
            with pytest.raises(SetupFault) as caught:
                act()
            assert caught.value.reason is reason
            assert "secret" not in str(caught.value)
            assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_session_cannot_write(archive: Archive) -> None:
    archive.put(7)
    with closing(archive.source()) as source, source.engine.connect() as connection:
        for statement in ("DELETE FROM ecg", "CREATE TABLE x (y integer)"):
            with pytest.raises(DBAPIError):
                connection.execute(text(statement))
            connection.rollback()
        assert list(_seen(source)) == ["7"]


@pytest.mark.postgres
def test_query_that_writes_through_a_function_is_refused(postgres: Postgres) -> None:
    name = postgres.create()
    engine = create_engine(postgres.url(name))
    one = Archive(postgres.url(name), engine)
    one.run("CREATE TABLE ecg (id integer, changed_at timestamptz, content bytea)")
    one.run("CREATE TABLE trace (x integer)")
    one.run("INSERT INTO ecg VALUES (1, now(), 'x')")
    one.run(
        "CREATE FUNCTION note() RETURNS integer LANGUAGE sql VOLATILE"
        " AS 'INSERT INTO trace VALUES (1) RETURNING 1'"
    )
    with closing(one.source(f"{QUERY} WHERE note() = 1")) as source:
        with pytest.raises(SetupFault) as caught:
            list(source.scan())
        assert caught.value.reason is ReasonCode.SOURCE_QUERY_INVALID
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM trace")).scalar_one() == 0
    engine.dispose()
    postgres.drop(name)


@pytest.mark.postgres
def test_role_that_may_write_is_named_by_the_check(postgres: Postgres) -> None:
    name = postgres.create()
    engine = create_engine(postgres.url(name))
    owner = Archive(postgres.url(name), engine)
    owner.run("CREATE TABLE ecg (id integer, changed_at timestamptz, content bytea)")
    role = f"reader_{name}"
    owner.run(f"CREATE ROLE {role} LOGIN")
    owner.run(f"GRANT SELECT ON ecg TO {role}")
    reader = Archive(owner.url.replace("postgres@", f"{role}@"), engine)

    with closing(reader.source()) as source:
        assert source.check() == "the query runs on postgresql; its rows hold a content"
    for grant in (f"GRANT UPDATE ON ecg TO {role}", f"ALTER ROLE {role} SUPERUSER"):
        owner.run(grant)
        with closing(reader.source()) as source, pytest.raises(SetupFault) as caught:
            source.check()
        assert caught.value.reason is ReasonCode.SOURCE_ROLE_WRITES
        owner.run(f"REVOKE UPDATE ON ecg FROM {role}")
    engine.dispose()
    postgres.drop(name)
    engine = create_engine(postgres.url("postgres"))
    Archive("", engine).run(f"DROP ROLE {role}")
    engine.dispose()


def test_database_that_is_not_there_is_an_unfit_source(tmp_path: Path, archive: Archive) -> None:
    url = archive.url.replace("hospital.db", "missing.db").replace("/t", "/none_t")
    with closing(Archive(url, archive.engine).source()) as source:
        with pytest.raises(SetupFault) as caught:
            list(source.scan())
        assert caught.value.reason is ReasonCode.SOURCE_UNAVAILABLE
        with pytest.raises(TransientFault):
            source.read("7", "any")
    assert not (tmp_path / "missing.db").exists()


def test_paths_are_read_below_their_root_alone(archive: Archive, tmp_path: Path) -> None:
    root = tmp_path / "files"
    (root / "ward").mkdir(parents=True)
    (root / "ward" / "r.hea").write_text(_HEADER)
    (root / "ward" / "r.dat").write_bytes(b"\1\0\2\0")
    (tmp_path / "outside.xml").write_text("phi")
    (root / "link").symlink_to(tmp_path)
    stated = {
        1: "ward\\r.hea",
        2: "../outside.xml",
        3: str(tmp_path / "outside.xml"),
        4: "link/outside.xml",
        5: "ward/missing.xml",
        6: None,
    }
    for key, path in stated.items():
        archive.name(key, path)
    with closing(archive.source(PATHS, path_root=str(root))) as source:
        seen = _seen(source)
        assert sorted(seen) == ["1", "2", "3", "4", "5", "6"]
        assert [seen[key].is_whole for key in "123456"] == [True, True, True, True, False, False]
        recording = source.read("1", seen["1"].fingerprint)
        assert [member.name for member in recording.members] == ["r.hea", "r.dat"]
        expected = {
            "2": (InputFault, ReasonCode.PATH_OUTSIDE_ROOT),
            "3": (InputFault, ReasonCode.PATH_OUTSIDE_ROOT),
            "4": (InputFault, ReasonCode.NOT_REGULAR),
            "5": (TransientFault, ReasonCode.READ_FAILED),
            "6": (TransientFault, ReasonCode.READ_FAILED),
        }
        for key, (kind, reason) in expected.items():
            with pytest.raises(EcgbatchError) as caught:
                source.read(key, seen[key].fingerprint)
            assert isinstance(caught.value, kind)
            assert caught.value.reason is reason
        (root / "ward" / "r.dat").write_bytes(b"\1\0\2\0\3\0")
        with pytest.raises(TransientFault) as changed:
            source.read("1", seen["1"].fingerprint)
        assert changed.value.reason is ReasonCode.CHANGED_WHILE_READING
        assert source.settles


Watch = Callable[..., "Watched"]


@dataclass
class Watched:
    """A ledger that looks at the archive, whole look after whole look."""

    archive: Archive
    engine: Engine
    site: support.Site
    overlap_s: float

    def look(self, query: str = QUERY) -> int:
        """How many sightings one look had."""
        with closing(self.archive.source(query, overlap_s=self.overlap_s)) as source:
            run_id = self.site.provenance.run_id
            looker = Looker(self.engine, source, self.site.source_id, run_id)
            one = look(looker)
            conclude(looker, one)
            return sum(1 for row in self._items() if row.last_seen_at >= one.began_at)

    def work(self) -> int:
        with transaction(self.engine) as connection:
            source_id = self.site.source_id
            ledger.admit(connection, source_id, 0.0, GRACE_S)
            units = ledger.claim(
                connection,
                source_id,
                CHAMPION,
                pipeline_id=self.site.provenance.pipeline_id,
                worker="w1",
                limit=100,
                lease_s=60.0,
            )
            for unit in units:
                name = hashlib.sha256(f"{unit.locator} {unit.fingerprint}".encode()).hexdigest()
                outcome = scored(facts(name))
                ledger.finish(connection, unit, outcome, self.site.provenance, GRACE_S)
        return len(units)

    def _items(self) -> list[Any]:
        with transaction(self.engine) as connection:
            return list(connection.execute(select(item)).all())

    def shown(self) -> dict[str, str]:
        with transaction(self.engine) as connection:
            rows = connection.execute(
                text("SELECT locator, disposition FROM v_disposition ORDER BY item_id")
            )
            return {row.locator: row.disposition for row in rows}


@pytest.fixture
def watch(engine: Engine, archive: Archive) -> Watch:
    def started(overlap_s: float = 3600.0) -> Watched:
        with transaction(engine) as connection:
            site = support.site(connection)
        return Watched(archive, engine, site, overlap_s)

    return started


@pytest.mark.parametrize(("overlap_s", "is_found"), [(3600.0, True), (0.0, False)])
def test_row_that_is_committed_late_is_found_within_the_overlap(
    watch: Watch, overlap_s: float, is_found: bool
) -> None:
    watched = watch(overlap_s)
    watched.archive.put(1, NOON)
    assert watched.look() == 1
    watched.archive.put(2, NOON - timedelta(minutes=30))

    watched.look()

    assert ("2" in watched.shown()) is is_found


def test_a_look_asks_only_for_what_is_new_and_nothing_vanishes(watch: Watch) -> None:
    watched = watch(60.0)
    for key in range(5):
        watched.archive.put(key, NOON - timedelta(days=key + 1))
    assert watched.look() == 5
    assert watched.work() == 5
    watched.archive.put(9, NOON)

    assert [watched.look() for _ in range(4)] == [2, 1, 1, 1]
    assert watched.shown() == {**{str(key): "scored" for key in range(5)}, "9": "waiting"}
    assert watched.work() == 1


def test_same_row_in_the_overlap_is_the_same_item_and_a_changed_one_is_new(watch: Watch) -> None:
    watched = watch()
    watched.archive.put(1, NOON)
    for _ in range(3):
        watched.look()
    assert watched.work() == 1
    watched.look()
    assert watched.work() == 0

    watched.archive.put(1, NOON + timedelta(minutes=1), b"edited")
    watched.look()
    assert watched.work() == 1


def test_what_waits_is_looked_at_again_behind_the_watermark(watch: Watch) -> None:
    watched = watch(0.0)
    watched.archive.put(1, NOON - timedelta(days=3), content=None)
    watched.archive.put(2, NOON - timedelta(days=2), content=None)
    watched.archive.put(3, NOON)
    watched.look()
    assert watched.work() == 1
    watched.archive.put(1, NOON - timedelta(days=3))
    watched.archive.run("DELETE FROM ecg WHERE id = 2")

    for _ in range(3):
        watched.look()

    assert watched.work() == 1
    assert watched.shown() == {"1": "scored", "2": "vanished", "3": "scored"}


def test_a_row_of_the_future_does_not_hide_others(watch: Watch) -> None:
    watched = watch(0.0)
    watched.archive.put(1, datetime.now(UTC) + timedelta(days=300))
    watched.look()
    watched.archive.put(2, NOON)

    watched.look()

    assert "2" in watched.shown()


def test_another_query_begins_at_the_beginning(watch: Watch) -> None:
    watched = watch(0.0)
    watched.archive.put(1, NOON - timedelta(days=9))
    watched.archive.put(2, NOON)
    watched.look(f"{QUERY} WHERE id = 2")
    assert list(watched.shown()) == ["2"]

    watched.look()

    assert sorted(watched.shown()) == ["1", "2"]


def test_look_that_breaks_off_leaves_no_watermark(watch: Watch) -> None:
    watched = watch(0.0)
    watched.archive.put(1, NOON - timedelta(days=9))
    watched.archive.put(2, NOON)
    with closing(watched.archive.source()) as source:
        scan = source.scan()
        next(iter(scan))
        scan.close()
        assert scan.watermark is None

    assert watched.look() == 2


def test_source_that_is_suddenly_empty_is_doubted_only_when_all_was_asked(watch: Watch) -> None:
    watched = watch(0.0)
    watched.archive.put(1, NOON)
    watched.look()
    watched.work()
    watched.archive.run("DELETE FROM ecg")

    assert watched.look() == 0
    with pytest.raises(SetupFault) as caught:
        watched.look(f"{QUERY} WHERE 1 = 1")
    assert caught.value.reason is ReasonCode.SOURCE_UNAVAILABLE
