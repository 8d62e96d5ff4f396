"""The folder for what can be made again: whose it is, and when there is none."""

from pathlib import Path

import pytest

from ecgbatch import caches
from ecgbatch.caches import cache_folder


def test_the_folder_is_this_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "made" / "too"))
    folder = cache_folder("nets", "openvino")
    assert folder == tmp_path / "made" / "too" / "ecgbatch" / "nets" / "openvino"
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [0o700, 0o700]
    assert cache_folder("nets", "openvino") == folder


@pytest.mark.parametrize("stated", ["", "relative/cache"])
def test_without_a_stated_folder_it_is_in_the_home(
    stated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", stated)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "ecgbatch"


def test_a_folder_of_others_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ours = cache_folder()
    ours.chmod(0o770)
    with pytest.raises(OSError, match="alone"):
        cache_folder("nets")
    ours.rmdir()
    ours.symlink_to(tmp_path)
    with pytest.raises(OSError, match="alone"):
        cache_folder("nets")
    ours.unlink()
    monkeypatch.setattr(caches.os, "geteuid", lambda: 4_000_000_000)
    with pytest.raises(OSError, match="alone"):
        cache_folder("nets")


def test_a_file_in_the_way_is_an_error_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ecgbatch").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(OSError, match="exists"):
        cache_folder()
