"""Folders that an export refuses, shares with nobody, or finds full."""

import json
import re
import resource
import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Engine

from ecgbatch.errors import EcgbatchError, SetupFault, TransientFault
from ecgbatch.export.commits import Choices, from_json, to_json
from ecgbatch.export.folder import held
from ecgbatch.export.kept import kept
from ecgbatch.export.run import export
from ecgbatch.settings import load_settings
from ecgbatch.store import exports
from ecgbatch.store.engine import open_engine, transaction
from ecgbatch.terms import ReasonCode
from tests.cli.command import ecgbatch
from tests.support.exports import PARQUET, committed, exported_ids, result_ids
from tests.support.ledger import facts, scored

pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
UNFIT = ReasonCode.EXPORT_FOLDER_UNFIT


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def _score(engine: Engine, *names: str) -> None:
    with committed(engine) as site:
        for name in names:
            site.arrive(scored(facts(name)), name)


def _refused(engine: Engine, out: Path, choices: Choices = PARQUET) -> tuple[ReasonCode, str]:
    with pytest.raises(EcgbatchError) as refusal:
        export(engine, out, choices)
    return refusal.value.reason, refusal.value.detail


def _files(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()
    }


def test_one_export_at_a_time(engine: Engine, out: Path, database_url: str) -> None:
    _score(engine, "e1")
    with held(out):
        ended = ecgbatch("export", "--db", database_url, "--out", out)
    assert ended.exit_code == 3
    assert "run_locked: another export into this folder" in ended.err
    assert exported_ids(out) == []
    assert ecgbatch("export", "--db", database_url, "--out", out).exit_code == 0
    assert exported_ids(out) == [1]


def test_another_database_is_refused(engine: Engine, out: Path, tmp_path: Path) -> None:
    _score(engine, "e1")
    copy = tmp_path / "empty.db"
    shutil.copy(tmp_path / "ecg.db", copy)
    export(engine, out, PARQUET)
    before = _files(out)
    with sqlite3.connect(copy) as other:
        other.execute("UPDATE activation SET from_at = '2020-01-01T00:00:00.000000Z'")
    other.close()
    second = open_engine(f"sqlite:///{copy}")

    assert _refused(second, out) == (UNFIT, "it is of another database")
    assert _files(out) == before
    second.dispose()


def test_a_database_restored_from_a_backup_is_refused(
    engine: Engine, out: Path, tmp_path: Path
) -> None:
    _score(engine, "e1")
    backup = tmp_path / "backup.db"
    shutil.copy(tmp_path / "ecg.db", backup)
    _score(engine, "e2")
    export(engine, out, PARQUET)
    restored = open_engine(f"sqlite:///{backup}")
    said = "the database has not, or no longer, what was exported last"

    assert _refused(restored, out) == (UNFIT, said)
    _score(restored, "e3", "e4")
    assert result_ids(restored) == [1, 2, 3], "its second result is another one"
    assert _refused(restored, out) == (UNFIT, said)
    restored.dispose()


@pytest.mark.parametrize("other", [Choices("csv"), Choices(with_identifiers=False)])
def test_choices_belong_to_the_folder(engine: Engine, out: Path, other: Choices) -> None:
    _score(engine, "e1")
    export(engine, out, PARQUET)
    assert _refused(engine, out, other) == (UNFIT, "it was begun with other options")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "its log is damaged"),
        ("[]", "its log is damaged"),
        ('{"schema": 1}', "its log is damaged"),
        ('{"schema": 2}', "written by another version"),
    ],
)
def test_a_damaged_log_is_refused(engine: Engine, out: Path, content: str, said: str) -> None:
    _score(engine, "e1")
    export(engine, out, PARQUET)
    (out / "_ecgbatch" / "log" / "00000001.json").write_text(content, encoding="utf-8")
    assert _refused(engine, out) == (UNFIT, said)


def test_data_without_a_log_is_refused(engine: Engine, out: Path) -> None:
    _score(engine, "e1")
    export(engine, out, PARQUET)
    shutil.rmtree(out / "_ecgbatch")
    assert _refused(engine, out) == (UNFIT, "data without a log")


def test_a_commit_is_read_as_it_was_written(engine: Engine, out: Path) -> None:
    _score(engine, "e1")
    export(engine, out, PARQUET)
    text = (out / "_ecgbatch" / "log" / "00000001.json").read_text(encoding="utf-8")
    assert to_json(from_json(text)) == text
    for file in json.loads(text)["files"]:
        assert (out / file["path"]).stat().st_size == file["size"]


