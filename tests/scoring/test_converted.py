"""Converted nets in the cache: whole or not there, made anew where they are not as written."""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ecgbatch.bundle.load import Bundle
from ecgbatch.caches import cache_folder
from ecgbatch.errors import SetupFault
from ecgbatch.scoring import conversion
from ecgbatch.scoring import converted as module
from ecgbatch.scoring.converted import Files, converted
from ecgbatch.terms import ReasonCode
from tests.support.processes import wait_for

KIND = "openvino"


@pytest.fixture(scope="module")
def made(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An entry as the converting process writes it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        list(converted(bundle, KIND))
        (entry,) = cache_folder("nets", bundle.digest).iterdir()
    return entry


@pytest.fixture
def conversions(
    made: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """A cache of this test's own with that entry, and a quick conversion that counts itself."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(made, _entry(bundle, made))
    done: list[str] = []

    def convert(_: Bundle, card: dict[str, object], folder: Path) -> None:
        done.append(str(card["runtime"]))
        shutil.copytree(made, folder, dirs_exist_ok=True)

    monkeypatch.setattr(module, "run_conversion", convert)
    return done


def _entry(bundle: Bundle, made: Path) -> Path:
    return cache_folder("nets", bundle.digest) / made.name


def _files(made: Path) -> Files:
    return {suffix: (made / f"member-00{suffix}").read_bytes() for suffix in (".xml", ".bin")}


def _resum(entry: Path) -> None:
    names = sorted(path.name for path in entry.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{sha256((entry / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (entry / "SHA256SUMS").write_text("".join(lines), encoding="ascii")


def _cut(entry: Path) -> None:
    with (entry / "member-00.bin").open("r+b") as opened:
        opened.truncate(1000)


def _flipped(entry: Path) -> None:
    content = bytearray((entry / "member-00.bin").read_bytes())
    content[-1] ^= 1
    (entry / "member-00.bin").write_bytes(content)


def _foreign(entry: Path) -> None:
    card = json.loads((entry / "card.json").read_text())
    (entry / "card.json").write_text(json.dumps(card | {"bundle": "f" * 64}))
    _resum(entry)


def _older(entry: Path) -> None:
    card = json.loads((entry / "card.json").read_text())
    (entry / "card.json").write_text(json.dumps(card | {"version": "2025.0.0"}))
    _resum(entry)


def _no_card(entry: Path) -> None:
    (entry / "card.json").write_text("{")
    _resum(entry)


def _linked(entry: Path) -> None:
    (entry / "member-00.bin").rename(entry.parent.parent / "elsewhere.bin")
    (entry / "member-00.bin").symlink_to(entry.parent.parent / "elsewhere.bin")


def _of_others(entry: Path) -> None:
    (entry / "member-00.bin").chmod(0o666)


@pytest.mark.parametrize(
    "damage",
    [
        shutil.rmtree,
        lambda entry: (entry / "SHA256SUMS").unlink(),
        lambda entry: (entry / "SHA256SUMS").write_text("x\n"),
        lambda entry: (entry / "member-00.xml").unlink(),
        *(_cut, _flipped, _foreign, _older, _no_card, _linked, _of_others),
    ],
)
def test_what_is_not_as_it_was_written_is_made_anew(
    damage: Callable[[Path], object], conversions: list[str], bundle: Bundle, made: Path
) -> None:
    assert list(converted(bundle, KIND)) == [_files(made)]
    assert conversions == []
    damage(_entry(bundle, made))

    assert list(converted(bundle, KIND)) == [_files(made)]
    assert conversions == [KIND]
    assert list(converted(bundle, KIND)) == [_files(made)]
    assert conversions == [KIND]
    assert list(_entry(bundle, made).parent.iterdir()) == [_entry(bundle, made)]


def test_a_new_entry_drops_those_of_other_versions_and_what_a_killed_process_left(
    conversions: list[str], bundle: Bundle, made: Path
) -> None:
    home = _entry(bundle, made).parent
    for name in ("openvino-2025.0.0-1", "onnx-1.32.0-1", ".new-dead", ".new-living"):
        (home / name).mkdir()
    os.utime(home / ".new-dead", (0, 0))
    shutil.rmtree(_entry(bundle, made))

    list(converted(bundle, KIND))

    left = {path.name for path in home.iterdir()}
    assert left == {made.name, "onnx-1.32.0-1", ".new-living"}


def test_of_two_at_once_both_have_the_nets(
    conversions: list[str], bundle: Bundle, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one's entry comes between the last look and the rename."""
    shutil.rmtree(_entry(bundle, made))
    replace, home = os.replace, _entry(bundle, made).parent

    def late(source: Path, target: Path) -> None:
        if target.name == made.name:
            shutil.copytree(made, target, dirs_exist_ok=True)
        replace(source, target)

    monkeypatch.setattr(module.os, "replace", late)

    assert list(converted(bundle, KIND)) == [_files(made)]
    assert list(home.iterdir()) == [_entry(bundle, made)]


def test_without_a_cache_it_is_converted_each_time(
    conversions: list[str],
    bundle: Bundle,
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for _ in range(2):
        assert list(converted(bundle, KIND)) == [_files(made)]
    assert conversions == [KIND] * 2


def test_a_cache_that_is_full_is_no_reason_to_stop(
    conversions: list[str], bundle: Bundle, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(_entry(bundle, made))
    home, convert = _entry(bundle, made).parent, module.run_conversion

    def full(given: Bundle, card: dict[str, object], folder: Path) -> None:
        if home in folder.parents:
            (folder / "member-00.bin").write_bytes(b"half")
            raise OSError
        convert(given, card, folder)

    monkeypatch.setattr(module, "run_conversion", full)

    assert list(converted(bundle, KIND)) == [_files(made)]
    assert list(home.iterdir()) == []


def test_a_killed_conversion_leaves_nothing(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    faults: list[SetupFault] = []
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*given: Any, **named: Any) -> "subprocess.Popen[bytes]":
        started.append(popen(*given, **named))
        return started[-1]

    monkeypatch.setattr(conversion.subprocess, "Popen", start)

    def score() -> None:
        try:
            list(converted(bundle, KIND))
        except SetupFault as fault:
            faults.append(fault)

    scoring = threading.Thread(target=score)
    scoring.start()
    assert wait_for(lambda: bool(started))
    home = cache_folder("nets", bundle.digest)
    assert [path.name[:5] for path in home.iterdir()] == [".new-"]
    started[0].kill()
    scoring.join()

    assert [fault.reason for fault in faults] == [ReasonCode.CONVERSION_FAILED]
    assert list(home.iterdir()) == []
