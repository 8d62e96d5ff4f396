"""Many workers killed over many files, and the ledger counted afterwards."""

import random
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from tests.faults.field import Count, Field, count, n_finished
from tests.faults.fork_server import ForkServer, kill
from tests.support.many import write_many

_STALLED_S = 120.0
_PAUSE_S = 0.005


@dataclass(frozen=True)
class KillRun:
    """What came of it; `kills` are those that hit a worker at its work."""

    kills: int
    count: Count
    seconds: float


def kill_workers(
    field: Field,
    *,
    n_files: int,
    n_kills: int,
    n_workers: int = 2,
    n_copies: int = 0,
    without: str = "",
    seed: int = 20261125,
) -> KillRun:
    """Scan a folder, let workers drain it, and kill one again and again until all is done."""
    write_many(field.inbox, n_files, n_copies=n_copies)
    started = time.monotonic()
    engine = field.engine()
    with ForkServer(field.home / "workers.log") as server:
        server.warm(field.config)
        assert server.run("scan", config=str(field.config)) == 0
        kills = _kill(engine, server, field.config, n_files, n_kills, n_workers, without, seed)
    found = count(engine, n_files)
    engine.dispose()
    return KillRun(kills, found, time.monotonic() - started)


def _kill(
    engine: Engine,
    server: ForkServer,
    config: Path,
    n_files: int,
    n_kills: int,
    n_workers: int,
    without: str,
    seed: int,
) -> int:
    """Kill after every so many files, a little later each time by chance; how often it was done."""
    rng = random.Random(seed)  # noqa: S311 - chance, no secret
    start = {"config": str(config), "without": without, "in_process": True}
    workers = [server.fork("worker", **start) for _ in range(n_workers)]
    step = n_files * 0.97 / n_kills
    kills, done, moved = 0, 0, time.monotonic()
    while done < n_files:
        time.sleep(_PAUSE_S)
        before, done = done, n_finished(engine)
        moved = time.monotonic() if done > before else moved
        assert time.monotonic() - moved < _STALLED_S, f"stalled at {done} of {n_files}"
        if kills < n_kills and done >= (kills + 1) * step:
            time.sleep(rng.uniform(0, 0.02))
            victim = rng.randrange(n_workers)
            kill(workers[victim])
            server.wait(workers[victim])
            workers[victim] = server.fork("worker", **start)
            kills += 1
    for pid in workers:
        kill(pid)
        server.wait(pid)
    return kills
