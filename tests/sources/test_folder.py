"""The folder source on a real file system: what it sees, what it refuses, what it never touches."""

import errno
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgbatch.errors import InputFault, SetupFault, TransientFault
from ecgbatch.records import Sighting
from ecgbatch.sources import names
from ecgbatch.sources.folder import FolderSource, locator_of
from ecgbatch.sources.folder_scan import DEEPEST
from ecgbatch.sources.source import Memory
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


@pytest.fixture
def open_inbox() -> Iterator[Path]:
    """A folder that every user reaches, which pytest's own are not."""
    inbox = Path(tempfile.mkdtemp(prefix="inbox-"))
    inbox.chmod(0o755)
    yield inbox
    shutil.rmtree(inbox)


@contextmanager
def _rights_of_nobody() -> Iterator[None]:
    """Root may list everything; a real worker may not."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(pwd.getpwnam("nobody").pw_uid)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_folder_that_cannot_be_listed_is_named_and_stays_visible(open_inbox: Path) -> None:
    (open_inbox / "ward").mkdir()
    (open_inbox / "ward" / "a.xml").write_text("x")
    (open_inbox / "b.xml").write_text("x")
    (open_inbox / "ward").chmod(0o000)

    with _rights_of_nobody():
        scan = _source(open_inbox).scan()
        seen = [sighting.locator for sighting in scan]

    assert seen == ["b.xml", "ward"]
    assert scan.unlisted == ["ward"]


def test_root_that_cannot_be_listed_is_an_unfit_source(open_inbox: Path) -> None:
    open_inbox.chmod(0o000)

    with _rights_of_nobody(), pytest.raises(SetupFault) as caught:
        list(_source(open_inbox).scan())

    assert caught.value.reason is ReasonCode.SOURCE_UNAVAILABLE


class _BreaksOff:
    """A listing on a share that goes away after its first name."""

    def __init__(self, entries: Any) -> None:
        self.entries = entries

    def __enter__(self) -> "_BreaksOff":
        return self

    def __exit__(self, *_: object) -> None:
        self.entries.close()

    def __iter__(self) -> Iterator[Any]:
        yield next(self.entries)
        raise OSError(errno.ESTALE, "secret path")


def test_listing_that_breaks_off_below_leaves_the_folder_unlisted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ward = tmp_path / "ward"
    ward.mkdir()
    for name in ("a.xml", "b.xml"):
        (ward / name).write_text("x")
    inode = ward.stat().st_ino

    def scandir(folder: int) -> Any:
        entries = real(folder)
        return _BreaksOff(entries) if os.fstat(folder).st_ino == inode else entries

    real = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    scan = _source(tmp_path).scan()
    seen = [sighting.locator for sighting in scan]

    assert scan.unlisted == ["ward"]
    assert len(seen) == 2
    assert seen[-1] == "ward"
    inode = tmp_path.stat().st_ino
    with pytest.raises(SetupFault) as caught:
        list(_source(tmp_path).scan())
    assert caught.value.reason is ReasonCode.SOURCE_UNAVAILABLE


def test_folder_below_the_deepest_is_an_item_that_cannot_be_read(tmp_path: Path) -> None:
    deepest = tmp_path.joinpath(*["d"] * DEEPEST)
    (deepest / "e").mkdir(parents=True)
    (deepest / "a.xml").write_text("x")
    (deepest / "e" / "b.xml").write_text("x")

    scan = _source(tmp_path).scan()
    seen = [sighting.locator for sighting in scan]

    below = "/".join("d" * DEEPEST)
    assert seen == [f"{below}/a.xml", f"{below}/e"]
    assert scan.unlisted == [f"{below}/e"]
    with pytest.raises(TransientFault) as caught:
        _source(tmp_path).read(f"{below}/e", "any")
    assert caught.value.reason is ReasonCode.READ_FAILED


def test_header_that_is_known_is_not_read_again(tmp_path: Path) -> None:
    _record(tmp_path)
    first = _seen(tmp_path)["r.hea"]
    asked: list[str] = []

    def recall(locators: Sequence[str]) -> dict[tuple[str, str], tuple[str, ...]]:
        asked.extend(locators)
        return {("r.hea", first.fingerprint.split(";")[0]): ("r.dat",)}

    (tmp_path / "r.hea").chmod(0o000)
    stamp = (tmp_path / "r.hea").stat()
    (tmp_path / "r.hea").write_text("x" * stamp.st_size)  # unreadable as a header, same print
    os.utime(tmp_path / "r.hea", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    (again,) = _source(tmp_path).scan(Memory(recall))
    (forgetful,) = _source(tmp_path).scan()

    assert asked == ["r.hea"]
    assert again == first
    assert forgetful.members == ("r.hea",)


def test_more_names_than_memory_holds_come_out_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(40):
        (tmp_path / f"r{number}.hea").write_text(_HEADER.replace("r", f"r{number}"))
        (tmp_path / f"r{number}.dat").write_bytes(b"\1\0\2\0")
        (tmp_path / f"x{number}.xml").write_text("x")
    (tmp_path / "broken.hea").write_text("?")
    (tmp_path / "broken.DAT").write_text("?")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.xml").write_text("x")
    whole = list(_source(tmp_path).scan())
    monkeypatch.setattr(names, "RUN", 7)

    assert list(_source(tmp_path).scan()) == whole
    assert len(whole) == 82


def test_full_disk_of_temporary_files_is_no_fault_of_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(9):
        (tmp_path / f"{number}.xml").touch()
    monkeypatch.setattr(names, "RUN", 7)
    monkeypatch.setattr(tempfile, "tempdir", "/dev/full")

    with pytest.raises(TransientFault) as caught:
        list(_source(tmp_path).scan())
    assert caught.value.reason is ReasonCode.DISK_FULL


@given(st.lists(st.binary(min_size=1, max_size=9).filter(lambda b: b"\0" not in b)), st.data())
def test_names_are_sorted_and_taken_ones_left_out(
    listing: list[bytes], data: st.DataObject
) -> None:
    gone = data.draw(st.lists(st.sampled_from(listing)) if listing else st.just([]))
    with pytest.MonkeyPatch.context() as patch, names.Names() as some, names.Names() as others:
        patch.setattr(names, "RUN", 3)
        for name in listing:
            some.add(name)
        for name in gone:
            others.add(name)

        assert list(some) == sorted(listing)
        left = list(names.without(iter(some), iter(others)))
    assert left == sorted(name for name in listing if name not in set(gone))
