"""Files are looked at, read and scored while others still write them (S1).

No result may come from bytes that were never a whole version; every last version gets one.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from urllib.parse import unquote

import pytest
from sqlalchemy import Engine, text

from ecgbatch.records import Member, RecordingBytes, Sighting
from ecgbatch.store import ledger
from ecgbatch.store.engine import open_engine, transaction
from tests.faults.ecg_files import FORMATS, Format, ecg
from tests.faults.ward import Ward, ward
from tests.support.effort import effort

SETTLE_S = 0.8
GRACE_S = 3.0
SHORT_S = 0.06
SLOW_S = 0.3
"""Over a slow line; still shorter than the time between two looks that count."""
LONG_S = 1.3
"""Longer than two looks need, shorter than the grace."""
EACH = effort(30, with_every_change=15)
PIECES = 6
CLOCK_BEHIND_S = 3600.0


@dataclass
class Job:
    """One ECG and who writes it.

    Attributes:
        earlier: the version before, for writers that replace one.
        lags: its writer's clock is behind.
        pause: what happens in place of a rest.
        is_unguarded: half-written, its format would not show it; so it never rests for long.
        longest_s: the longest time that the file stood still between two of its bytes.
    """

    folder: Path
    fmt: Format
    random: Random
    final: RecordingBytes
    earlier: RecordingBytes
    is_late: bool = False
    lags: bool = False
    pause: Callable[[], None] | None = None
    is_unguarded: bool = False
    longest_s: float = 0.0
    last: float = field(default_factory=time.monotonic)

    def rest(self, *, may_be_long: bool = False) -> None:
        if self.pause is not None:
            self.pause()
            return
        is_long = may_be_long and self.random.random() < 0.15
        short_s = SLOW_S if self.lags else SHORT_S
        time.sleep(LONG_S if is_long else self.random.uniform(0, short_s))

    def touch(self, path: Path) -> None:
        """What a server does whose clock is an hour behind."""
        if self.lags:
            behind = time.time() - CLOCK_BEHIND_S
            os.utime(path, (behind, behind))

    def wrote(self) -> None:
        moment = time.monotonic()
        self.longest_s = max(self.longest_s, moment - self.last)
        self.last = moment

    def pieces(self, content: bytes) -> Iterator[tuple[int, bytes]]:
        cuts = sorted(self.random.sample(range(1, len(content)), PIECES - 1))
        for start, end in zip((0, *cuts), (*cuts, len(content)), strict=True):
            yield start, content[start:end]

    def write(self, member: Member, mode: str, *, may_be_long: bool, until: float = 1.0) -> None:
        """Piece by piece, each handed to the system at once."""
        path = self.folder / member.name
        size = len(member.content)
        self.is_unguarded |= not may_be_long
        with path.open(mode, buffering=0) as file:
            if mode == "w+b":
                file.truncate(size)
            self.touch(path)
            for start, piece in self.pieces(member.content):
                if start > until * size:
                    return
                file.seek(start)
                file.write(piece)
                self.touch(path)
                self.wrote()
                self.rest(may_be_long=may_be_long)
            file.truncate(size)
            self.touch(path)

    def rename(self, source: RecordingBytes) -> None:
        """Each member whole under another name, the header last."""
        for member in reversed(source.members):
            passing = self.folder / f"{member.name}.part"
            passing.write_bytes(member.content)
            self.rest()
            passing.rename(self.folder / member.name)


def renamed(job: Job) -> None:
    job.rename(job.final)


def appended(job: Job) -> None:
    for member in job.final.members:
        job.write(member, "wb", may_be_long=True)


def preallocated(job: Job) -> None:
    for member in job.final.members:
        job.write(member, "w+b", may_be_long=job.fmt.shows_holes)


def rewritten(job: Job) -> None:
    job.rename(job.earlier)
    time.sleep(job.random.choice((0.0, SETTLE_S, 3 * SETTLE_S)))
    job.last = time.monotonic()
    for member in job.final.members:
        job.write(member, "r+b", may_be_long=job.fmt.shows_mixture)


def copied_with_old_times(job: Job) -> None:
    job.lags = True
    for member in job.final.members:
        job.write(member, "w+b", may_be_long=False)


def died(job: Job) -> None:
    """Half of them begin again, later; of the others no whole version ever lies there."""
    job.write(job.final.members[-1], "wb", may_be_long=True, until=job.random.uniform(0.2, 0.9))
    if job.is_late:
        time.sleep(job.random.choice((SHORT_S, LONG_S)))
        job.rename(job.final)


def out_of_order(job: Job) -> None:
    """Of two files either may come long before the other; of one, its head."""
    members = list(job.final.members)
    job.random.shuffle(members)
    for member in members:
        job.write(member, "wb", may_be_long=True)
        if len(members) > 1:
            time.sleep(LONG_S)


UNGUARDED = tuple(fmt for fmt in FORMATS if fmt.name in {"dicom", "edf"})
STYLES: tuple[Callable[[Job], None], ...] = (
    renamed,
    appended,
    preallocated,
    rewritten,
    copied_with_old_times,
    died,
    out_of_order,
)


def job_of(root: Path, style: int, number: int, fmt: Format) -> Job:
    seed = 10_000 * (style + 1) + 10 * number
    folder = root / f"{STYLES[style].__name__}-{number:02}"
    folder.mkdir()
    is_late = number % 2 == 0
    dice = Random(seed)  # noqa: S311 - chosen for being repeatable
    return Job(folder, fmt, dice, ecg(fmt, seed), ecg(fmt, seed + 1), is_late)


def write_and_watch(inbox: Ward, jobs: dict[int, list[Job]], at_once: int) -> None:
    """Writers, looks and work side by side, until everything is at rest."""
    with ThreadPoolExecutor(at_once) as writers, ThreadPoolExecutor(1) as looks:
        todo = [(style, job) for style, ones in jobs.items() for job in ones]
        Random(1).shuffle(todo)  # noqa: S311 - chosen for being repeatable
        writing = [writers.submit(write, style, job) for style, job in todo]
        looking = looks.submit(look_until, inbox, writing)
        while not looking.done():
            inbox.work()
            time.sleep(0.01)
        for done in (*writing, looking):
            done.result()
    inbox.look()
    inbox.until_settled(GRACE_S + 60)


def write(style: int, job: Job) -> None:
    job.last = time.monotonic()
    STYLES[style](job)


def look_until(inbox: Ward, writing: Iterable[Future[None]]) -> None:
    while not all(done.done() for done in writing):
        inbox.look()
        time.sleep(0.05)


def from_no_version(engine: Engine, jobs: Iterable[Job]) -> set[str]:
    """Folders with a result, of either outcome, from bytes that were never a whole version."""
    whole = {version.file_digest for job in jobs for version in (job.final, job.earlier)}
    sql = (
        "SELECT i.locator, r.file_digest FROM result t JOIN recording r USING (recording_id)"
        " JOIN work w ON w.work_id = t.work_id JOIN item i ON i.item_id = w.item_id"
    )
    with transaction(engine) as connection:
        rows = connection.execute(text(sql)).all()
    return {unquote(row[0]).split("/")[0] for row in rows if row[1] not in whole}


def stopped_by_the_machine(jobs: Iterable[Job]) -> set[str]:
    """Two looks see no change in a file whose writer a busy machine stopped for so long."""
    return {job.folder.name for job in jobs if job.is_unguarded and job.longest_s >= SETTLE_S}


def dispositions(engine: Engine) -> dict[str, str]:
    """Of the newest item in each folder."""
    sql = "SELECT locator, disposition FROM v_disposition ORDER BY item_id"
    with transaction(engine) as connection:
        return {unquote(row[0]).split("/")[0]: row[1] for row in connection.execute(text(sql))}


@pytest.fixture
def sqlite(sqlite_template: Path, tmp_path: Path) -> Iterator[Engine]:
    path = tmp_path / "ecg.db"
    path.write_bytes(sqlite_template.read_bytes())
    opened = open_engine(f"sqlite:///{path}")
    yield opened
    opened.dispose()


def test_nothing_is_scored_from_incomplete_bytes_and_every_last_version_is(
    sqlite: Engine, tmp_path: Path
) -> None:
    root = tmp_path / "inbox"
    root.mkdir()
    jobs = {
        style: [job_of(root, style, n, FORMATS[n % len(FORMATS)]) for n in range(EACH)]
        for style in range(len(STYLES))
    }
    with ward(sqlite, root, SETTLE_S, GRACE_S) as inbox:
        write_and_watch(inbox, jobs, at_once=105)
        every = [job for ones in jobs.values() for job in ones]
        wrong = from_no_version(sqlite, every)
        scored = {digest for digest, outcome in inbox.results() if outcome == "scored"}
    shown = dispositions(sqlite)
    dead = [job for job in jobs[STYLES.index(died)] if not job.is_late]
    whole = [job for job in every if job not in dead]

    assert len(every) == len(STYLES) * EACH
    assert wrong <= stopped_by_the_machine(every)
    assert [job.folder.name for job in whole if job.final.file_digest not in scored] == []
    assert {shown[job.folder.name] for job in whole} <= {"scored", "duplicate"}
    assert {shown[job.folder.name] for job in dead} <= {"failed", "unsupported"}
    with transaction(sqlite) as connection:
        ledger.balance(connection)


def old_enough(root: Path) -> Callable[[Iterable[Sighting]], Iterable[Sighting]]:
    """The usual rule: a file whose time is older than this is complete."""

    def choose(sightings: Iterable[Sighting]) -> Iterable[Sighting]:
        for sighting in sightings:
            times = [
                (root / member).stat().st_mtime
                for member in sighting.members
                if (root / member).exists()
            ]
            if times and time.time() - max(times) >= SETTLE_S:
                yield sighting

    return choose


@pytest.mark.parametrize(
    ("rule", "is_fooled"), [("two looks", False), pytest.param("age", True, id="control: age")]
)
def test_the_age_of_a_file_takes_incomplete_bytes_for_whole_and_two_looks_do_not(
    sqlite: Engine, tmp_path: Path, rule: str, is_fooled: bool
) -> None:
    """The same writers, their clock an hour behind, with a look and work after every piece."""
    root = tmp_path / "inbox"
    root.mkdir()
    style = STYLES.index(copied_with_old_times)
    jobs = [job_of(root, style, n, UNGUARDED[n % len(UNGUARDED)]) for n in range(8)]
    settle_s, choose = (0.0, old_enough(root)) if rule == "age" else (300.0, tuple)
    with ward(sqlite, root, settle_s, GRACE_S, choose) as inbox:
        for job in jobs:
            job.pause = inbox.look_and_work
            copied_with_old_times(job)
        wrong = from_no_version(sqlite, jobs)

    assert bool(wrong) is is_fooled
