"""An unfit set-up: nothing is claimed, the exit code says so, and one line says what to do."""

import fcntl
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ecgbatch.cli.main import COMMANDS
from ecgbatch.resources import demonstration
from tests.cli.command import Ended, ecgbatch, rows
from tests.support.bundles import save_small_bundle
from tests.support.ecgs import SAMPLES, heartbeats, write_wfdb


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "ecgs"
    folder.mkdir()
    write_wfdb(folder, "one", heartbeats(5))
    return folder


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with one ECG scored by the demonstration; tests copy it."""
    folder = tmp_path_factory.mktemp("scored")
    (folder / "ecgs").mkdir()
    write_wfdb(folder / "ecgs", "one", heartbeats(5))
    assert _run(folder / "ecgs", folder / "r.db").exit_code == 0
    return folder


@pytest.fixture
def copy(scored: Path, tmp_path: Path) -> Path:
    shutil.copytree(scored, tmp_path / "site")
    return tmp_path / "site"


def _run(source: Path, database: Path, *more: object, **environment: str) -> Ended:
    return ecgbatch(
        *("run-once", "--source", source, "--db", f"sqlite:///{database}", "--settle", 0, *more),
        ECGBATCH_SOURCE__NAME="ward",  # the same source, wherever a test copies it
        **environment,
    )


def _one_line(done: Ended, reason: str) -> None:
    lines = [line for line in done.err.splitlines() if line.startswith("ecgbatch: ")]
    assert len(lines) == 1
    assert reason in lines[0]
    assert lines[0].endswith(".")


def test_folder_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    done = _run(tmp_path / "nowhere", tmp_path / "r.db")

    assert done.exit_code == 2
    assert "does not exist" in done.err
    assert not (tmp_path / "r.db").exists()


def test_database_at_another_revision_is_refused(copy: Path) -> None:
    with sqlite3.connect(copy / "r.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    done = _run(copy / "ecgs", copy / "r.db")

    assert done.exit_code == 4
    _one_line(done, "database_revision")


def test_file_that_is_no_database_is_refused(source: Path, tmp_path: Path) -> None:
    (tmp_path / "r.db").write_text("not a database" * 100)

    done = _run(source, tmp_path / "r.db")

    assert done.exit_code == 4
    _one_line(done, "database_")


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_missing_database_is_not_made_by_a_command_that_reads(tmp_path: Path, command: str) -> None:
    done = ecgbatch(command, "--db", f"sqlite:///{tmp_path / 'r.db'}")

    assert done.exit_code == 4
    assert "database_missing" in done.out + done.err
    assert not (tmp_path / "r.db").exists()


@pytest.mark.parametrize("part", ["bundle.json", "golden.npz", "weights", "SHA256SUMS"])
def test_bundle_with_a_changed_byte_is_refused(source: Path, tmp_path: Path, part: str) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(demonstration("bundle"), bundle)
    path = next((bundle / part).iterdir()) if part == "weights" else bundle / part
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    done = _run(source, tmp_path / "r.db", "--bundle", bundle)
    verified = ecgbatch("bundle", "verify", bundle)

    assert done.exit_code == 4
    _one_line(done, "bundle_")
    assert verified.exit_code == 1
    assert "broken" in verified.out


def test_another_bundle_than_the_champion_is_refused_with_the_command(copy: Path) -> None:
    save_small_bundle(copy / "other")

    done = _run(copy / "ecgs", copy / "r.db", "--bundle", copy / "other")

    assert done.exit_code == 4
    _one_line(done, "bundle_not_active")
    assert "ecgbatch bundle activate" in done.err

    activated = ecgbatch(
        *("bundle", "activate", copy / "other", "--db", f"sqlite:///{copy / 'r.db'}"),
        *("--reason", "try another"),
    )
    assert activated.exit_code == 0
    assert _run(copy / "ecgs", copy / "r.db", "--bundle", copy / "other").exit_code == 0
    roles = rows(copy / "r.db", "SELECT why, to_at IS NULL AS now FROM activation ORDER BY from_at")
    assert roles == [{"why": "first use", "now": 0}, {"why": "try another", "now": 1}]


def test_second_run_on_the_same_source_is_told_so(copy: Path) -> None:
    (lock,) = copy.glob("r.db.*.lock")
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        done = _run(copy / "ecgs", copy / "r.db")

    assert done.exit_code == 3
    _one_line(done, "run_locked")


def test_lost_site_key_is_not_replaced(copy: Path) -> None:
    (copy / "r.key").unlink()

    done = _run(copy / "ecgs", copy / "r.db")

    assert done.exit_code == 4
    _one_line(done, "site_key_missing")
    assert not (copy / "r.key").exists()


def test_source_that_is_suddenly_empty_loses_nothing(copy: Path) -> None:
    for path in (copy / "ecgs").iterdir():
        path.unlink()

    done = _run(copy / "ecgs", copy / "r.db")

    assert done.exit_code == 4
    _one_line(done, "source_unavailable")
    assert rows(copy / "r.db", "SELECT gone_at, missing_scans FROM item") == [
        {"gone_at": None, "missing_scans": 0}
    ]


def test_unknown_key_is_named(copy: Path) -> None:
    (copy / "site.toml").write_text("[stability]\nsetle_s = 1\n")

    done = ecgbatch("status", "--config", copy / "site.toml")

    assert done.exit_code == 4
    assert "stability.setle_s" in done.err


@pytest.mark.parametrize(
    "url", ["postgresql://me:secret@db/ecg", "postgresql://me@db/ecg?password=secret"]
)
def test_password_on_the_command_line_is_a_usage_error(url: str) -> None:
    done = ecgbatch("status", "--db", url)

    assert done.exit_code == 2
    assert "secret" not in done.err


def test_settings_refuse_a_demonstration_unless_they_allow_it(copy: Path) -> None:
    text = (
        f"[database]\nurl = 'sqlite:///{copy / 'r.db'}'\n[source]\nfolder = 'ecgs'\nname = 'ward'\n"
    )
    (copy / "site.toml").write_text(text)

    refused = ecgbatch("run-once", "--config", copy / "site.toml", "--settle", 0)
    allowed = ecgbatch(
        *("run-once", "--config", copy / "site.toml", "--settle", 0, "--json"),
        ECGBATCH_BUNDLE__ALLOW_DEMONSTRATION="true",
    )

    assert refused.exit_code == 4
    _one_line(refused, "bundle_not_clinical")
    assert allowed.exit_code == 0
    assert allowed.json["counts"]["scored"] == 1


def test_pinned_digest_must_be_the_champions(copy: Path) -> None:
    done = _run(copy / "ecgs", copy / "r.db", ECGBATCH_BUNDLE__DIGEST="0" * 64)

    assert done.exit_code == 4
    _one_line(done, "bundle_pinned_digest")


def test_pin_is_compared_before_the_first_use_activates_anything(
    source: Path, tmp_path: Path
) -> None:
    done = _run(source, tmp_path / "r.db", ECGBATCH_BUNDLE__DIGEST="0" * 64)

    assert done.exit_code == 4
    assert rows(tmp_path / "r.db", "SELECT * FROM activation") == []


def test_status_answers_while_another_program_reads(copy: Path) -> None:
    with sqlite3.connect(copy / "r.db", isolation_level=None) as connection:
        cursor = connection.execute("SELECT * FROM item, result, score")
        cursor.fetchone()

        done = ecgbatch("status", "--db", f"sqlite:///{copy / 'r.db'}")

    assert done.exit_code == 0


def test_damaged_champion_is_broken_not_missing(source: Path, tmp_path: Path) -> None:
    save_small_bundle(tmp_path / "own")
    assert _run(source, tmp_path / "r.db", "--bundle", tmp_path / "own").exit_code == 0
    (tmp_path / "own" / "bundle.json").write_bytes(b"{}")

    done = ecgbatch("bundle", "verify", "--db", f"sqlite:///{tmp_path / 'r.db'}")

    assert done.exit_code == 1
    assert "broken" in done.out


def test_fault_is_an_object_where_json_was_asked_for(tmp_path: Path) -> None:
    done = ecgbatch("status", "--db", f"sqlite:///{tmp_path / 'r.db'}", "--json")

    answer = json.loads(done.out)
    assert answer["exit_code"] == done.exit_code == 4
    assert answer["error"]["reason"] == "database_missing"
    assert answer["error"]["advice"]


def test_file_that_is_not_yet_stable_is_looked_at_again(source: Path, tmp_path: Path) -> None:
    done = ecgbatch(
        *("run-once", "--source", source, "--db", f"sqlite:///{tmp_path / 'r.db'}"),
        *("--settle", "1"),
    )

    assert done.exit_code == 0
    assert "looking again in 1 s" in done.out
    assert "scored 1" in done.out


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; from click.testing import CliRunner; from ecgbatch.cli.main import cli; "
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0; "
        "print([m for m in ('torch','scipy','sqlalchemy','pandas','matplotlib','ray') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_status_loads_no_torch(copy: Path) -> None:
    script = (
        "import sys; from click.testing import CliRunner; from ecgbatch.cli.main import cli; "
        f"r = CliRunner().invoke(cli, ['status', '--db', 'sqlite:///{copy / 'r.db'}']); "
        "assert r.exit_code == 0, r.output; print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "False"


def test_run_with_nothing_to_do_loads_nothing_heavy(source: Path, tmp_path: Path) -> None:
    asked = ["run-once", "--source", str(source), "--db", f"sqlite:///{tmp_path / 'r.db'}"]
    asked += ["--settle", "0"]
    assert ecgbatch(*asked).exit_code == 0
    heavy = ("torch", "openvino", "onnxruntime", "numba", "scipy.signal", "pandas", "alembic")
    script = (
        "import sys; from click.testing import CliRunner; from ecgbatch.cli.main import cli; "
        f"r = CliRunner().invoke(cli, {asked}); assert 'this run: nothing' in r.output, r.output; "
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    done = ecgbatch(name, "--help")

    assert done.exit_code == 0
    groups = {"audit", "bundle", "ledger", "patient", "quarantine"}
    assert "--json" in done.out or name in groups


def test_samples_stay_as_they_are() -> None:
    assert not [path for path in SAMPLES.rglob("*") if path.suffix in {".db", ".lock", ".key"}]
