"""Files and folders come, go, and change their kind while runs look at them (S2)."""

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from urllib.parse import unquote

import pytest

from ecgbatch.errors import EcgbatchError, SetupFault
from ecgbatch.store import ledger
from ecgbatch.store.discovery import SCANS_UNTIL_GONE
from ecgbatch.terms import ReasonCode
from tests.faults.ecg_files import FORMATS, ecg
from tests.faults.place import Place, place
from tests.support.effort import effort

EVENTS = effort(500, with_every_change=200)
PER_RUN = 25
FOLDERS = ("a", "b", "c/d", "c/e", "f")


class Weather:
    """What happens to a share: one thing after another, all of them repeatable."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.dice = Random(seed)  # noqa: S311 - chosen for being repeatable
        self.happened = 0
        muse = next(fmt for fmt in FORMATS if fmt.name.startswith("muse"))
        self.contents = [ecg(muse, 500 + n).first for n in range(24)]
        self.number = 0

    def happen(self) -> None:
        events: tuple[Callable[[], None], ...] = (
            *(self.arrive,) * 6,
            *(self.rename,) * 2,
            *(self.delete,) * 2,
            self.replace,
            self.becomes_a_folder,
            self.becomes_a_link,
            self.folder_becomes_a_file,
            self.folder_goes_and_comes,
        )
        for _ in range(PER_RUN):
            self.dice.choice(events)()
            self.happened += 1

    def files(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*.*") if not path.is_dir())

    def arrive(self) -> None:
        self.number += 1
        folder = self.root / self.dice.choice(FOLDERS)
        if folder.parent.is_file() or folder.is_file():
            return
        folder.mkdir(parents=True, exist_ok=True)
        is_ecg = self.dice.random() < 0.8
        path = folder / f"{self.number:03}.{'xml' if is_ecg else 'txt'}"
        passing = path.with_name(f"{path.name}.part")
        passing.write_bytes(self.dice.choice(self.contents) if is_ecg else b"no ECG at all")
        passing.rename(path)

    def _any(self) -> Path | None:
        files = self.files()
        return self.dice.choice(files) if files else None

    def rename(self) -> None:
        if path := self._any():
            self.number += 1
            path.rename(path.with_name(f"{self.number:03}{path.suffix}"))

    def delete(self) -> None:
        if path := self._any():
            path.unlink()

    def replace(self) -> None:
        path = self._any()
        if path and not path.is_symlink():
            path.write_bytes(self.dice.choice(self.contents))

    def becomes_a_folder(self) -> None:
        if path := self._any():
            path.unlink()
            path.mkdir()

    def becomes_a_link(self) -> None:
        if path := self._any():
            path.unlink()
            path.symlink_to("/etc/hostname")

    def folder_becomes_a_file(self) -> None:
        """ENOTDIR for everything that was seen in it."""
        folder = self.root / self.dice.choice(FOLDERS)
        if folder.is_dir():
            shutil.rmtree(folder)
            folder.write_bytes(b"no ECG at all")
        elif folder.is_file():
            folder.unlink()

    def folder_goes_and_comes(self) -> None:
        folder, away = self.root / "c", self.root.parent / "away"
        if folder.is_dir() and not away.exists():
            folder.rename(away)
        elif away.exists() and not folder.exists():
            away.rename(folder)


def unmounted(share: Place) -> None:
    """Neither a missing root nor an empty one makes anything gone."""
    before = share.ask("SELECT item_id, state, missing_scans, gone_at FROM item ORDER BY item_id")
    away = share.root.with_name("unmounted")
    share.root.rename(away)
    assert reason_of(share) is ReasonCode.SOURCE_UNAVAILABLE
    share.root.mkdir()
    present = share.ask("SELECT 1 FROM item WHERE gone_at IS NULL AND state <> 'superseded'")
    if present:
        assert reason_of(share) is ReasonCode.SOURCE_UNAVAILABLE
    share.root.rmdir()
    away.rename(share.root)
    after = share.ask("SELECT item_id, state, missing_scans, gone_at FROM item ORDER BY item_id")
    assert after == before


def reason_of(share: Place) -> ReasonCode | None:
    try:
        share.run()
    except SetupFault as fault:
        return fault.reason
    return None


def run_under_weather(share: Place, weather: Weather) -> None:
    """It happens while the run looks and reads."""
    with ThreadPoolExecutor(1) as pool:
        happening = pool.submit(weather.happen)
        try:
            share.run()
        except EcgbatchError as fault:
            # A moment without any file is one in which the share may be away.
            assert fault.reason is ReasonCode.SOURCE_UNAVAILABLE  # noqa: PT017
        happening.result()


def test_after_many_events_every_file_that_is_there_has_its_disposition(tmp_path: Path) -> None:
    share = place(tmp_path, grace_s=0.0)
    weather = Weather(share.root, seed=7)
    for _ in range(6):
        weather.arrive()
    turn = 0
    while weather.happened < EVENTS:
        run_under_weather(share, weather)
        turn += 1
        if turn % 5 == 0:
            unmounted(share)
    for _ in range(SCANS_UNTIL_GONE + 1):
        share.tell("UPDATE work SET next_at = '2000-01-01T00:00:00.000000Z' WHERE next_at > ''")
        summary = share.run()

    assert sum(summary.counts.values()) == share.ask("SELECT count(*) AS n FROM item")[0]["n"]
    rows = share.ask(
        "SELECT locator, disposition, reason, gone_at FROM v_disposition ORDER BY item_id"
    )
    latest = {unquote(row["locator"]): row for row in rows if row["gone_at"] is None}
    there = {
        str(path.relative_to(share.root)): path
        for path in share.root.rglob("*")
        if path.is_symlink() or path.is_file()
    }
    assert set(there) <= set(latest)
    wrong = {
        name: (latest[name]["disposition"], latest[name]["reason"])
        for name, path in there.items()
        if latest[name]["disposition"] not in right(path)
    }
    assert wrong == {}
    assert {name for name, row in latest.items() if row["disposition"] == "vanished"} == set()
    absent = [row for name, row in latest.items() if name not in there]
    assert {row["disposition"] for row in absent} <= {"superseded"}


def right(path: Path) -> set[str]:
    """What may be said of a file, by what lies there."""
    if path.is_symlink():
        return {"failed"}
    if path.read_bytes()[:1] == b"n":
        return {"unsupported"}
    return {"scored", "duplicate"}


@pytest.fixture
def share(tmp_path: Path) -> Place:
    """One file with a result and one that waits for its rest."""
    share = place(tmp_path)
    (share.root / "a.txt").write_text("no ECG at all")
    (share.root / "b.xml").touch()
    share.run()
    return share


def states(share: Place) -> list[tuple[str, bool]]:
    rows = share.ask("SELECT state, gone_at FROM item ORDER BY locator")
    return [(row["state"], row["gone_at"] is not None) for row in rows]


def empty(share: Place) -> None:
    for name in os.listdir(share.root):  # noqa: PTH208
        (share.root / name).unlink()


def test_source_that_is_suddenly_empty_takes_nothing_with_it(share: Place) -> None:
    before = states(share)
    empty(share)

    reasons = {reason_of(share) for _ in range(SCANS_UNTIL_GONE + 1)}

    assert reasons == {ReasonCode.SOURCE_UNAVAILABLE}
    assert states(share) == before == [("admitted", False)] * 2


def test_control_without_that_guard_everything_is_gone(
    share: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "present_items", lambda *_: 0)
    empty(share)

    reasons = {reason_of(share) for _ in range(SCANS_UNTIL_GONE + 1)}

    assert reasons == {None}
    assert states(share) == [("admitted", True), ("vanished", True)]
