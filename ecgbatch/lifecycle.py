"""Operators' acts on bundles: activate, promote, roll back, retire. Proven here before anything."""

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ecgbatch.admission import enter, find_bundle, golden_report, load_scorer
from ecgbatch.bundle.digest import bundle_digest
from ecgbatch.errors import SetupFault
from ecgbatch.provenance import actor
from ecgbatch.settings import Settings
from ecgbatch.store import bundles
from ecgbatch.store.bundles import BundleRow, Change
from ecgbatch.store.engine import Engine, transaction
from ecgbatch.store.past import Past
from ecgbatch.terms import BundleRole, ReasonCode

_LEAST_DIGITS = 8
"""Of a digest, to be meant by it."""


def activate(
    engine: Engine,
    settings: Settings,
    folder: Path,
    why: str,
    *,
    role: BundleRole,
    since: datetime | None,
) -> tuple[BundleRow, Change]:
    """Give the bundle in `folder` a role.

    Args:
        since: also work for ECGs of this date (wall clock) or later that have a result.

    Raises:
        SetupFault: an unfit bundle; BUNDLE_NOT_CLINICAL, a demonstration beside a clinical
            champion; BUNDLE_NOT_ACTIVE, a challenger of nobody.
    """
    if role is BundleRole.CHALLENGER:
        _champion(engine)
    past = None if since is None else Past(since=since)
    return enter(engine, settings, folder, role, why, past=past)


def promote(engine: Engine, settings: Settings, challenger: BundleRow, why: str) -> BundleRow:
    """Make a challenger the champion.

    Returns:
        The champion before.

    Raises:
        SetupFault: its files are gone, its golden ECGs are not reproduced here, or it was retired
            meanwhile.
    """
    report = _proven(settings, challenger, None)
    with transaction(engine) as connection:
        return bundles.promote(
            connection, challenger.digest, by=actor(), why=why, golden_report=report
        )


def roll_back(
    engine: Engine, settings: Settings, why: str, folder: Path | None
) -> tuple[BundleRow, Change]:
    """Make the champion before this one the champion again.

    Args:
        folder: where its files lie, if not where they were.

    Raises:
        SetupFault: there was none before; or as `promote`; or a demonstration after a clinical
            champion.
    """
    _champion(engine)
    with transaction(engine) as connection:
        former = bundles.former_champion(connection)
    if former is None:
        raise SetupFault(ReasonCode.BUNDLE_NOT_ACTIVE, "there was no champion before this one")
    report = _proven(settings, former, folder)
    with transaction(engine) as connection:
        change = bundles.roll_back(
            connection, former.digest, by=actor(), why=why, golden_report=report
        )
    return former, change


def retire(engine: Engine, challenger: BundleRow, why: str) -> None:
    """End a challenge; results stay."""
    with transaction(engine) as connection:
        bundles.retire(connection, challenger.digest, by=actor(), why=why)


def challengers(engine: Engine) -> list[BundleRow]:
    """The challengers now."""
    with transaction(engine) as connection:
        return bundles.challengers(connection)


def rivals(engine: Engine) -> list[BundleRow]:
    """Every bundle that the database knows, but the champion."""
    with transaction(engine) as connection:
        champion = bundles.champion(connection)
        return [one for one in bundles.all_known(connection) if one != champion]


def called(among: Sequence[BundleRow], named: str) -> list[BundleRow]:
    """Those that a folder, a name (with or without version) or the beginning of a digest means."""
    if os.path.isdir(named):  # noqa: PTH112 - says no where Path raises
        digest = bundle_digest(Path(named))
        return [one for one in among if one.digest == digest]
    by_name = [one for one in among if named in (one.name, f"{one.name} {one.version}")]
    if by_name or len(named) < _LEAST_DIGITS:
        return by_name
    return [one for one in among if one.digest.startswith(named.lower())]


def is_champion(engine: Engine, folder: Path) -> bool:
    """Whether the bundle in `folder` is the champion.

    Raises:
        SetupFault: there is no champion, or no bundle in the folder.
    """
    return _champion(engine).digest == bundle_digest(folder)


def _champion(engine: Engine) -> BundleRow:
    with transaction(engine) as connection:
        champion = bundles.champion(connection)
    if champion is None:
        raise SetupFault(ReasonCode.BUNDLE_NOT_ACTIVE, "the database has no champion")
    return champion


def _proven(settings: Settings, row: BundleRow, folder: Path | None) -> str:
    return golden_report(load_scorer(settings, row, find_bundle(settings, row, folder)))
