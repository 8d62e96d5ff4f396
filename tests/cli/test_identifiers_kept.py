"""What `site.pseudonymise` and `site.keep_identifiers` do to a run, and to the look-up after it."""

import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ecgbatch.identity import create_site_key
from ecgbatch.resources import demonstration
from tests.cli.command import Ended, ecgbatch, rows
from tests.support.ecgs import SAMPLES
from tests.support.postgres import Postgres
from tests.support.roles import Hospital, hospital

MUSE = SAMPLES / "muse" / "synthetic_muse.xml"
IDENTIFIER = "SYNTH0001"
WHY = ("--reason", "asked by the ward")


def _config(folder: Path, url: str, *site: str) -> Path:
    (folder / "in").mkdir(exist_ok=True)
    shutil.copy(MUSE, folder / "in")
    path = folder / "site.toml"
    lines = (
        f"[database]\nurl = '{url}'",
        f"[source]\nfolder = '{folder / 'in'}'\nname = 'ward'",
        "[bundle]\nallow_demonstration = true\n[site]",
        *site,
    )
    path.write_text("\n".join(lines))
    return path


def _run(config: Path, *command: object) -> Ended:
    return ecgbatch(*command, "--config", config)


def _scored(config: Path) -> Ended:
    for command in (("migrate",), ("bundle", "activate", demonstration("bundle"), *WHY)):
        done = _run(config, *command)
        assert done.exit_code == 0, done.out + done.err
    done = _run(config, "run-once", "--settle", 0)
    assert "scored 1" in done.out, done.out + done.err
    return done


def _sqlite(folder: Path, *site: str) -> Path:
    return _config(folder, f"sqlite:///{folder / 'ecg.db'}", *site)


def _looked_up(config: Path, *more: object) -> Ended:
    file = config.parent / "asked"
    file.write_text(IDENTIFIER)
    file.chmod(0o600)
    return _run(config, "patient", "lookup", "--file", file, *WHY, "--json", *more)


def test_by_default_no_identifier_is_kept_anywhere(tmp_path: Path) -> None:
    config = _sqlite(tmp_path)
    done = _scored(config)
    asked = _looked_up(config, "--identifier")

    assert not (tmp_path / "ecg.identity.db").exists()
    assert IDENTIFIER.encode() not in (tmp_path / "ecg.db").read_bytes()
    assert IDENTIFIER not in done.out + done.err
    assert asked.json["identifiers"] == [[]]
    assert len(asked.json["patients"][0]["recordings"]) == 1


def test_kept_identifiers_lie_apart_and_only_the_audited_look_shows_them(tmp_path: Path) -> None:
    config = _sqlite(tmp_path, "keep_identifiers = true")
    done = _scored(config)
    without, asked = _looked_up(config), _looked_up(config, "--identifier")
    again = _run(config, "run-once", "--settle", 0)

    kept = rows(tmp_path / "ecg.identity.db", "SELECT * FROM patient_identifier")
    (patient,) = rows(tmp_path / "ecg.db", "SELECT patient_key FROM recording")
    assert kept == [{**patient, "authority": "local", "identifier": IDENTIFIER}]
    assert stat.S_IMODE((tmp_path / "ecg.identity.db").stat().st_mode) == 0o600
    assert IDENTIFIER.encode() not in (tmp_path / "ecg.db").read_bytes()
    for ended in (done, without, again):
        assert IDENTIFIER not in ended.out + ended.err
    assert asked.json["identifiers"] == [kept]
    acts = rows(
        tmp_path / "ecg.db",
        "SELECT selector, count FROM audit WHERE act LIKE 'patient%' ORDER BY audit_id",
    )
    key = patient["patient_key"]
    assert acts == [
        {"selector": f"patient={key}", "count": 1},
        {"selector": f"patient={key} with identifier", "count": 1},
    ]


def test_the_file_of_identifiers_is_no_ecg_even_inside_the_source(tmp_path: Path) -> None:
    config = _sqlite(tmp_path, "keep_identifiers = true")
    config.write_text(config.read_text().replace("/ecg.db", "/in/ecg.db"))
    _scored(config)

    again = _run(config, "run-once", "--settle", 0)

    assert (again.exit_code, "this run: nothing" in again.out) == (0, True)


