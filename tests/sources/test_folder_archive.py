"""The archive of a folder: nothing is lost, overwritten or archived unseen."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ecgbatch.errors import SetupFault, TransientFault
from ecgbatch.records import Member, RecordingBytes
from ecgbatch.settings import load_settings
from ecgbatch.sources import folder_archive
from ecgbatch.sources.registry import open_source
from ecgbatch.sources.source import Finished, Source
from ecgbatch.terms import ReasonCode

_HEADER = "r 1 500 2\nr.dat 16 200/mV 16 0 1 3 0 I\n"


def _source(root: Path, **stated: object) -> Source:
    values = {"folder": str(root / "inbox"), "archive": str(root / "archive"), **stated}
    return open_source(load_settings(None, {"source": values}, {}))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "inbox" / "ward").mkdir(parents=True)
    (tmp_path / "archive").mkdir()
    (tmp_path / "inbox" / "ward" / "r.hea").write_text(_HEADER)
    (tmp_path / "inbox" / "ward" / "r.dat").write_bytes(b"\1\0\2\0")
    return tmp_path


def _finished(source: Source) -> Finished:
    (seen,) = source.scan()
    names = tuple(one.rpartition("/")[2] for one in seen.members[1:])
    digest = source.read(seen.locator, seen.fingerprint).file_digest
    return Finished(1, seen.locator, seen.fingerprint, names, digest)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


RECORD = {"r.dat": b"\1\0\2\0", "r.hea": _HEADER.encode()}


def _record_in(folder: str) -> dict[str, bytes]:
    return {f"{folder}/{name}": content for name, content in RECORD.items()}


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_whole_record_goes_into_the_archive(root: Path, mode: str) -> None:
    source = _source(root, archive_mode=mode)
    record = _finished(source)
    before = {name: (root / "inbox" / "ward" / name).stat().st_mtime_ns for name in RECORD}

    assert source.put_away(record)

    place = root / "archive" / "ward" / "r.hea" / record.file_digest[:16]
    assert _files(place) == RECORD
    assert {path.name: path.stat().st_mtime_ns for path in place.iterdir()} == before
    assert _files(root / "inbox") == (_record_in("ward") if mode == "copy" else {})
    assert source.put_away(record), "the ledger may not have heard of it"
    assert len(_files(root / "archive")) == 2


def test_moved_record_is_still_read_by_its_locator(root: Path) -> None:
    source = _source(root, archive_mode="move")
    record = _finished(source)
    source.put_away(record)

    kept = source.read(record.locator, record.fingerprint)

    assert kept.file_digest == record.file_digest
    with pytest.raises(TransientFault):
        source.read(record.locator, "other bytes")


def test_half_a_move_is_made_whole(root: Path) -> None:
    source = _source(root, archive_mode="move")
    record = _finished(source)
    place = root / "archive" / "ward" / "r.hea" / record.file_digest[:16]
    place.mkdir(parents=True)
    (root / "inbox" / "ward" / "r.hea").rename(place / "r.hea")

    assert source.put_away(record)
    assert _files(place) == RECORD
    assert _files(root / "inbox") == {}


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_what_changed_since_it_was_read_is_left_alone(root: Path, mode: str) -> None:
    source = _source(root, archive_mode=mode)
    record = _finished(source)
    (root / "inbox" / "ward" / "r.dat").write_bytes(b"newer bytes")

    assert not source.put_away(record)
    assert _files(root / "archive") == {}
    assert _files(root / "inbox")["ward/r.dat"] == b"newer bytes"


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_nothing_in_the_archive_is_overwritten(root: Path, mode: str) -> None:
    source = _source(root, archive_mode=mode)
    record = _finished(source)
    name = root / "archive" / "ward" / "r.hea"
    other = name / record.file_digest[:16]
    other.mkdir(parents=True)
    (other / "r.dat").write_bytes(b"what an operator put there")

    assert source.put_away(record)
    assert _files(other) == {"r.dat": b"what an operator put there"}
    assert _files(name / f"{record.file_digest[:16]}-1") == RECORD


def test_same_bytes_that_come_back_are_moved_beside_the_first(root: Path) -> None:
    source = _source(root, archive_mode="move")
    record = _finished(source)
    source.put_away(record)
    place = root / "archive" / "ward" / "r.hea" / record.file_digest[:16]
    for path in place.iterdir():
        target = root / "inbox" / "ward" / path.name
        target.write_bytes(path.read_bytes())
        os.utime(target, ns=(path.stat().st_mtime_ns,) * 2)

    assert source.put_away(record)
    assert _files(root / "inbox") == {}
    assert _files(place) == RECORD
    assert _files(place.with_name(place.name + "-1")) == RECORD


def test_file_replaced_while_it_is_moved_goes_back(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newer bytes were never scored: in the archive nobody would look for them."""
    source = _source(root, archive_mode="move")
    record = _finished(source)
    path, rename = root / "inbox" / "ward" / "r.dat", os.rename

    def replaced(name: bytes, other: bytes, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if name == b"r.dat":
            path.write_bytes(b"newer bytes")
        rename(name, other, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "rename", replaced)

    assert not source.put_away(record)
    assert _files(root / "inbox") == {**_record_in("ward"), "ward/r.dat": b"newer bytes"}
    assert _files(root / "archive") == {}


def test_copy_that_cannot_be_read_back_is_no_copy(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _source(root)
    record = _finished(source)
    write: Callable[[int, bytes], int] = os.write

    def torn(descriptor: int, content: bytes) -> int:
        write(descriptor, bytes(len(content)))  # a disk that keeps nothing
        return len(content)

    monkeypatch.setattr(os, "write", torn)

    with pytest.raises(TransientFault) as caught:
        source.put_away(record)
    assert caught.value.reason is ReasonCode.ARCHIVE_FAILED
    assert [name for name in _files(root / "archive") if not name.endswith(".part")] == []
    monkeypatch.undo()
    assert source.put_away(record)


def test_markers_go_along_with_a_move(root: Path) -> None:
    (root / "inbox" / "ward" / "r.done").touch()
    source = _source(root, archive_mode="move", done_suffix=".done")

    assert source.put_away(_finished(source))
    assert _files(root / "inbox") == {}


def test_archive_inside_the_source_is_not_looked_through(root: Path) -> None:
    (root / "inbox" / "done").mkdir()
    source = _source(root, archive=str(root / "inbox" / "done"), archive_mode="move")

    assert source.put_away(_finished(source))
    assert list(source.scan()) == []
    assert len(_files(root / "inbox" / "done")) == 2


def test_unfit_archives_are_refused_at_the_start(root: Path) -> None:
    for archive in (root, root / "inbox", root / "none"):
        with pytest.raises(SetupFault) as caught:
            _source(root, archive=str(archive))
        assert caught.value.reason is ReasonCode.SETTINGS_INVALID


def test_move_to_another_file_system_is_refused_and_copy_is_not(root: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        if os.stat(elsewhere).st_dev == root.stat().st_dev:  # noqa: PTH116
            pytest.skip("one file system here")
        with pytest.raises(SetupFault) as caught:
            _source(root, archive=elsewhere, archive_mode="move")
        assert caught.value.reason is ReasonCode.SETTINGS_INVALID
        source = _source(root, archive=elsewhere)
        assert source.put_away(_finished(source))
        assert len(_files(Path(elsewhere))) == 2


@pytest.mark.parametrize("mode", ["copy", "move"])
def test_link_in_the_archive_is_not_followed(root: Path, mode: str) -> None:
    (root / "elsewhere").mkdir()
    (root / "archive" / "ward").symlink_to(root / "elsewhere")
    source = _source(root, archive_mode=mode)

    with pytest.raises(TransientFault):
        source.put_away(_finished(source))
    assert _files(root / "elsewhere") == {}
    assert _files(root / "inbox") == _record_in("ward")


def test_bytes_with_another_digest_are_not_taken_for_the_record(root: Path) -> None:
    source = _source(root)
    record = _finished(source)
    other = RecordingBytes((Member("x", b"x"),)).file_digest

    with pytest.raises(TransientFault):
        source.put_away(Finished(1, record.locator, record.fingerprint, record.members, other))
    assert _files(root / "archive") == {}
    assert folder_archive._DIGITS == 16
