"""What the sub-commands of `bundle` share."""

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


def challenger_of(engine: "Engine", named: str | None) -> "BundleRow":
    """The challenger of this name, digest or folder; the only one where none is named.

    Raises:
        click.UsageError: there is none, or more than one.
    """
    from ecgbatch.lifecycle import challengers_called

    found = challengers_called(engine, named)
    called = "" if named is None else " of this name, digest or folder"
    if not found:
        raise click.UsageError(f"no challenger{called}; `ecgbatch bundle list` shows them")
    if len(found) > 1:
        raise click.UsageError(f"several challengers{called}; give more of the digest")
    return found[0]