def test_what_lies_in_the_way_is_said(engine: Engine, out: Path, database_url: str) -> None:
    _score(engine, "e1")
    out.mkdir()
    (out / "results").write_text("not a folder", encoding="utf-8")
    assert _refused(engine, out) == (UNFIT, "data without a log")
    (out / "_ecgbatch").rename(out / "aside")
    (out / "_ecgbatch").write_text("not a folder", encoding="utf-8")
    ended = ecgbatch("export", "--db", database_url, "--out", out)
    assert ended.exit_code == 4
    assert "output_unwritable" in ended.err
    assert str(out) not in ended.err


def test_a_full_disk_leaves_nothing_half_written_and_the_next_export_goes_on(
    engine: Engine, out: Path
) -> None:
    _score(engine, "e1")
    export(engine, out, PARQUET)
    before = _files(out)
    _score(engine, "e2", "e3")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, hard))
    try:
        with pytest.raises(TransientFault) as full:
            export(engine, out, PARQUET)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert full.value.reason is ReasonCode.DISK_FULL
    assert _files(out) == before
    assert not (out / "_ecgbatch" / "staging").exists()
    export(engine, out, PARQUET)
    assert exported_ids(out) == [1, 2, 3]


def test_status_tells_how_the_last_export_ended_and_why(
    engine: Engine, out: Path, database_url: str, tmp_path: Path
) -> None:
    _score(engine, "e1")
    settings = load_settings(None, {"database": {"url": database_url}}, {})
    with pytest.raises(SetupFault), kept(settings), held(out), held(out):
        pass
    assert _last(engine) is None, "one that found the folder locked says nothing of it"
    with pytest.raises(TransientFault), kept(settings):
        raise TransientFault(ReasonCode.DISK_FULL)
    assert _last(engine) == (4, "disk_full")

    (tmp_path / "unfit" / "results").mkdir(parents=True)
    ended = ecgbatch("export", "--db", database_url, "--out", tmp_path / "unfit")
    assert ended.exit_code == 4
    told = ecgbatch("status", "--db", database_url).out
    assert re.search(
        r"^last export: .*Z, exit code 4: export_folder_unfit\. \w", told, re.MULTILINE
    )
    assert "last run: 2," in told, "an export is no run of a scan"
    with kept(settings):
        assert export(engine, out, PARQUET).rows["results"] == 1
    assert _last(engine) == (0, None)
    assert export(engine, out, PARQUET).exports == (), "that it is kept is nothing new"


def test_an_export_that_may_not_write_is_not_kept_and_goes_on(
    engine: Engine, out: Path, database_url: str
) -> None:
    _score(engine, "e1")
    with transaction(engine) as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER none BEFORE INSERT ON run BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    with kept(load_settings(None, {"database": {"url": database_url}}, {})) as run_id:
        export(engine, out, PARQUET)

    assert run_id is None
    assert exported_ids(out) == [1]


def _last(engine: Engine) -> tuple[int | None, str | None] | None:
    with transaction(engine) as connection:
        last = exports.newest(connection)
    return None if last is None else (last.exit_code, last.reason)


def test_a_folder_that_cannot_be_made_is_said(engine: Engine) -> None:
    _score(engine, "e1")
    with pytest.raises(SetupFault) as refusal:
        export(engine, Path("/proc/no-such-place"), PARQUET)
    assert refusal.value.reason is ReasonCode.OUTPUT_UNWRITABLE


def test_the_command_says_what_it_did(engine: Engine, out: Path, database_url: str) -> None:
    nothing = ecgbatch("export", "--db", database_url, "--out", out, "--json")
    assert nothing.json["exports"] == []
    _score(engine, "e1", "e2")
    ended = ecgbatch("export", "--db", database_url, "--out", out, "--json")
    assert (ended.exit_code, ended.json["exports"]) == (0, [1])
    assert ended.json["rows"] == {"results": 2, "changes": 0}
    assert ended.json["watermark"]["result_id"] == 2
    for file in ended.json["files"]:
        assert (out / file["path"]).stat().st_size == file["size"]
    again = ecgbatch("export", "--db", database_url, "--out", out)
    assert "nothing new" in again.out
    assert "exported up to result 2" in again.out
