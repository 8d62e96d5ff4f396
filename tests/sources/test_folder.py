"""The folder source on a real file system: what it sees, what it refuses, what it never touches."""

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgbatch.errors import InputFault, SetupFault, TransientFault
from ecgbatch.records import Sighting
from ecgbatch.sources.folder import FolderSource, locator_of
from ecgbatch.terms import ReasonCode

_HEADER = "r 1 500 2\nr.dat 16 200/mV 16 0 1 3 0 I\n"


def _source(root: Path, limit_bytes: int = 1 << 20) -> FolderSource:
    return FolderSource(root, limit_bytes)


def _seen(root: Path) -> dict[str, Sighting]:
    return {sighting.locator: sighting for sighting in _source(root).scan()}


def _record(folder: Path) -> None:
    (folder / "r.hea").write_text(_HEADER)
    (folder / "r.dat").write_bytes(b"\1\0\2\0")


def test_header_takes_its_signal_file_with_it(tmp_path: Path) -> None:
    _record(tmp_path)

    seen = _seen(tmp_path)

    assert list(seen) == ["r.hea"]
    assert seen["r.hea"].members == ("r.hea", "r.dat")
    assert seen["r.hea"].is_whole


def test_header_without_its_signal_file_is_not_whole(tmp_path: Path) -> None:
    (tmp_path / "r.hea").write_text(_HEADER)

    assert not _seen(tmp_path)["r.hea"].is_whole


def test_signal_file_without_header_is_seen_and_not_whole(tmp_path: Path) -> None:
    (tmp_path / "r.dat").write_bytes(b"\1\0")

    assert not _seen(tmp_path)["r.dat"].is_whole


def test_signal_file_beside_its_half_written_header_is_not_an_item(tmp_path: Path) -> None:
    (tmp_path / "r.hea").write_text("r 12 500 2\n")
    (tmp_path / "r.dat").write_bytes(b"\1\0")

    assert list(_seen(tmp_path)) == ["r.hea"]


def test_everything_else_is_seen_too_but_files_in_transit(tmp_path: Path) -> None:
    for name in ("a.xml", "notes.txt", ".hidden", "b.xml.part", "c.tmp", "d.xml~"):
        (tmp_path / name).write_text("x")

    assert sorted(_seen(tmp_path)) == ["a.xml", "notes.txt"]


def test_what_the_program_writes_itself_is_no_ecg(tmp_path: Path) -> None:
    (tmp_path / "ward").mkdir()
    for name in ("ward/ecg.db", "ward/ecg.db-journal", "ward/ecg.db.1.lock", "ward/ecg.key"):
        (tmp_path / name).write_text("x")
    (tmp_path / "ward" / "ecg.db.xml").write_text("x")
    own = (tmp_path / "ward" / "ecg.db", tmp_path / "ward" / "ecg.key", Path("/elsewhere/a.db"))

    seen = FolderSource(tmp_path, 1 << 20, own).scan()

    assert [sighting.locator for sighting in seen] == ["ward/ecg.db.xml"]


def test_folders_are_searched_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "phi.xml").write_text("x")
    root = tmp_path / "inbox"
    (root / "ward" / "room").mkdir(parents=True)
    _record(root / "ward" / "room")
    (root / "linked").symlink_to(outside)
    (root / "file.xml").symlink_to(outside / "phi.xml")

    assert sorted(_seen(root)) == ["file.xml", "linked", "ward/room/r.hea"]
    for locator in ("file.xml", "linked", "linked/phi.xml"):
        with pytest.raises(InputFault) as caught:
            _source(root).read(locator, "any")
        assert caught.value.reason is ReasonCode.NOT_REGULAR


@pytest.mark.parametrize("kind", ["fifo", "socket"])
def test_pipe_and_socket_are_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    if kind == "fifo":
        os.mkfifo(tmp_path / "x.xml")
    else:
        os.mknod(tmp_path / "x.xml", 0o140600)

    with pytest.raises(InputFault) as caught:
        _source(tmp_path).read("x.xml", "any")

    assert caught.value.reason is ReasonCode.NOT_REGULAR


def test_all_bytes_are_read_and_the_source_is_left_as_it_was(tmp_path: Path) -> None:
    _record(tmp_path)
    before = {path.name: path.stat() for path in tmp_path.iterdir()}
    sighting = _seen(tmp_path)["r.hea"]

    recording = _source(tmp_path).read(sighting.locator, sighting.fingerprint)

    assert [member.name for member in recording.members] == ["r.hea", "r.dat"]
    assert recording.members[1].content == b"\1\0\2\0"
    after = {path.name: path.stat() for path in tmp_path.iterdir()}
    assert {n: (s.st_size, s.st_mtime_ns) for n, s in before.items()} == {
        n: (s.st_size, s.st_mtime_ns) for n, s in after.items()
    }


def test_file_that_changed_since_it_was_seen_is_left_for_later(tmp_path: Path) -> None:
    _record(tmp_path)
    sighting = _seen(tmp_path)["r.hea"]
    (tmp_path / "r.dat").write_bytes(b"\1\0\2\0\3\0")

    with pytest.raises(TransientFault) as caught:
        _source(tmp_path).read(sighting.locator, sighting.fingerprint)

    assert caught.value.reason is ReasonCode.CHANGED_WHILE_READING


def test_file_that_is_gone_is_left_for_later(tmp_path: Path) -> None:
    with pytest.raises(TransientFault):
        _source(tmp_path).read("r.hea", "any")


def test_large_file_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "big.xml").write_bytes(b"x" * 101)

    with pytest.raises(InputFault) as caught:
        _source(tmp_path, limit_bytes=100).read("big.xml", "any")

    assert caught.value.reason is ReasonCode.FILE_TOO_LARGE


def test_members_share_one_size_limit(tmp_path: Path) -> None:
    _record(tmp_path)
    limit = len(_HEADER) + 3

    with pytest.raises(InputFault) as caught:
        _source(tmp_path, limit_bytes=limit).read("r.hea", "any")

    assert caught.value.reason is ReasonCode.FILE_TOO_LARGE


def test_missing_root_is_an_unfit_source(tmp_path: Path) -> None:
    with pytest.raises(SetupFault) as caught:
        list(_source(tmp_path / "unmounted").scan())

    assert caught.value.reason is ReasonCode.SOURCE_UNAVAILABLE


def test_errors_carry_no_path(tmp_path: Path) -> None:
    for locator in ("secret-name.xml", "secret-folder/x.xml"):
        with pytest.raises(TransientFault) as caught:
            _source(tmp_path).read(locator, "any")
        assert "secret" not in f"{caught.value!r}{caught.value.__context__ and ''}"
        assert caught.value.__suppress_context__


@given(st.binary(min_size=1, max_size=60).filter(lambda b: b"/" not in b and b"\0" not in b))
def test_locator_is_ascii_and_leads_back_to_the_bytes_of_the_name(name: bytes) -> None:
    locator = locator_of((b"", b"ward", name))

    assert locator.isascii()
    assert "\n" not in locator
    assert [unquote_to_bytes(part) for part in locator.split("/")] == [b"ward", name]


@pytest.mark.parametrize(
    "name", [b"a\nb.xml", b"\x1b[31m.xml", b"\xff\xfe.xml", b"a::b.xml", b"-rf"]
)
def test_awkward_names_are_seen_and_read(tmp_path: Path, name: bytes) -> None:
    with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:  # noqa: PTH118, PTH123
        file.write(b"content")
    (sighting,) = _source(tmp_path).scan()

    recording = _source(tmp_path).read(sighting.locator, sighting.fingerprint)

    assert recording.first == b"content"
