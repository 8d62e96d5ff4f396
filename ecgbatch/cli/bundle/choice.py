"""What the sub-commands of `bundle` share."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ecgbatch.cli.options import settings_from
from ecgbatch.settings import Settings

if TYPE_CHECKING:
    from ecgbatch.store.bundles import BundleRow
    from ecgbatch.store.engine import Engine

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def settings_of(config_file: Path | None, db_url: str | None) -> Settings:
    """With --db alone nobody has forbidden a demonstration."""
    tables = {} if config_file else {"bundle": {"allow_demonstration": True}}
    return settings_from(config_file, db_url, **tables)


def champion_folder(settings: Settings) -> Path:
    from ecgbatch.admission import bundle_for
    from ecgbatch.preparation import open_to_read

    return bundle_for(settings, open_to_read(settings))[1]


def print_pin(settings: Settings, champion: "BundleRow") -> None:
    """What is still to do where the settings pin another bundle than the new champion."""
    if settings.bundle.digest not in ("", champion.digest):
        click.echo(f'the settings pin another bundle: set digest = "{champion.digest}" in [bundle]')


def without_place(row: "BundleRow") -> "BundleRow":
    """Where a bundle lies is not what was asked for."""
    return replace(row, location=None)


def challenger_of(engine: "Engine", named: str | None) -> "BundleRow":
    """The challenger of this name, digest or folder; the only one where none is named.

    Raises:
        click.UsageError: there is none, or more than one.
    """
    from ecgbatch.lifecycle import challengers

    return _only(challengers(engine), named, "challenger")


def rival_of(engine: "Engine", named: str | None) -> "BundleRow":
    """The same, of every bundle but the champion if it is named.

    Raises:
        click.UsageError: there is none, or more than one.
    """
    from ecgbatch.lifecycle import rivals

    if named is None:
        return challenger_of(engine, None)
    return _only(rivals(engine), named, "other bundle")


def _only(known: "Sequence[BundleRow]", named: str | None, what: str) -> "BundleRow":
    from ecgbatch.lifecycle import called

    found = known if named is None else called(known, named)
    so_named = "" if named is None else " of this name, digest or folder"
    if not found:
        raise click.UsageError(f"no {what}{so_named}; `ecgbatch bundle list` shows them")
    if len(found) > 1:
        raise click.UsageError(f"more than one {what}{so_named}; give more of the digest")
    return found[0]
