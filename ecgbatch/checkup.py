"""What `doctor` looks at: what is so and, where it is not well, how to mend it."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from ecgbatch.admission import bundle_for, find_bundle, load_scorer
from ecgbatch.bench import bench_for
from ecgbatch.errors import EcgbatchError, SetupFault
from ecgbatch.identity import Pseudonymiser
from ecgbatch.preparation import open_to_read, site_key
from ecgbatch.provenance import code_version, library_versions
from ecgbatch.settings import Settings
from ecgbatch.sources.registry import open_source
from ecgbatch.store import bundles
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.engine import Engine, sqlite_path, transaction
from ecgbatch.store.migrate import head
from ecgbatch.terms import Canary, ReasonCode

_LITTLE_SPACE = 1 << 30


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at; `advice` is empty where all is well."""

    name: str
    is_well: bool
    found: str
    advice: str = ""


def examine(settings: Settings, looks: Mapping[str, Callable[[], str]]) -> Iterator[Line]:
    """Settings, database, site key, source, bundle, golden ECGs, canary, runtime, disk.

    Changes nothing.

    Args:
        looks: what else is looked at, by name: each tells how it is, or raises.
    """
    yield Line("settings", True, "read, every key known")
    engine: list[Engine] = []
    yield _try("database", lambda: _database(settings, engine))
    yield _try("source", lambda: _source(settings))
    yield _try("disk", lambda: _disk(settings))
    yield Line("runtime", True, f"ecgbatch {code_version()}, {library_versions()}")
    for name, look in looks.items():
        yield _try(name, partial(_told, name, look))
    if engine:
        yield _try("site key", lambda: _key(settings, engine[0]))
        yield _try("bundle", lambda: _bundle(settings, engine[0]))
        yield _try("canary", lambda: _canary(settings, engine[0]))
        for one in _challengers(engine[0]):
            yield _try("challenger", partial(_challenger, settings, one))
        engine[0].dispose()


def _told(name: str, look: Callable[[], str]) -> Line:
    return Line(name, True, look())


def _try(name: str, look: Callable[[], Line]) -> Line:
    try:
        return look()
    except EcgbatchError as fault:
        return Line(name, False, str(fault), fault.advice)
    except OSError:
        return Line(
            name, False, "cannot be reached", "Check that the folder is there and may be entered."
        )


def _database(settings: Settings, opened: list[Engine]) -> Line:
    engine = open_to_read(settings)
    opened.append(engine)
    return Line("database", True, f"{engine.dialect.name}, revision {head()}")


def _key(settings: Settings, engine: Engine) -> Line:
    if not settings.site.pseudonymise:
        return Line("site key", True, "not used: patient_key holds identifiers as they stand")
    if site_key(settings, engine) is None:
        return Line("site key", True, "none yet; the first run makes it beside the database")
    return Line("site key", True, "readable by its owner alone")


def _source(settings: Settings) -> Line:
    if settings.source.kind == "folder" and not settings.source.folder:
        return Line("source", True, "none in the settings; give --source to run-once")
    with closing(open_source(settings)) as source:
        return Line("source", True, source.check())


def _bundle(settings: Settings, engine: Engine) -> Line:
    champion, folder, _ = bundle_for(settings, engine)
    scorer = load_scorer(settings, champion, folder)
    kind = "clinical" if champion.is_clinical else "demonstration, not for clinical use"
    return Line(
        "bundle",
        True,
        f"{champion.name} {champion.version} ({kind}), digest {champion.digest[:12]}; "
        f"golden ECGs reproduced within {scorer.golden_difference:.1e} with {scorer.runtime}",
    )


def _canary(settings: Settings, engine: Engine) -> Line:
    """One golden ECG down the live path, here and now."""
    champion, folder, _ = bundle_for(settings, engine)
    # The canary has no patient: the site's key is not needed.
    nobody = Pseudonymiser(None, settings.site.authority, frozenset())
    with bench_for(settings, champion, folder, nobody, "doctor") as bench:
        canary = bench.send_canary(0)
    if canary.stage is not None:
        raise SetupFault(ReasonCode.CANARY_DIFFERS, canary.stage)
    if canary is Canary.NOT_SENT:
        found = "not sent: no golden ECG of the bundle passes the gates of [quality]"
        return Line("canary", True, found)
    return Line("canary", True, "a golden ECG came out of reader, gates, net and strata as it must")


def _challengers(engine: Engine) -> list[BundleRow]:
    with transaction(engine) as connection:
        return bundles.challengers(connection)


def _challenger(settings: Settings, one: BundleRow) -> Line:
    scorer = load_scorer(settings, one, find_bundle(settings, one))
    return Line(
        "challenger",
        True,
        f"{one.name} {one.version}, digest {one.digest[:12]}; "
        f"golden ECGs reproduced within {scorer.golden_difference:.1e}; not shown in views",
    )


def _disk(settings: Settings) -> Line:
    database = sqlite_path(settings.database_url())
    if database is None:
        return Line("disk", True, "the database is on a server; watch its disk there")
    free = shutil.disk_usage(database.absolute().parent).free
    found = f"{free / (1 << 30):.1f} GiB free beside the database"
    if free < _LITTLE_SPACE:
        return Line("disk", False, found, "Free at least 1 GiB.")
    return Line("disk", True, found)
