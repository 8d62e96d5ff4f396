"""`ecgbatch report` as a user has it: what it writes, what it says, and what it never tells."""

import base64
import os
import re
import shutil
from pathlib import Path

import pytest

from ecgbatch.errors import SetupFault, TransientFault
from ecgbatch.report import make
from ecgbatch.resources import demonstration
from ecgbatch.terms import DEMONSTRATION_NOTICE, ReasonCode
from tests.cli.command import Ended, ecgbatch, everything_but_runs, rows

_SAMPLES = demonstration("samples")


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `ward/` (the shipped samples) and `ecg.db` (their results)."""
    folder = tmp_path_factory.mktemp("scored")
    shutil.copytree(_SAMPLES, folder / "ward")
    # A name of a file may be a patient's.
    (folder / "ward" / "MUELLER_ANNA.pdf").write_bytes(b"%PDF-1.4\n")
    where = ("--source", folder / "ward", "--db", f"sqlite:///{folder / 'ecg.db'}")
    assert ecgbatch("run-once", *where, "--settle", 0).exit_code == 1
    return folder


@pytest.fixture(scope="module")
def whole(scored: Path) -> Ended:
    """The report of everything, made where no folder was."""
    return _report(scored, "--json")


def _report(folder: Path, *more: object, since: str = "2020-01-01") -> Ended:
    stated = ("--since", since, "--out", folder / "out", "--db", f"sqlite:///{folder / 'ecg.db'}")
    return ecgbatch("report", *stated, *more)


def _page(ended: Ended) -> str:
    return Path(ended.json["report"]).read_text(encoding="utf-8")


def test_writes_one_file_and_says_what_is_in_it(scored: Path, whole: Ended) -> None:
    assert whole.exit_code == 0
    answer = whole.json
    (written,) = (scored / "out").iterdir()
    assert answer["report"] == str(written)
    assert written.stat().st_mode & 0o777 == 0o640
    (count,) = rows(scored / "ecg.db", "SELECT COUNT(*) AS n FROM result WHERE outcome = 'scored'")
    assert answer["scored"] == count["n"] > 0
    (work,) = rows(scored / "ecg.db", "SELECT COUNT(*) AS n FROM v_worklist")
    assert answer["worklist"] == answer["entries"] == answer["pictures"] == work["n"]
    page = written.read_text(encoding="utf-8")
    assert DEMONSTRATION_NOTICE in page
    assert "format_pdf" in page


def test_tells_nobody_who_or_where(scored: Path, whole: Ended) -> None:
    page = _page(whole)
    text = page + "".join(
        base64.b64decode(one).decode() for one in re.findall(r"base64,([A-Za-z0-9+/=]+)", page)
    )
    (source,) = rows(scored / "ecg.db", "SELECT root, name FROM source")
    keys = rows(scored / "ecg.db", "SELECT patient_key FROM recording WHERE patient_key <> ''")
    places = rows(scored / "ecg.db", "SELECT locator FROM item")
    private = [source["root"], str(_SAMPLES), "MUELLER", *(one["patient_key"] for one in keys)]
    private += [Path(one["locator"]).stem for one in places if len(one["locator"]) > 8]
    for one in private:
        assert one not in text


def test_without_worklist_no_ecg_is_named(scored: Path, tmp_path: Path) -> None:
    before = everything_but_runs(scored / "ecg.db")
    ended = _report(scored, "--out", tmp_path, "--without-worklist", "--json")
    assert ended.json["entries"] == ended.json["pictures"] == 0
    assert 'class="entry"' not in _page(ended)
    assert everything_but_runs(scored / "ecg.db") == before


def test_a_file_that_is_gone_or_another_one_is_said_to_be(scored: Path, tmp_path: Path) -> None:
    entries = rows(
        scored / "ecg.db",
        "SELECT i.locator FROM v_worklist w JOIN item i ON i.recording_id = w.recording_id"
        " ORDER BY w.any_vessel_risk DESC",
    )
    (root,) = rows(scored / "ecg.db", "SELECT root FROM source")
    place = Path(root["root"]) / entries[0]["locator"]
    kept = place.read_bytes()
    try:
        place.write_bytes(kept + b"\n")
        assert "Its file is another one by now" in _page(
            _report(scored, "--out", tmp_path, "--worklist", 1, "--json")
        )
        place.unlink()
        ended = _report(scored, "--out", tmp_path, "--worklist", 1, "--json")
        assert "The file is not there any more" in _page(ended)
        assert (ended.json["entries"], ended.json["pictures"]) == (1, 0)
    finally:
        place.write_bytes(kept)


def test_empty_period_and_empty_database_are_pages_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    assert ecgbatch("migrate", "--db", url).exit_code == 0
    ended = ecgbatch("report", "--since", "2026-01-01", "--out", tmp_path, "--db", url, "--json")
    assert ended.exit_code == 0
    assert ended.json["scored"] == 0
    page = _page(ended)
    assert "Nothing happened in this period" in page
    assert "No bundle scores in this database yet." in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "yesterday"), "yesterday"),
        (("--since", "2026-02-02", "--until", "2026-02-01"), "--since is after --until"),
        (("--since", "2999-01-01"), "--since is in the future"),
        (("--worklist", "101"), "--worklist"),
    ],
)
def test_bad_usage_is_one_line(scored: Path, arguments: tuple[str, ...], said: str) -> None:
    ended = _report(scored, *arguments)
    assert ended.exit_code == 2
    assert said in ended.err


def test_a_folder_that_cannot_be_written_is_exit_code_4(scored: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    ended = _report(scored, "--out", tmp_path / "file" / "below", "--json")
    assert ended.exit_code == 4
    assert ended.json["error"]["reason"] == ReasonCode.OUTPUT_UNWRITABLE


def test_a_full_disk_leaves_the_old_report_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    make.write(path, "the old one")
    full = os.open("/dev/full", os.O_WRONLY)
    fsync = os.fsync
    # The device answers as a full disk does: with the system's own error.
    monkeypatch.setattr(os, "fsync", lambda number: (os.write(full, b"x"), fsync(number)))
    with pytest.raises(TransientFault) as fault:
        make.write(path, "the new one")
    os.close(full)
    assert fault.value.reason is ReasonCode.DISK_FULL
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]
    assert path.read_text() == "the old one"


def test_a_name_that_is_taken_by_a_folder_is_no_report(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(SetupFault) as fault:
        make.write(path, "page")
    assert fault.value.reason is ReasonCode.OUTPUT_UNWRITABLE
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]
