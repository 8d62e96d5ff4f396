"""Which files of a folder count: patterns and markers."""

from pathlib import Path

import pytest

from ecgbatch.errors import Incomplete, SetupFault
from ecgbatch.settings import load_settings
from ecgbatch.sources.folder import FolderSource
from ecgbatch.sources.patterns import patterns
from ecgbatch.sources.registry import open_source
from ecgbatch.sources.source import Source
from ecgbatch.terms import ReasonCode

_HEADER = "r 1 500 2\nr.dat 16 200/mV 16 0 1 3 0 I\n"


def _source(root: Path, **stated: object) -> Source:
    tables = {"source": {"folder": str(root), **stated}, "database": {"url": "sqlite:///x.db"}}
    return open_source(load_settings(None, tables, {}))


def _seen(root: Path, **stated: object) -> list[str]:
    return sorted(sighting.locator for sighting in _source(root, **stated).scan())


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*.xml", "a.xml", True),
        ("*.xml", "w/a.xml", False),
        ("**/*.xml", "a.xml", True),
        ("**/*.xml", "w/x/a.xml", True),
        ("w/**", "w/x/a.xml", True),
        ("w/**", "w", False),
        ("w/**", "ww/a", False),
        ("w?/[ab]*", "w1/b.xml", True),
        ("w?/[!ab]*", "w1/b.xml", False),
        ("w[!a]x", "w/x", False),
        ("[-^]", "^", True),
        ("a.xml", "abxml", False),
        ("[", "[", True),
        ("%C3%A4*", "%25C3%25A4.xml", True),
        ("ä*", "%C3%A4.xml", True),
    ],
)
def test_pattern(pattern: str, path: str, fits: bool) -> None:
    assert patterns([pattern], []).admit(path) is fits
    assert patterns([], [pattern]).admit(path) is not fits


def test_excluded_files_and_folders_are_no_items(tmp_path: Path) -> None:
    for name in ("a.xml", "b.pdf", "old/c.xml", "ward/d.xml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")

    assert _seen(tmp_path) == ["a.xml", "b.pdf", "old/c.xml", "ward/d.xml"]
    assert _seen(tmp_path, include=["**/*.xml"], exclude=["old/**"]) == ["a.xml", "ward/d.xml"]


def test_signal_files_follow_their_header(tmp_path: Path) -> None:
    (tmp_path / "r.hea").write_text(_HEADER)
    (tmp_path / "r.dat").write_bytes(b"\1\0\2\0")

    (kept,) = _source(tmp_path, include=["*.hea"]).scan()

    assert kept.members == ("r.hea", "r.dat")
    assert _seen(tmp_path, exclude=["*.hea"]) == []


def test_broken_pattern_is_refused() -> None:
    with pytest.raises(SetupFault) as caught:
        _source(Path("/"), include=["[z-a]"])
    assert caught.value.reason is ReasonCode.SETTINGS_INVALID


@pytest.mark.parametrize("marker", ["r.hea.done", "r.done"])
def test_record_is_whole_once_it_is_marked(tmp_path: Path, marker: str) -> None:
    (tmp_path / "r.hea").write_text(_HEADER)
    (tmp_path / "r.dat").write_bytes(b"\1\0\2\0")
    source = _source(tmp_path, done_suffix=".done")

    (before,) = source.scan()
    (tmp_path / marker).touch()
    (after,) = source.scan()

    assert (before.is_whole, after.is_whole) == (False, True)
    assert before.fingerprint == after.fingerprint
    assert not source.settles
    assert source.read(after.locator, after.fingerprint).members[0].name == "r.hea"


def test_record_that_was_never_marked_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("x")
    source = _source(tmp_path, done_suffix=".done")
    (seen,) = source.scan()

    with pytest.raises(Incomplete):
        source.read(seen.locator, seen.fingerprint)


def test_without_the_setting_a_marker_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.done").touch()

    assert _seen(tmp_path) == ["a.done"]
    assert _seen(tmp_path, done_suffix=".done") == []
    assert isinstance(_source(tmp_path), FolderSource)
    assert _source(tmp_path).settles
