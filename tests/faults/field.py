"""A database, a folder of ECGs and a small real net, and what can be counted in them."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, create_engine, text

from ecgbatch.admission import activate
from ecgbatch.identity import create_site_key
from ecgbatch.settings import load_settings
from ecgbatch.store import checks
from ecgbatch.store.engine import open_engine, read_only
from ecgbatch.store.migrate import migrate
from tests.support.bundles import save_quick_bundle

_UNIQUE = "uq_result_recording_id_bundle_digest_pipeline_id"


@dataclass(frozen=True)
class Field:
    """Where a fault test happens."""

    home: Path
    url: str
    config: Path
    inbox: Path

    def engine(self) -> Engine:
        return read_only(self.url)


@dataclass(frozen=True)
class Count:
    """What the ledger holds after a fault test.

    Attributes:
        lost: files without an item, items without an end.
        twice: results beyond one per recording, bundle and pipeline, and units that ended twice.
    """

    items: int
    results: int
    lost: int
    twice: int
    quarantined: int
    dispositions: dict[str, int]
    broken: tuple[str, ...]
    """What `ledger check` finds."""


def lay_out(home: Path, url: str, *, bundle: Path | None = None, settings: str = "") -> Field:
    """A migrated database with the small net as champion, and a settings file for it."""
    home.mkdir(parents=True, exist_ok=True)
    migrate(url)
    inbox = home / "inbox"
    inbox.mkdir(exist_ok=True)
    folder = home / "bundle"
    if bundle is None:
        save_quick_bundle(folder)
    else:
        shutil.copytree(bundle, folder)
    create_site_key(home / "site.key")
    config = home / "site.toml"
    config.write_text(
        f'[database]\nurl = "{url}"\n[source]\nfolder = "inbox"\nname = "inbox"\n'
        '[site]\nkey_file = "site.key"\n[stability]\nsettle_s = 0.0\n'
        '[bundle]\nfolder = "bundle"\nallow_demonstration = true\n' + settings
    )
    engine = open_engine(url)
    activate(engine, load_settings(config), folder, why="fault test", first_use=True)
    engine.dispose()
    return Field(home, url, config, inbox)


def count(engine: Engine, n_files: int) -> Count:
    """Count again, by plain SQL and without the help of keys or views of the ledger's own."""
    with engine.connect() as connection:

        def one(sql: str) -> int:
            return int(connection.execute(text(sql)).scalar_one() or 0)

        items = one("SELECT COUNT(*) FROM item")
        unfinished = one(
            "SELECT COUNT(*) FROM item i WHERE NOT EXISTS (SELECT 1 FROM work w"
            " WHERE w.item_id = i.item_id AND w.finished_at IS NOT NULL)"
        )
        unscored = one(
            "SELECT COUNT(*) FROM item i JOIN work w ON w.item_id = i.item_id"
            " WHERE w.state IN ('scored', 'duplicate') AND NOT EXISTS"
            " (SELECT 1 FROM result r JOIN score s ON s.result_id = r.result_id"
            "  WHERE r.recording_id = i.recording_id)"
        )
        results = one("SELECT COUNT(*) FROM result")
        distinct = one(
            "SELECT COUNT(*) FROM (SELECT DISTINCT recording_id, bundle_digest, pipeline_id"
            " FROM result) d"
        )
        ended_twice = one(
            "SELECT COUNT(*) FROM (SELECT work_id FROM event WHERE kind = 'finished'"
            " GROUP BY work_id HAVING COUNT(*) > 1) d"
        )
        quarantined = one("SELECT COUNT(*) FROM work WHERE state = 'quarantined'")
        shown = {
            str(name): int(number)
            for name, number in connection.execute(
                text("SELECT disposition, COUNT(*) FROM v_disposition GROUP BY disposition")
            )
        }
        broken = tuple(finding.id for finding in checks.broken(connection))
    lost = abs(n_files - items) + unfinished + unscored
    return Count(items, results, lost, results - distinct + ended_twice, quarantined, shown, broken)


def n_finished(engine: Engine) -> int:
    with engine.connect() as connection:
        sql = text("SELECT COUNT(*) FROM work WHERE finished_at IS NOT NULL")
        return int(connection.execute(sql).scalar_one())


def drop_unique_key(url: str) -> None:
    """Take the unique key off `result`, which is empty still; for controls."""
    engine = create_engine(url)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"ALTER TABLE result DROP CONSTRAINT {_UNIQUE}"))
        else:
            made = "SELECT sql FROM sqlite_master WHERE name = 'result'"
            table = str(connection.execute(text(made)).scalar_one())
            without = re.sub(rf"CONSTRAINT {_UNIQUE} UNIQUE \([^)]*\),", "", table)
            assert without != table
            connection.execute(text("DROP TABLE result"))
            connection.exec_driver_sql(without)
    engine.dispose()
