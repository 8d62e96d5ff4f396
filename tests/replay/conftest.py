"""A scored ward whose files and rows a test may spoil: one run per database, copied per test."""

import gzip
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from ecgbatch.preparation import open_to_read
from ecgbatch.replay.replayer import Replayed, Replayer
from ecgbatch.resources import demonstration
from ecgbatch.run import run_once
from ecgbatch.settings import Settings, load_settings
from ecgbatch.store.engine import open_engine, transaction
from ecgbatch.store.replays import current_results
from ecgbatch.working import Reporter
from tests.support.bundles import save_quick_bundle
from tests.support.ecgs import heartbeats, write_muse, write_wfdb
from tests.support.postgres import Postgres
from tests.support.tampering import change

N_BEATS = 20
QUIET = Reporter(notice=lambda _: None, progress=lambda *_: None)


@dataclass(frozen=True)
class Ward:
    """Files, the database that they were scored into, and the bundle that scored them."""

    url: str
    files: Path
    bundle: Path
    key: Path

    def settings(self, **tables: Mapping[str, object]) -> Settings:
        stated = {
            "database": {"url": self.url},
            "source": {"folder": str(self.files), "name": "ward"},
            "site": {"key_file": str(self.key)},
            "stability": {"settle_s": 0.0},
            "bundle": {"allow_demonstration": True},
        }
        return load_settings(None, {**stated, **tables}, {})

    def names(self) -> dict[int, str]:
        """The first locator of each recording, without its ending."""
        engine = open_to_read(self.settings())
        with transaction(engine) as connection:
            rows = connection.execute(
                text("SELECT recording_id, MIN(locator) FROM item GROUP BY recording_id")
            ).all()
        engine.dispose()
        return {number: locator.partition(".")[0] for number, locator in rows if number}

    def tamper(self, *statements: str) -> None:
        """Each must hit a row; `<name>` stands for the result of the recording of this name."""
        results = {
            name: f"(SELECT result_id FROM result WHERE recording_id = {number})"
            for number, name in self.names().items()
        }
        engine = open_engine(self.url)
        for statement in statements:
            for name, result in results.items():
                statement = statement.replace(f"<{name}>", result)  # noqa: PLW2901
            with transaction(engine) as connection:
                change(connection, statement)
        engine.dispose()

    def replayed(
        self, *only: str, source_root: Path | None = None, settings: Settings | None = None
    ) -> dict[str, Replayed]:
        """Every current result, or those of these names, by name."""
        names = self.names()
        chosen = settings or self.settings()
        engine = open_to_read(chosen)
        with Replayer(
            chosen, engine, source_root=source_root or self.files, bundles=(self.bundle,)
        ) as replayer:
            chosen_results = (
                kept
                for kept in current_results(engine)
                if not only or names[kept.recording_id] in only
            )
            found = list(replayer.replay(chosen_results))
        engine.dispose()
        return {names[one.recording_id]: one for one in found}


def write_files(folder: Path) -> None:
    """`a` to `t`: WFDB, scored. `muse` and `packed`: MUSE. `flat` and `short` are rejected."""
    folder.mkdir()
    for number in range(N_BEATS):
        write_wfdb(folder, chr(ord("a") + number), heartbeats(number))
    write_muse(folder, "muse.xml")
    other = demonstration("samples") / "muse" / "synthetic_muse.xml"
    (folder / "packed.xml.gz").write_bytes(gzip.compress(other.read_bytes(), mtime=0))
    flat = heartbeats(100)
    flat[7] = 0.0
    write_wfdb(folder, "flat", flat)
    write_wfdb(folder, "short", heartbeats(101)[:, :2000])
    copies = folder / "copies"
    copies.mkdir()
    for ending in ("hea", "dat"):
        shutil.copy(folder / f"t.{ending}", copies / f"t.{ending}")


@pytest.fixture(scope="session")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Ward:
    """Files, bundle and key; no database yet."""
    folder = tmp_path_factory.mktemp("ward")
    write_files(folder / "files")
    save_quick_bundle(folder / "bundle")
    key = folder / "site.key"
    key.write_bytes(bytes(np.arange(32, dtype=np.uint8)))
    key.chmod(0o600)
    return Ward("", folder / "files", folder / "bundle", key)


@pytest.fixture(scope="session")
def scored_sqlite(origin: Ward, tmp_path_factory: pytest.TempPathFactory) -> Ward:
    database = tmp_path_factory.mktemp("scored") / "ward.db"
    ward = replace(origin, url=f"sqlite:///{database}")
    run_once(ward.settings(), QUIET, may_create=True, stated_bundle=ward.bundle)
    return ward


@pytest.fixture(scope="session")
def scored_postgresql(
    origin: Ward, postgres: Postgres, postgres_template: str
) -> tuple[Ward, Postgres, str]:
    name = postgres.create(postgres_template)
    ward = replace(origin, url=postgres.url(name))
    run_once(ward.settings(), QUIET, may_create=True, stated_bundle=ward.bundle)
    return ward, postgres, name


@pytest.fixture
def ward(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ward]:
    """Files and database of this test's own; the database still names the folder it scanned."""
    files = tmp_path / "files"
    if backend == "sqlite":
        scored: Ward = request.getfixturevalue("scored_sqlite")
        shutil.copytree(scored.files, files)
        shutil.copy(scored.url.removeprefix("sqlite:///"), tmp_path / "ward.db")
        yield replace(scored, url=f"sqlite:///{tmp_path / 'ward.db'}", files=files)
        return
    scored, server, template = request.getfixturevalue("scored_postgresql")
    shutil.copytree(scored.files, files)
    name = server.create(template)
    yield replace(scored, url=server.url(name), files=files)
    server.drop(name)


@pytest.fixture
def sqlite_ward(scored_sqlite: Ward, tmp_path: Path) -> Ward:
    """The same on SQLite alone, for what no database has a part in."""
    files = tmp_path / "files"
    shutil.copytree(scored_sqlite.files, files)
    shutil.copy(scored_sqlite.url.removeprefix("sqlite:///"), tmp_path / "ward.db")
    return replace(scored_sqlite, url=f"sqlite:///{tmp_path / 'ward.db'}", files=files)
