"""What every command shares: where the settings come from, and how the answer is printed."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ecgbatch.settings import Settings, load_settings
from ecgbatch.terms import DEMONSTRATION_NOTICE, INTENDED_USE_NOTICE

_WIDEST = 10_000
_SECRETS = {"password", "passfile", "sslpassword"}
_Function = TypeVar("_Function", bound=Callable[..., Any])


def settings_options(function: _Function) -> _Function:
    """Add --config, --db and --json, which every command takes."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option("--db", "db_url", metavar="URL", help="Database URL, without a password."),
        click.option(
            "--config",
            "config_file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Settings file (TOML).",
        ),
    ):
        function = option(function)
    return function


def settings_from(config_file: Path | None, db_url: str | None, **tables: Any) -> Settings:
    """Settings from a file or for a database; `tables` are overrides by table.

    Raises:
        click.UsageError: both or neither given, or a password in the URL.
    """
    if (config_file is None) == (db_url is None):
        raise click.UsageError("give either --config FILE or --db URL")
    if db_url is not None:
        refuse_password(db_url)
        tables["database"] = {"url": db_url}
    return load_settings(config_file, tables)


def refuse_password(db_url: str) -> None:
    """Arguments are visible to every user of the machine."""
    try:
        parts = urlsplit(db_url)
        has_password = parts.password is not None or _SECRETS & parse_qs(parts.query).keys()
    except ValueError:
        raise click.UsageError("--db is not a URL") from None
    if has_password:
        raise click.UsageError(
            "a password does not belong on a command line; "
            "use ECGBATCH_DATABASE__URL or database.url_file with --config"
        )


def print_json(answer: Any) -> None:
    click.echo(json.dumps(_plain(answer), ensure_ascii=False))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, datetime) else value


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A plain table as wide as its content: a digest or locator is never cut off."""
    table = Table(*headings, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    console = Console(width=_WIDEST, highlight=False)
    console.width = max(1, console.measure(table).maximum)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return str(value)


def print_score_notice(*, is_clinical: bool) -> None:
    """Under every table of scores: what they are, and what they are not."""
    if not is_clinical:
        click.secho(DEMONSTRATION_NOTICE, bold=True)
    click.echo(INTENDED_USE_NOTICE)
