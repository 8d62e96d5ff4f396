"""A source folder, a database and a bundle for whole runs in this process."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgbatch import telemetry
from ecgbatch.onepass import Reporter
from ecgbatch.run import RunSummary, run_once
from ecgbatch.settings import Settings, load_settings
from tests.support.bundles import save_small_bundle


@dataclass(frozen=True)
class Place:
    """Where a hospital keeps its files; `root` is the source."""

    root: Path
    database: Path
    bundle: Path
    settings: Settings

    def run(self) -> RunSummary:
        """One run; its database is made by the first."""
        telemetry.configure("error")
        quiet = Reporter(notice=lambda line: None, progress=lambda reading: None)
        return run_once(self.settings, quiet, may_create=True, stated_bundle=self.bundle)

    def ask(self, sql: str, *values: object) -> list[dict[str, Any]]:
        connection = sqlite3.connect(self.database)
        try:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, values)]
        finally:
            connection.close()

    def tell(self, sql: str) -> None:
        with sqlite3.connect(self.database) as connection:
            connection.execute(sql)
        connection.close()


def place(folder: Path, *, grace_s: float = 900.0, plug_ins: Sequence[str] = ()) -> Place:
    """An empty source, and a bundle with the small net."""
    root, database, bundle = folder / "inbox", folder / "ecg.db", folder / "bundle"
    root.mkdir()
    save_small_bundle(bundle)
    settings = load_settings(
        overrides={
            "source": {"folder": str(root), "name": "inbox"},
            "database": {"url": f"sqlite:///{database}"},
            "bundle": {"allow_demonstration": True},
            "stability": {"settle_s": 0.0, "grace_s": grace_s},
            "scoring": {"runtime": "torch", "threads": 1},
            "isolation": {"plug_ins": list(plug_ins), "seconds": 3.0},
        },
        environment={},
    )
    return Place(root, database, bundle, settings)
