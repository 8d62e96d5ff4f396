"""The main job from other sources: a database, and a folder whose files go into an archive."""

import shutil
from pathlib import Path

import psycopg
import pytest

from ecgbatch.resources import demonstration
from tests.cli.command import ecgbatch, rows
from tests.support.ecgs import SAMPLES
from tests.support.postgres import Postgres

MUSE = demonstration("samples") / "muse" / "guangxi_teaching_sinus_rhythm.xml"


def _settings(folder: Path, source: str) -> Path:
    config = folder / "site.toml"
    config.write_text(
        f"[database]\nurl = 'sqlite:///{folder / 'results.db'}'\n[source]\n{source}\n"
        "[bundle]\nallow_demonstration = true\n"
    )
    for command in (
        ("migrate",),
        ("bundle", "activate", demonstration("bundle"), "--reason", "first"),
    ):
        assert ecgbatch(*command, "--config", config).exit_code == 0
    return config


@pytest.mark.postgres
def test_ecgs_of_a_database_are_scored_into_another(tmp_path: Path, postgres: Postgres) -> None:
    name = postgres.create()
    with psycopg.connect(host=str(postgres.home), user="postgres", dbname=name) as connection:
        connection.execute("CREATE TABLE ecg (id text, changed_at timestamptz, content bytea)")
        connection.execute("INSERT INTO ecg VALUES ('a', now(), %s)", [MUSE.read_bytes()])
        connection.execute("INSERT INTO ecg VALUES ('b', now(), 'no ecg')")
        connection.execute(f"CREATE ROLE reader_{name} LOGIN")
        connection.execute(f"GRANT SELECT ON ecg TO reader_{name}")
    url = f"postgresql://reader_{name}@/{name}?host={postgres.home}"
    query = "SELECT id, changed_at, content FROM ecg"
    config = _settings(tmp_path, f"kind = 'database'\nurl = '{url}'\nquery = '{query}'")

    first = ecgbatch("run-once", "--config", config)
    again = ecgbatch("run-once", "--config", config)
    doctor = ecgbatch("doctor", "--config", config)

    assert (first.exit_code, again.exit_code) == (1, 1), first.err
    assert "scored 1" in first.out
    assert "this run: nothing" in again.out
    assert "its rows hold a content" in doctor.out, doctor.out
    (source,) = rows(tmp_path / "results.db", "SELECT kind, name, watermark FROM source")
    assert source["kind"] == "database"
    assert f"reader_{name}" not in source["name"]
    assert source["watermark"] is not None


def test_scored_files_go_into_the_archive_and_failed_ones_stay(tmp_path: Path) -> None:
    inbox, archive = tmp_path / "inbox", tmp_path / "archive"
    shutil.copytree(SAMPLES / "wfdb", inbox)
    archive.mkdir()
    (inbox / "letter.txt").write_text("no ecg")
    config = _settings(
        tmp_path, f"folder = '{inbox}'\narchive = '{archive}'\narchive_mode = 'move'"
    )

    first = ecgbatch("run-once", "--settle", 0, "--config", config)
    again = ecgbatch("run-once", "--settle", 0, "--config", config)

    assert (first.exit_code, again.exit_code) == (1, 1), first.err
    assert [path.name for path in inbox.iterdir()] == ["letter.txt"]
    assert len(list(archive.glob("*.hea/*/*.hea"))) == 5
    assert "this run: nothing" in again.out
    items = rows(tmp_path / "results.db", "SELECT archived_at, gone_at, state FROM item")
    assert sum(one["archived_at"] is not None for one in items) == 5
    assert {one["state"] for one in items} == {"admitted"}
