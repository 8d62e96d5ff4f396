"""Other people's statements read, on both databases, and do nothing else."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from sqlalchemy import Engine

from ecgbatch.answer_files import Taken, taken, write_parquet
from ecgbatch.errors import SetupFault
from ecgbatch.store.answer import Answer
from ecgbatch.store.engine import read_only, transaction
from ecgbatch.store.reading import has_demonstration, reading
from ecgbatch.store.statement import statement
from ecgbatch.terms import ReasonCode
from tests.support.ledger import facts, scored, site
from tests.support.postgres import Postgres
from tests.support.roles import hospital

_TABLES = ("item", "recording", "work", "result", "score", "bundle", "event", "audit", "run")


@pytest.fixture
def reader(database_url: str, engine: Engine) -> Iterator[Engine]:
    """Two scored ECGs, seen by a session that reads."""
    with transaction(engine) as connection:
        ward = site(connection)
        ward.arrive(scored(facts("one", age_years=61.0, statement_normal=True)), "one.xml")
        ward.arrive(scored(facts("two", sex="F")), "two.xml")
    opened = read_only(database_url)
    yield opened
    opened.dispose()


def _rows(engine: Engine, sql: str, timeout_s: float = 30.0) -> list[tuple[object, ...]]:
    with reading(engine, statement(sql), timeout_s) as question:
        return list(question.ask().rows)


def _refused(engine: Engine, sql: str, timeout_s: float = 30.0) -> SetupFault:
    with pytest.raises(SetupFault) as caught:
        _rows(engine, sql, timeout_s)
    return caught.value


def _content(engine: Engine) -> dict[str, int]:
    with transaction(engine) as connection:
        return {
            table: connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
            for table in _TABLES
        }


def test_values_are_the_same_on_both_databases(reader: Engine) -> None:
    rows = _rows(
        reader,
        "SELECT age_years, sex, statement_normal, is_clinical, stratum_rca FROM v_latest_risk"
        " ORDER BY recording_id",
    )

    assert rows == [(61.0, None, True, False, "low"), (None, "F", None, False, "low")]
    assert _rows(reader, "SELECT count(*), sum(item_id), avg(item_id) FROM item") == [(2, 3, 1.5)]
    assert _rows(reader, "SELECT 1 AS x, 'a;b -- c' AS y; -- the end") == [(1, "a;b -- c")]


_WRITES = (
    "DELETE FROM score",
    "UPDATE item SET state = 'ignored'",
    "DROP VIEW v_latest_risk",
    "SELECT 1; DELETE FROM score",
    "SELECT ';' ; COMMIT; DELETE FROM score; --",
    "COMMIT",
    "BEGIN",
    "PRAGMA query_only = OFF",
    "ATTACH 'x.db' AS x",
    "VACUUM INTO 'x.db'",
    "SET default_transaction_read_only = off",
    "COPY score TO '/tmp/x'",
    "COPY (SELECT 1) TO PROGRAM 'id'",
    "DO $$ BEGIN DELETE FROM score; END $$",
    "/* SELECT */ DELETE FROM score",
    "EXPLAIN ANALYZE DELETE FROM score",
    "EXPLAIN ANALYZE CREATE TABLE copied AS SELECT 1 AS one",
    "WITH gone AS (DELETE FROM score RETURNING 1) SELECT * FROM gone",
    "SELECT * INTO copied FROM score",
)


def test_whatever_does_more_than_read_is_refused(reader: Engine, engine: Engine) -> None:
    before = _content(engine)
    for sql in _WRITES:
        refused = _refused(reader, sql).reason
        assert refused in {ReasonCode.STATEMENT_REFUSED, ReasonCode.STATEMENT_INVALID}, sql

    assert _content(engine) == before


def test_sqlite_functions_that_reach_outside_are_refused(
    reader: Engine, backend: str, tmp_path: Path
) -> None:
    if backend != "sqlite":
        pytest.skip("SQLite's own")
    for sql in (
        "SELECT load_extension('x')",
        "SELECT * FROM pragma_query_only(0)",
        f"WITH x AS (SELECT 1) INSERT INTO item SELECT '{tmp_path}'",
    ):
        assert _refused(reader, sql).reason is ReasonCode.STATEMENT_REFUSED, sql
    assert _rows(reader, "SELECT count(*) FROM sqlite_master WHERE name = 'item'") == [(1,)]


@pytest.mark.postgres
def test_postgresql_functions_that_act_are_refused(reader: Engine, backend: str) -> None:
    """The account of these tests is a superuser: the server itself would let them all through."""
    if backend != "postgresql":
        pytest.skip("PostgreSQL's own")
    for call in (
        "pg_read_file('PG_VERSION')",
        "pg_catalog.\"pg_read_file\"('PG_VERSION')",
        "PG_Ls_Dir /* */ ('.')",
        "lo_import('/etc/hostname')",
        "lo_export(1, '/tmp/x')",
        "pg_terminate_backend(pg_backend_pid())",
        "set_config('transaction_read_only', 'off', false)",
        "pg_advisory_lock(1)",
        "pg_notify('a', 'b')",
        "query_to_xml('SELECT 1', true, false, '')",
        "nextval('item_item_id_seq')",
        "pg_reload_conf()",
    ):
        assert _refused(reader, f"SELECT {call}").reason is ReasonCode.STATEMENT_REFUSED, call
    hidden = _refused(reader, "SELECT U&\"pg\\005Fread_file\"('PG_VERSION')")
    assert hidden.reason is ReasonCode.STATEMENT_REFUSED
    going_on = _refused(reader, "SELECT E'a'\n'\\', ', pg_advisory_lock(77) -- '")
    assert going_on.reason is ReasonCode.STATEMENT_REFUSED
    assert _refused(reader, "SELECT 1 FROM item FOR UPDATE").reason is ReasonCode.STATEMENT_REFUSED
    (row,) = _rows(reader, "SELECT random() < 2, pg_total_relation_size('item') > 0")
    assert row == (True, True)


def test_an_unknown_name_comes_with_the_nearest_ones(reader: Engine) -> None:
    for sql, detail in (
        ("SELECT risk_rac FROM v_latest_risk", 'no column "risk_rac"; near it: risk_rca'),
        ("SELECT v.stratum_ald FROM v_latest_risk v", 'no column "stratum_ald"; near it: stratum_'),
        ("SELECT 1 FROM v_latest_risks", 'no table "v_latest_risks"; near it: v_latest_risk'),
        ("SELECT qqqqqqqqqq FROM item", 'no column "qqqqqqqqqq"'),
    ):
        refused = _refused(reader, sql)
        assert refused.reason is ReasonCode.STATEMENT_INVALID
        assert refused.detail.startswith(detail)


def test_no_value_stands_in_an_error(reader: Engine, backend: str) -> None:
    is_sqlite = backend == "sqlite"
    for sql in (
        "SELECT json_extract('Smith', '$') FROM item" if is_sqlite else "SELECT 'Smith'::integer",
        "SELECT * FROM item WHERE locator LIKE 'Smith' GROUPING 'Smith'",
        "SELECT no_such_function('Smith')",
        "SELECT (SELECT 'Smith'",
    ):
        refused = _refused(reader, sql)
        assert refused.reason is ReasonCode.STATEMENT_INVALID
        assert "Smith" not in str(refused)
        assert refused.__cause__ is None


def test_what_the_statement_brings_upon_itself_is_no_fault_of_the_database(
    reader: Engine, backend: str
) -> None:
    is_sqlite = backend == "sqlite"
    for sql, detail in (
        ("SELECT $1", "it has a parameter: write the value itself"),
        ("SELECT '\udcff'", "it is no UTF-8 text"),
        ("SELECT CAST(x'ff' AS TEXT)" if is_sqlite else "SELECT date 'infinity'", "a value that"),
        ("SELECT hex(zeroblob(60000000))" if is_sqlite else "SELECT repeat('a', 1200000000)", ""),
    ):
        refused = _refused(reader, sql)
        assert refused.reason is ReasonCode.STATEMENT_INVALID, sql
        assert refused.detail.startswith(detail)


def test_a_statement_ends_with_its_time(reader: Engine) -> None:
    endless = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
        " SELECT sum(x % 7) FROM n WHERE x < 2000000000"
    )

    assert _refused(reader, endless, timeout_s=0.5).reason is ReasonCode.STATEMENT_TOO_SLOW


def test_rows_come_as_they_are_taken(reader: Engine) -> None:
    """A million rows of which two are taken: nothing waits for the rest."""
    many = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000000)"
        " SELECT x FROM n"
    )
    seen = Taken()
    with reading(reader, statement(many), 60.0) as question:
        rows = list(taken(question.ask(), 2, seen))

    assert rows == [(1,), (2,)]
    assert (seen.rows, seen.is_cut) == (2, True)


def test_columns_are_known_without_rows(reader: Engine) -> None:
    with reading(reader, statement("SELECT item_id, reason FROM item WHERE 1 = 0"), 9) as question:
        answer: Answer = question.ask()
        assert [column.name for column in answer.columns] == ["item_id", "reason"]
        assert list(answer.rows) == []


def test_parquet_has_types_on_both_databases(reader: Engine, tmp_path: Path) -> None:
    sql = (
        "SELECT recording_id, risk_lad, stratum_lad, is_clinical, scored_at, ecg_date,"
        " outside_intended_use, sex, device, avg(age_years) OVER () AS mean_age"
        " FROM v_latest_risk ORDER BY recording_id"
    )
    out, seen = tmp_path / "a.parquet", Taken()
    with reading(reader, statement(sql), 30) as question:
        write_parquet(question, None, out, seen)

    described = duckdb.sql(f"DESCRIBE SELECT * FROM '{out}'").fetchall()
    assert {name: kind for name, kind, *_ in described} == {
        "recording_id": "BIGINT",
        "risk_lad": "DOUBLE",
        "stratum_lad": "VARCHAR",
        "is_clinical": "BOOLEAN",
        "scored_at": "TIMESTAMP WITH TIME ZONE",
        "ecg_date": "TIMESTAMP",
        "outside_intended_use": "BOOLEAN",
        "sex": "VARCHAR",
        "device": "VARCHAR",
        "mean_age": "DOUBLE",
    }
    assert duckdb.sql(f"SELECT risk_lad, sex FROM '{out}'").fetchall() == [(0.3, None), (0.3, "F")]
    assert (seen.rows, seen.not_clinical, seen.is_cut) == (2, True, False)


def test_a_demonstration_in_the_database_is_seen(reader: Engine) -> None:
    assert has_demonstration(reader)


@pytest.mark.postgres
def test_an_account_sees_what_its_role_may_see(postgres: Postgres) -> None:
    made = hospital(postgres)
    clinical = read_only(made.url("clinical"))
    try:
        assert _rows(clinical, "SELECT count(*) FROM v_latest_risk") == [(0,)]
        for sql in ("SELECT * FROM score", "SELECT * FROM identity.patient_identifier"):
            refused = _refused(clinical, sql)
            assert refused.reason is ReasonCode.STATEMENT_REFUSED
            assert refused.detail == "this account may not read all of it"
        unknown = _refused(clinical, "SELECT risk_rac FROM v_latest_risk")
        assert "risk_rca" in unknown.detail
    finally:
        clinical.dispose()
        postgres.drop(made.name)
