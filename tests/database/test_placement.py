"""Where an SQLite file may lie, and which journal its library gets."""

import os
import shutil
from pathlib import Path

import pytest

from ecgbatch.errors import SetupFault
from ecgbatch.store import placement
from ecgbatch.store.engine import open_engine, owner_engine, read_only
from ecgbatch.store.migrate import migrate
from ecgbatch.store.placement import journal_mode, network_file_system, network_type
from ecgbatch.terms import ReasonCode


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), "delete"),
        ((3, 44, 5), "delete"),
        ((3, 44, 6), "wal"),
        ((3, 44, 7), "wal"),
        ((3, 45, 0), "delete"),
        ((3, 45, 9), "delete"),
        ((3, 50, 6), "delete"),
        ((3, 50, 7), "wal"),
        ((3, 51, 0), "delete"),
        ((3, 51, 2), "delete"),
        ((3, 51, 3), "wal"),
        ((3, 52, 0), "wal"),
        ((4, 0, 0), "wal"),
    ],
)
def test_write_ahead_log_only_where_it_is_sound(version: tuple[int, int, int], mode: str) -> None:
    assert journal_mode(version) == mode


def mounts(*lines: tuple[str, str]) -> bytes:
    """Text of mountinfo for (mount point, type)."""
    return b"".join(
        f"{number} 1 0:{number} / {point} rw,relatime shared:1 - {kind} device rw\n".encode()
        for number, (point, kind) in enumerate(lines, 20)
    )


LOCAL = ("/", "ext4")


@pytest.mark.parametrize(
    ("path", "lines", "found"),
    [
        ("/data", (LOCAL,), None),
        ("/data", (LOCAL, ("/data", "nfs4")), "nfs4"),
        ("/data/deep/er", (LOCAL, ("/data", "cifs")), "cifs"),
        ("/database", (LOCAL, ("/data", "nfs")), None),
        ("/data/local", (LOCAL, ("/data", "nfs"), ("/data/local", "xfs")), None),
        ("/data/local", (LOCAL, ("/data/local", "xfs"), ("/data", "nfs")), None),
        ("/data", (LOCAL, ("/data", "nfs"), ("/data", "ext4")), None),
        ("/data", (LOCAL, ("/data", "ext4"), ("/data", "smb3")), "smb3"),
        ("/data", (("/", "nfs4"),), "nfs4"),
        ("/my share", (LOCAL, (r"/my\040share", "cifs")), "cifs"),
        ("/data", (LOCAL, ("/data", "fuse.sshfs")), "fuse.sshfs"),
        ("/data", (LOCAL, ("/data", "fuse.rclone")), "fuse.rclone"),
        ("/data", (LOCAL, ("/data", "fuse.fuse-overlayfs")), None),
        ("/data", (LOCAL, ("/data", "overlay")), None),
        ("/data", (LOCAL, ("/data", "tmpfs")), None),
        ("/data", (LOCAL, ("/data", "virtiofs")), "virtiofs"),
        ("/data", (), None),
    ],
)
def test_file_system_of_a_path(
    path: str, lines: tuple[tuple[str, str], ...], found: str | None
) -> None:
    assert network_type(path.encode(), mounts(*lines)) == found


def test_lines_that_are_none_are_passed_over() -> None:
    text = b"nonsense\n\n1 2 3\n" + mounts(LOCAL, ("/data", "nfs")) + b"20 1 0:2 / /data rw -\n"

    assert network_type(b"/data", text) == "nfs"


def _share(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let `folder` be a mount of this type."""
    text = folder.parent / f"{folder.name}.mountinfo"
    text.write_bytes(mounts(LOCAL, (os.path.realpath(folder), kind)))
    monkeypatch.setattr(placement, "_MOUNTS", text)
    return folder


def test_nothing_opens_or_makes_a_file_on_a_share(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "share"
    folder.mkdir()
    shutil.copy(sqlite_template, folder / "ecg.db")
    _share(folder, "nfs4", monkeypatch)

    for url in (f"sqlite:///{folder / 'ecg.db'}", f"sqlite:///{folder / 'new.db'}"):
        for opened in (open_engine, read_only, owner_engine, migrate):
            if url.endswith("new.db") and opened is not migrate:
                continue
            with pytest.raises(SetupFault) as caught:
                opened(url)
            assert caught.value.reason is ReasonCode.SQLITE_ON_NETWORK_FS
            assert caught.value.detail == "nfs4"
    assert [path.name for path in folder.iterdir()] == ["ecg.db"]


def test_a_link_to_a_share_is_a_share(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "share"
    folder.mkdir()
    shutil.copy(sqlite_template, folder / "ecg.db")
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "linked.db").symlink_to(folder / "ecg.db")
    _share(folder, "cifs", monkeypatch)

    for path in (tmp_path / "link" / "ecg.db", tmp_path / "linked.db"):
        with pytest.raises(SetupFault) as caught:
            open_engine(f"sqlite:///{path}")
        assert caught.value.reason is ReasonCode.SQLITE_ON_NETWORK_FS


def test_the_same_folder_on_a_local_disk_is_opened(
    tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    shutil.copy(sqlite_template, folder / "ecg.db")
    _share(folder, "ext4", monkeypatch)

    open_engine(f"sqlite:///{folder / 'ecg.db'}").dispose()
    assert migrate(f"sqlite:///{folder / 'new.db'}").created


def test_without_a_list_of_mounts_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "_MOUNTS", tmp_path / "none")

    assert network_file_system(tmp_path) is None
