"""The main job on a real PostgreSQL, with a settings file, as a hospital runs it."""

from pathlib import Path

import psycopg
import pytest

from ecgbatch.identity import create_site_key
from ecgbatch.resources import demonstration
from tests.cli.command import ecgbatch
from tests.support.ecgs import SAMPLES
from tests.support.postgres import Postgres

pytestmark = pytest.mark.postgres


@pytest.fixture
def url(postgres: Postgres) -> str:
    return postgres.url(postgres.create())


def _settings(folder: Path, url: str, *more: str) -> Path:
    lines = [
        f"[database]\nurl = '{url}'",
        f"[source]\nfolder = '{SAMPLES}'\nname = 'ward'",
        "[bundle]\nallow_demonstration = true",
        *more,
    ]
    path = folder / "site.toml"
    path.write_text("\n".join(lines))
    return path


def test_migrate_activate_score_and_ask(tmp_path: Path, url: str) -> None:
    create_site_key(tmp_path / "site.key")
    config = _settings(tmp_path, url, "[site]\nkey_file = 'site.key'")
    for command in (
        ("migrate",),
        ("bundle", "activate", demonstration("bundle"), "--reason", "first"),
        ("doctor",),
        ("run-once", "--settle", 0),
    ):
        done = ecgbatch(*command, "--config", config)
        assert done.exit_code == 0, done.out + done.err

    again = ecgbatch("run-once", "--settle", 0, "--config", config)
    status = ecgbatch("status", "--config", config, "--json")

    assert "this run: nothing" in again.out
    assert status.json["counts"]["scored"] == 7
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
        rows = connection.execute(
            "SELECT any_vessel_risk, any_vessel_stratum, is_clinical FROM v_latest_risk"
        ).fetchall()
    assert len(rows) == 7
    assert all(0 <= risk <= 1 and is_clinical is False for risk, _, is_clinical in rows)


def test_database_without_tables_and_one_without_a_site_key_are_refused(
    tmp_path: Path, url: str
) -> None:
    config = _settings(tmp_path, url)

    before = ecgbatch("run-once", "--settle", 0, "--config", config)
    ecgbatch("migrate", "--config", config)
    after = ecgbatch("run-once", "--settle", 0, "--config", config)

    assert (before.exit_code, after.exit_code) == (4, 4)
    assert "database_revision" in before.err
    assert "site_key_missing" in after.err
