"""Each role of PostgreSQL can do its work, and nothing beside it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select

from ecgbatch.identity import create_site_key
from ecgbatch.resources import demonstration, folder
from ecgbatch.store import bulk, finish_many, ledger
from ecgbatch.store.engine import open_engine
from ecgbatch.store.tables import activation, source
from ecgbatch.store.tables_ledger import metadata
from ecgbatch.store.views_0004 import views_0004
from ecgbatch.terms import Disposition
from tests.cli.command import Ended, ecgbatch
from tests.support.ecgs import SAMPLES
from tests.support.ledger import facts, provenance, scored, sighting
from tests.support.postgres import Postgres
from tests.support.processes import free_port, wait_for
from tests.support.roles import ROLES, Hospital, hospital

pytestmark = pytest.mark.postgres

TABLES = (*metadata.tables, "alembic_version")
VIEWS = tuple(views_0004("postgresql"))
OF_AN_ECG = {
    *(column.name for column in metadata.tables["recording"].c),
    *(column.name for column in metadata.tables["patient"].c),
    *("item_id", "result_id", "work_id", "locator", "fingerprint", "current_key", "ecg_date"),
}
WITHOUT_PATIENTS = {
    *("v_strata_daily", "v_run_health", "v_gate_rates", "v_bundle_comparison", "v_bundle_stratum"),
}
APPEND_ONLY = ("result", "score", "event", "audit")


@pytest.fixture(scope="module")
def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """The samples, scored by the worker's account under a bundle that the operator's activated."""
    made = hospital(postgres)
    home = tmp_path_factory.mktemp("roles")
    create_site_key(home / "site.key")
    shutil.copytree(SAMPLES, home / "in")
    (home / "in" / "note.txt").write_text("no ECG")
    activated = run(made, home, "operator", "bundle", "activate", demonstration("bundle"), *WHY)
    assert activated.exit_code == 0, activated.out + activated.err
    scored = run(made, home, "worker", "run-once", "--settle", 0)
    assert "scored 7, unsupported 1" in scored.out, scored.out + scored.err
    yield made
    postgres.drop(made.name)


def test_the_worker_writes_by_copy_too(site: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "COPY_FROM", 1)
    engine = open_engine(site.url("worker"))
    with engine.connect() as connection:
        (source_id,) = connection.execute(select(source.c.source_id)).one()
        run_id = ledger.start_run(connection, "work", None, "w1")
        ledger.note(connection, source_id, [sighting("one"), sighting("two")], run_id)
        ledger.admit(connection, source_id, 0.0, 0.0)
        digest = connection.execute(select(activation.c.bundle_digest)).scalar_one()
        of_worker = provenance(run_id)
        units = ledger.claim(
            connection, None, digest, pipeline_id="p", worker="w1", limit=9, lease_s=60
        )
        ended = [finish_many.Ended(unit, scored(facts(unit.locator))) for unit in units]
        shown = ledger.finish_many(connection, ended, of_worker, 900.0)
        connection.rollback()
    engine.dispose()

    assert [one and one.disposition for one in shown] == [Disposition.SCORED] * len(units)
    assert len(units) >= 2  # other tests may leave some


WHY = ("--reason", "a test")
KEY = "a" * 64
OPERATORS = (
    ("acknowledge", "--code", "format_unknown", *WHY),
    ("status", "--failures"),
    ("show", "1"),
    ("doctor",),
    ("patient", "merge", "--key", KEY, "b" * 64, *WHY),
    ("patient", "lookup", "--key", KEY, *WHY),
    ("patient", "unmerge", "--key", KEY, *WHY),
    ("quarantine", "list"),
    ("retry", "--code", "format_unknown", *WHY),
    ("ignore", "--code", "format_unknown", *WHY),
    ("halt", *WHY),
    ("resume", *WHY),
    ("rescore", "--scope", "all", *WHY),
    ("ledger", "check"),
    ("audit", "check"),
)
"""In this order: what is acknowledged first leaves nothing that asks for attention."""


def run(of: Hospital, home: Path, role: str, *command: object) -> Ended:
    return ecgbatch(*command, "--config", settings(of, home, role))


def settings(of: Hospital, home: Path, role: str) -> Path:
    lines = (
        f"[database]\nurl = '{of.url(role)}'\nschema_name = '{of.schema_name}'",
        f"[source]\nfolder = '{home / 'in'}'\nname = 'ward'",
        f"[site]\nkey_file = '{home / 'site.key'}'",
        "[bundle]\nallow_demonstration = true\n[stability]\nsettle_s = 0.0",
        f"[service]\nworkers = 1\ninterval_s = 1\nport = {free_port()}",
    )
    config = home / f"{role}.toml"
    config.write_text("\n".join(lines))
    return config


def is_allowed(of: Hospital, role: str, statement: str) -> bool:
    """Whether the role may; nothing of it is kept."""
    with of.connect(role) as connection, connection.transaction(force_rollback=True):
        try:
            connection.execute(statement.encode())
        except psycopg.errors.InsufficientPrivilege:
            return False
        except psycopg.errors.RaiseException:
            return True  # the trigger of append-only tables, which only fires for who may
    return True


def allowed(of: Hospital, role: str, template: str, names: tuple[str, ...]) -> set[str]:
    return {name for name in names if is_allowed(of, role, template.format(name))}


def touch(name: str) -> str:
    """An UPDATE that changes no row."""
    column = "version_num" if name == "alembic_version" else metadata.tables[name].c[0].name
    return f"UPDATE {name} SET {column} = {column} WHERE false"


def updatable(of: Hospital, role: str) -> set[str]:
    return {name for name in TABLES if is_allowed(of, role, touch(name))}


def test_the_worker_runs_again_whatever_operators_did_meanwhile(
    site: Hospital, tmp_path: Path
) -> None:
    create_site_key(tmp_path / "site.key")
    shutil.copytree(SAMPLES, tmp_path / "in")

    for command in (("run-once", "--settle", 0), ("work", "--drain")):
        again = run(site, tmp_path, "worker", *command)
        assert again.exit_code in {0, 1}, again.out + again.err


def test_the_service_runs_on_the_worker_s_account(postgres: Postgres, tmp_path: Path) -> None:
    made = hospital(postgres)
    create_site_key(tmp_path / "site.key")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "note.txt").write_text("no ECG")
    ready = run(made, tmp_path, "operator", "bundle", "activate", demonstration("bundle"), *WHY)
    assert ready.exit_code == 0, ready.out + ready.err
    run(made, tmp_path, "worker", "run-once", "--settle", 0)  # a failure to be told of at once

    config, log = settings(made, tmp_path, "worker"), tmp_path / "log"
    with log.open("wb") as file, made.connect() as seen:

        def number(rows: str) -> object:
            counted = seen.execute(f"SELECT count(*) FROM {rows}".encode()).fetchone()
            return None if counted is None else counted[0]

        process = subprocess.Popen(
            [sys.executable, "-m", "ecgbatch", "serve", "--allow-root", "--config", config],
            stdout=file,
            stderr=file,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        try:
            shutil.copytree(SAMPLES, tmp_path / "in", dirs_exist_ok=True)
            assert wait_for(lambda: number("result") == 7), log.read_text()
            assert wait_for(lambda: number("heartbeat") == 2), log.read_text()
            assert wait_for(lambda: number("alert WHERE count = 1") == 1), log.read_text()
            run(made, tmp_path, "operator", "acknowledge", "--code", "format_unknown", *WHY)
            assert wait_for(lambda: number("alert WHERE count = 0") == 1), log.read_text()
            process.terminate()
            assert process.wait(30) == 0, log.read_text()
        finally:
            process.kill()
            process.wait()
        assert number("firing") != 0
        assert number("heartbeat") == 0
        assert number("run WHERE ended_at IS NULL") == 0
    said = log.read_text()
    assert "permission" not in said
    assert '"level": "error"' not in said
    postgres.drop(made.name)


def test_the_worker_changes_no_result_score_event_or_act(site: Hospital) -> None:
    assert updatable(site, "worker").isdisjoint(APPEND_ONLY)
    assert not allowed(site, "worker", "INSERT INTO {} DEFAULT VALUES", ("audit",))


def test_the_worker_deletes_signs_of_life_alone(site: Hospital) -> None:
    deletable = allowed(site, "worker", "DELETE FROM {} WHERE false", TABLES)

    assert deletable == {"heartbeat"}


@pytest.mark.parametrize("role", [role for role in ROLES if role != "owner"])
def test_nobody_but_the_owner_drops_alters_empties_or_makes_tables(
    site: Hospital, role: str
) -> None:
    for template in (
        "DROP TABLE {} CASCADE",
        "TRUNCATE {} CASCADE",
        "ALTER TABLE {} ADD COLUMN x int",
        "ALTER TABLE {} DISABLE TRIGGER USER",
        "CREATE TRIGGER t BEFORE INSERT ON {} EXECUTE FUNCTION ecgbatch_append_only()",
    ):
        assert allowed(site, role, template, TABLES) == set()
    assert allowed(site, role, "DROP VIEW {} CASCADE", VIEWS) == set()
    for statement in (
        "CREATE TABLE mine (x int)",
        "CREATE SCHEMA mine",
        "DROP SCHEMA public CASCADE",
        "DROP SCHEMA identity CASCADE",
        "DROP FUNCTION ecgbatch_append_only() CASCADE",
        "SET ROLE ecgbatch_owner",
        "CREATE ROLE mine",
    ):
        assert not is_allowed(site, role, statement), statement


def test_the_owner_can_so_the_tests_of_the_others_can_fail(site: Hospital) -> None:
    assert allowed(site, "owner", "DROP TABLE {} CASCADE", TABLES) == set(TABLES)
    assert updatable(site, "owner") == set(TABLES)


@pytest.mark.parametrize(
    ("role", "views"),
    [
        ("reader", WITHOUT_PATIENTS),
        ("clinical", set(VIEWS) - {"v_disposition", "v_failures"}),
        ("operator", set(VIEWS)),
        ("worker", set(VIEWS)),
        ("identity", set()),
    ],
)
def test_each_role_sees_its_views(site: Hospital, role: str, views: set[str]) -> None:
    assert allowed(site, role, "SELECT * FROM {} LIMIT 1", VIEWS) == views


def test_no_column_that_the_reader_sees_is_of_a_patient_or_an_ecg(site: Hospital) -> None:
    with site.connect("reader") as connection:
        seen = connection.execute(
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'v')"
            " AND a.attnum > 0 AND has_column_privilege(c.oid, a.attnum, 'SELECT')"
        ).fetchall()

    assert {view for view, _ in seen} == {*WITHOUT_PATIENTS, "alembic_version"}
    assert {column for _, column in seen}.isdisjoint(OF_AN_ECG)


@pytest.mark.parametrize("role", ["reader", "clinical", "identity"])
def test_those_who_only_read_see_no_table_and_write_none(site: Hospital, role: str) -> None:
    assert allowed(site, role, "SELECT * FROM {} LIMIT 1", TABLES) <= {"alembic_version"}
    assert updatable(site, role) == set()
    for template in ("INSERT INTO {} DEFAULT VALUES", "DELETE FROM {} WHERE false"):
        assert allowed(site, role, template, TABLES) == set()


def test_the_operator_changes_states_and_no_result(site: Hospital) -> None:
    assert updatable(site, "operator") == {
        *("item", "recording", "work", "run", "bundle", "activation", "supersession"),
        *("rescore", "control", "patient"),
    }
    assert allowed(site, "operator", "DELETE FROM {} WHERE false", TABLES) == set()
    for name in ("result", "score", "finding", "source"):
        assert not is_allowed(site, "operator", f"INSERT INTO {name} DEFAULT VALUES")


def test_operator_commands_run_as_the_operator_and_not_as_the_reader(
    site: Hospital, tmp_path: Path
) -> None:
    create_site_key(tmp_path / "site.key")
    (tmp_path / "in").mkdir()
    for command in OPERATORS:
        done = run(site, tmp_path, "operator", *command)
        assert done.exit_code == 0, (command, done.out, done.err)
    for command in (command for command in OPERATORS if command[0] != "doctor"):
        assert run(site, tmp_path, "reader", *command).exit_code == 4, command


def test_identifiers_are_read_by_the_identity_role_and_added_by_the_worker(site: Hospital) -> None:
    read = "SELECT * FROM identity.patient_identifier"
    add = "INSERT INTO identity.patient_identifier VALUES ('k', 'a', 'i') ON CONFLICT DO NOTHING"
    change = "UPDATE identity.patient_identifier SET identifier = 'x'"

    assert {role for role in ROLES if is_allowed(site, role, read)} == {"owner", "identity"}
    assert {role for role in ROLES if is_allowed(site, role, add)} == {"owner", "worker"}
    assert {role for role in ROLES if is_allowed(site, role, change)} == {"owner"}


def test_an_account_without_a_role_sees_nothing(site: Hospital) -> None:
    with site.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS account_nobody")
        connection.execute("CREATE ROLE account_nobody LOGIN")

    assert allowed(site, "nobody", "SELECT * FROM {} LIMIT 1", (*TABLES, *VIEWS)) == set()


def test_what_the_worker_s_account_made_once_is_taken_from_it(postgres: Postgres) -> None:
    made = hospital(postgres)
    with made.connect() as connection:
        connection.execute("ALTER TABLE result OWNER TO account_worker")
    before = is_allowed(made, "worker", "DROP TABLE result CASCADE")

    made.grant()

    assert before
    assert not is_allowed(made, "worker", "DROP TABLE result CASCADE")
    postgres.drop(made.name)


def test_a_right_that_somebody_added_is_gone_after_the_script(postgres: Postgres) -> None:
    made = hospital(postgres)
    with made.connect() as connection:
        connection.execute("GRANT UPDATE ON result TO ecgbatch_worker")
        connection.execute("GRANT SELECT ON identity.patient_identifier TO ecgbatch_operator")

    made.grant()

    assert "result" not in updatable(made, "worker")
    read = "SELECT * FROM identity.patient_identifier"
    assert not is_allowed(made, "operator", read)
    postgres.drop(made.name)


def test_the_script_names_every_table_and_view() -> None:
    script = (folder("migrations") / "roles.sql").read_text(encoding="utf-8")
    owned = script[script.index("$owner$") : script.index("$grants$")]

    assert set(re.findall(r"'([a-z_]+)'", owned)) == {*TABLES, *VIEWS}