def test_without_pseudonyms_the_key_is_readable_and_the_run_says_so(tmp_path: Path) -> None:
    config = _sqlite(tmp_path, "pseudonymise = false", "authority = 'mpi'")
    done = _scored(config)

    keys = rows(tmp_path / "ecg.db", "SELECT patient_key FROM v_latest_risk")
    assert keys == [{"patient_key": f"mpi:{IDENTIFIER}"}]
    assert "site.pseudonymise is false" in done.out
    assert IDENTIFIER not in done.out + done.err
    assert not (tmp_path / "ecg.key").exists()
    assert len(_looked_up(config).json["patients"][0]["recordings"]) == 1
    assert _run(config, "doctor").exit_code == 0


@pytest.mark.parametrize(("before", "after"), [("true", "false"), ("false", "true")])
def test_a_database_holds_one_kind_of_key(tmp_path: Path, before: str, after: str) -> None:
    config = _sqlite(tmp_path, f"pseudonymise = {before}")
    _scored(config)
    config.write_text(config.read_text().replace(f"= {before}\n", f"= {after}\n"))
    config.write_text(config.read_text().replace(f"mise = {before}", f"mise = {after}"))

    stopped = _run(config, "run-once", "--settle", 0)

    assert stopped.exit_code == 4
    assert "site.pseudonymise" in stopped.err
    assert IDENTIFIER not in stopped.out + stopped.err


def test_nothing_to_keep_without_pseudonyms(tmp_path: Path) -> None:
    config = _sqlite(tmp_path, "pseudonymise = false", "keep_identifiers = true")

    stopped = _run(config, "migrate")

    assert (stopped.exit_code, "keep_identifiers" in stopped.err) == (4, True)


@pytest.fixture
def site(postgres: Postgres) -> Iterator[Hospital]:
    made = hospital(postgres)
    yield made
    postgres.drop(made.name)


@pytest.mark.postgres
def test_on_postgresql_the_worker_adds_and_the_identity_role_reads(
    site: Hospital, tmp_path: Path
) -> None:
    create_site_key(tmp_path / "site.key")
    options = ("keep_identifiers = true", f"key_file = '{tmp_path / 'site.key'}'")
    url = site.url("worker")
    config = _config(tmp_path, url, *options)
    with site.connect() as connection:
        connection.execute("GRANT ecgbatch_operator TO account_identity")
    config.write_text(config.read_text().replace(url, site.url("operator")))
    assert _run(config, "bundle", "activate", demonstration("bundle"), *WHY).exit_code == 0
    config.write_text(config.read_text().replace(site.url("operator"), url))
    done = _run(config, "run-once", "--settle", 0)

    ended = {}
    for role in ("operator", "identity"):
        config.write_text(config.read_text().replace(url, site.url(role)))
        url = site.url(role)
        ended[role] = _looked_up(config, "--identifier")
    with site.connect() as connection:
        kept = connection.execute("SELECT * FROM identity.patient_identifier").fetchall()
        acts = connection.execute("SELECT selector FROM audit WHERE act LIKE 'patient%'").fetchall()
        connection.execute("REVOKE ecgbatch_operator FROM account_identity")

    assert "scored 1" in done.out, done.out + done.err
    assert [row[1:] for row in kept] == [("local", IDENTIFIER)]
    assert ended["operator"].exit_code == 4
    assert IDENTIFIER not in ended["operator"].out + ended["operator"].err
    assert ended["identity"].json["identifiers"][0][0]["identifier"] == IDENTIFIER
    assert acts == [(f"patient={kept[0][0]} with identifier",)]


@pytest.mark.postgres
def test_an_identifier_and_its_recording_are_one_transaction(
    site: Hospital, tmp_path: Path
) -> None:
    """Without the right to add identifiers nothing of the ECG is written either."""
    create_site_key(tmp_path / "site.key")
    options = ("keep_identifiers = true", f"key_file = '{tmp_path / 'site.key'}'")
    url = site.url("operator")
    config = _config(tmp_path, url, *options)
    assert _run(config, "bundle", "activate", demonstration("bundle"), *WHY).exit_code == 0
    config.write_text(config.read_text().replace(url, site.url("worker")))
    with site.connect() as connection:
        connection.execute("REVOKE INSERT ON identity.patient_identifier FROM ecgbatch_worker")

    done = _run(config, "run-once", "--settle", 0)

    assert done.exit_code == 4
    with psycopg.connect(host=str(site.server.home), user="postgres", dbname=site.name) as one:
        assert one.execute("SELECT count(*) FROM recording").fetchone() == (0,)
        assert one.execute("SELECT state FROM work").fetchall() == [("ready",)]
