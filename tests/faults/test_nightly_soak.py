"""B1: 100,000 ECGs, four workers, one of them killed every 2 s, a crash of the server every minute.

The fourth is never killed: its memory and its open files are looked at all the time. The files hold
nothing but their place in the row; the ECG is made when one is read, or they would be 13 GB.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import field as new
from pathlib import Path
from statistics import median

import psycopg
import pytest

from tests.faults.field import Field
from tests.faults.fork_server import ForkServer, kill
from tests.faults.nightly import all_is_well, hospital, n_left, operator, scaled
from tests.faults.outages import Mortal
from tests.faults.test_kills import _stop
from tests.support.bundles import save_quick_bundle
from tests.support.processes import children

pytestmark = [pytest.mark.nightly, pytest.mark.postgres]

_KILL_S = 2.0
_OUTAGE_EVERY_S = 60.0
_OUTAGE_S = 5.0
_STALLED_S = 120.0
_GROWN_KB = 10_240


@dataclass(frozen=True)
class _Look:
    """At the worker that is never killed."""

    finished: int
    memory_kb: int
    n_open: int


@dataclass
class _Soak:
    """A run of it, as far as it has come."""

    server: ForkServer
    how: dict[str, object]
    n_files: int
    looks: list[_Look] = new(default_factory=list)
    kills: int = 0
    outages: int = 0

    def until_done(self, database: Mortal, mortals: list[int], lasting: int) -> None:
        rng = random.Random(20261125)  # noqa: S311 - chance, no secret
        outage_at = time.monotonic() + _OUTAGE_EVERY_S
        left = self.n_files
        while left:
            with operator(database) as connection:
                left = self._kill_until(outage_at, connection, rng, mortals, lasting)
            if left and time.monotonic() >= outage_at:
                database.stop()
                time.sleep(_OUTAGE_S)
                database.start()
                database.wait()
                self.outages += 1
                outage_at = time.monotonic() + _OUTAGE_EVERY_S
            assert not self.server.has_ended(lasting)

    def _kill_until(
        self,
        until: float,
        connection: psycopg.Connection,
        rng: random.Random,
        mortals: list[int],
        lasting: int,
    ) -> int:
        kill_at = time.monotonic() + _KILL_S
        moved, before = time.monotonic(), -1
        while (left := n_left(connection)) and time.monotonic() < until:
            moved = time.monotonic() if left != before else moved
            before = left
            assert time.monotonic() - moved < _STALLED_S, f"stalled at {left}"
            self.looks.append(_look(lasting, self.n_files - left))
            if time.monotonic() >= kill_at:
                place = rng.randrange(len(mortals))
                kill(mortals[place])
                self.server.wait(mortals[place])
                mortals[place] = self.server.fork("worker", **self.how)
                self.kills += 1
                kill_at = time.monotonic() + _KILL_S
            time.sleep(0.2)
        return left

    def growth(self) -> tuple[float, float]:
        """From the second quarter of the work to the last: kB, and open files.

        A connection, a file being read, a reader at its start are open for a moment: of the last
        quarter the middle counts, of the second the most.
        """
        second, last = (
            [look for look in self.looks if look.finished * 4 // self.n_files == quarter]
            for quarter in (1, 3)
        )
        memory_kb = median(look.memory_kb for look in last) - median(
            look.memory_kb for look in second
        )
        n_open = median(look.n_open for look in last) - max(look.n_open for look in second)
        return memory_kb, n_open


def _look(pid: int, finished: int) -> _Look:
    """The worker and its reader process."""
    memory_kb = n_open = 0
    for one in (pid, *children(pid)):
        with suppress(OSError):
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="ascii")
            # With the pages shared with other workers: they become its own in time, and no more.
            memory_kb += next(
                int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Rss:")
            )
            n_open += len(os.listdir(f"/proc/{one}/fd"))  # noqa: PTH208 - names are enough
    return _Look(finished, memory_kb, n_open)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Field, Mortal]]:
    save_quick_bundle(tmp_path / "bundle")
    # Of so many kills, three in a row may meet the same innocent ECG while it is alone.
    with hospital(tmp_path / "field", tmp_path / "bundle", work="max_losses = 10\n") as made:
        yield made


def _run(place: tuple[Field, Mortal], n_files: int, **lasting_how: object) -> _Soak:
    field, database = place
    for number in range(n_files):
        folder = field.inbox / f"{number // 1000:03d}"
        folder.mkdir(exist_ok=True)
        (folder / f"ecg{number:06d}.xml").write_bytes(b"%d" % number)
    with ForkServer(field.home / "workers.log") as server:
        server.warm(field.config)
        assert server.run("scan", config=str(field.config)) == 0
        how: dict[str, object] = {"config": str(field.config), "made_when_read": True}
        soak = _Soak(server, {**how, "in_process": True}, n_files)
        mortals = [server.fork("worker", **soak.how) for _ in range(3)]
        lasting = server.fork("worker", **how, **lasting_how)
        soak.until_done(database, mortals, lasting)
        _stop(server, *mortals, lasting)
    return soak


@pytest.mark.timeout(3000)
def test_a_long_day_leaves_no_trace(place: tuple[Field, Mortal]) -> None:
    n_files = scaled(100_000)
    soak = _run(place, n_files)

    assert soak.kills > 0
    memory_kb, n_open = soak.growth()
    assert memory_kb < _GROWN_KB
    assert n_open <= 0
    all_is_well(place[0], n_files, has_killed=True)


@pytest.mark.timeout(600)
def test_control_a_worker_that_keeps_something_is_seen(place: tuple[Field, Mortal]) -> None:
    memory_kb, n_open = _run(place, 400, keeping=True).growth()

    assert memory_kb > _GROWN_KB
    assert n_open > 0
