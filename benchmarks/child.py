"""The product's engine in a process of its own, timed from inside: files to rows.

Started by `benchmarks.runs`; reads its plan as JSON from the command line, then works once through
the source for every line that it is sent, and answers each with one line of JSON. What is timed is
the look at the source and everything from the first word on progress to the end of the run. Between
them the weights are loaded and proven: start-up, reported apart.
"""

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sqlalchemy import select, text

from benchmarks import null_runtime
from benchmarks.tree import cpu_s
from ecgbatch import telemetry
from ecgbatch.pace import Reading
from ecgbatch.run import run_once, scan_once
from ecgbatch.settings import Settings, load_settings
from ecgbatch.store.engine import open_engine
from ecgbatch.store.migrate import migrate
from ecgbatch.store.tables import result
from ecgbatch.working import Reporter


@dataclass(frozen=True, slots=True)
class Plan:
    """What to score.

    Attributes:
        source, url, bundle, key_file: of the settings.
        scoring: changes to the settings' table of that name.
        decoders: of the settings; 0 is what the product chooses.
        is_null: the runtime of the settings computes nothing.
    """

    source: str
    url: str
    bundle: str
    key_file: str
    scoring: dict[str, str | int] = field(default_factory=dict)
    decoders: int = 0
    is_null: bool = False

    def settings(self) -> Settings:
        tables: dict[str, dict[str, object]] = {
            "source": {"folder": self.source},
            "database": {"url": self.url},
            "bundle": {"allow_demonstration": True},
            "stability": {"settle_s": 0.0},
            "site": {"key_file": self.key_file},
            "scoring": dict(self.scoring),
            "work": {"decoders": self.decoders},
        }
        return load_settings(None, tables, {})


@dataclass(frozen=True, slots=True)
class Answer:
    """How one pass went. CPU is that of this process and all below it.

    Attributes:
        n: ECGs finished in the time that counts.
        finished: how they ended.
        seconds, core_s: what counts, wall and CPU: `look_s`, then work from `startup_s` on.
        look_s, startup_s, closing_s: looking through the source; loading and proving; from the
            last ECG to the end of the run.
        database_bytes: after it.
        runtime: name and version as they stand on the results.
    """

    n: int
    finished: dict[str, int]
    seconds: float
    core_s: float
    look_s: float
    startup_s: float
    closing_s: float
    database_bytes: int
    runtime: str


@dataclass(slots=True)
class _Marks:
    """When work began and was last heard of: seconds, CPU seconds, ECGs done before."""

    began: tuple[float, float, int] | None = None
    last_s: float = 0.0

    def progress(self, reading: Reading) -> None:
        self.last_s = time.perf_counter()
        if self.began is None:
            self.began = (self.last_s, cpu_s(os.getpid()), reading.done)


def work(plan: Plan, settings: Settings) -> Answer:
    """One pass; the database is prepared.

    Raises:
        EcgbatchError: as `run_once`.
    """
    marks = _Marks()
    reporter = Reporter(notice=lambda _: None, progress=marks.progress)
    looked, looked_core = time.perf_counter(), cpu_s(os.getpid())
    scan_once(settings, reporter)
    started, started_core = time.perf_counter(), cpu_s(os.getpid())
    summary = run_once(settings, reporter, may_create=True, stated_bundle=Path(plan.bundle))
    ended, ended_core = time.perf_counter(), cpu_s(os.getpid())
    began, began_core, before = marks.began or (ended, ended_core, 0)
    database_bytes, runtime = _database(settings)
    return Answer(
        n=sum(summary.finished.values()) - before,
        finished={str(name): number for name, number in summary.finished.items()},
        seconds=started - looked + ended - began,
        core_s=started_core - looked_core + ended_core - began_core,
        look_s=started - looked,
        startup_s=began - started,
        closing_s=ended - max(marks.last_s, began),
        database_bytes=database_bytes,
        runtime=runtime,
    )


def prepare(plan: Plan, settings: Settings) -> None:
    """Make the database and activate the bundle; the source is still empty."""
    migrate(plan.url)
    reporter = Reporter(notice=lambda _: None, progress=lambda *_: None)
    run_once(settings, reporter, may_create=True, stated_bundle=Path(plan.bundle))


def _database(settings: Settings) -> tuple[int, str]:
    engine = open_engine(settings.database_url())
    try:
        with engine.connect() as connection:
            newest = select(result.c.runtime).order_by(result.c.result_id.desc()).limit(1)
            runtime = connection.execute(newest).scalar_one_or_none()
            if engine.dialect.name == "sqlite":
                pages = connection.execute(text("PRAGMA page_count")).scalar_one()
                size = pages * connection.execute(text("PRAGMA page_size")).scalar_one()
            else:
                of_all = text("SELECT pg_database_size(current_database())")
                size = connection.execute(of_all).scalar_one()
    finally:
        engine.dispose()
    return int(size), str(runtime)


def main() -> None:
    plan = Plan(**json.loads(sys.argv[1]))
    telemetry.configure("error")
    settings = plan.settings()
    if plan.is_null:
        null_runtime.take_the_place_of(settings.scoring.runtime)
    for line in sys.stdin:
        if line.strip() == "prepare":
            prepare(plan, settings)
            answer: dict[str, object] = {}
        else:
            answer = asdict(work(plan, settings))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
