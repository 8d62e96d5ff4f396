"""`ecgbatch run-once`."""

import signal
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ecgbatch import telemetry
from ecgbatch.cli.options import print_json, refuse_password, settings_options
from ecgbatch.cli.tables import print_attention, print_counts, print_reasons
from ecgbatch.settings import Settings, load_settings
from ecgbatch.terms import DEMONSTRATION_NOTICE

if TYPE_CHECKING:
    from ecgbatch.pace import Reading
    from ecgbatch.run import RunSummary

_Folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("run-once")
@click.option("--source", "folder", type=_Folder, help="Folder of ECGs; needs --db.")
@click.option("--bundle", "bundle", type=_Folder, help="Bundle folder; must be the champion.")
@click.option("--settle", type=click.FloatRange(min=0), help="Seconds between two looks.")
@settings_options
def command(
    folder: Path | None,
    bundle: Path | None,
    settle: float | None,
    config_file: Path | None,
    db_url: str | None,
    as_json: bool,
) -> None:
    """Find new ECGs, score them, write the results, and stop.

    Either with a settings file (--config FILE) or without (--source DIR --db URL): then an SQLite
    database that does not exist is created, and a database without a champion takes --bundle or
    the demonstration.

    Exit code 0: done. 1: failed or unsupported ECGs wait for someone (see `ecgbatch status
    --failures`). 2: usage. 3: another run holds the source. 4: the set-up is unfit. 70: internal.
    """
    is_adhoc = folder is not None and db_url is not None
    if is_adhoc == (config_file is not None) or (folder is None) != (db_url is None):
        raise click.UsageError("give either --config FILE or --source DIR with --db URL")
    settings = _settings(folder, db_url, config_file, settle)
    summary = score(settings, bundle=bundle, may_create=is_adhoc, as_json=as_json)
    if as_json:
        print_json(without_places(summary))
    else:
        print_summary(summary)
    sys.exit(summary.exit_code)


def _settings(
    folder: Path | None, db_url: str | None, config_file: Path | None, settle: float | None
) -> Settings:
    tables: dict[str, dict[str, object]] = {}
    if settle is not None:
        tables["stability"] = {"settle_s": settle}
    if folder is not None and db_url is not None:
        refuse_password(db_url)
        tables["source"] = {"folder": str(folder.absolute())}
        tables["database"] = {"url": db_url}
        tables["bundle"] = {"allow_demonstration": True}
    return load_settings(config_file, tables)


def score(
    settings: Settings, *, bundle: Path | None, may_create: bool, as_json: bool
) -> "RunSummary":
    """Run once with a progress bar on a terminal and log lines elsewhere."""
    from ecgbatch.run import run_once
    from ecgbatch.working import Reporter

    # A stop by the service manager ends like one by hand: leases given back, run closed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(stderr=True)
    telemetry.configure("warning" if console.is_terminal else settings.log.level)
    columns = (
        TextColumn("scoring"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("scoring", total=None, visible=False, pace="")
        return run_once(
            settings,
            Reporter(
                notice=lambda line: click.echo(line, err=as_json),
                progress=lambda reading: bar.update(
                    task,
                    completed=reading.done,
                    total=reading.expected,
                    pace=_pace(reading),
                    visible=True,
                ),
            ),
            may_create=may_create,
            stated_bundle=bundle,
        )


def _pace(reading: "Reading") -> str:
    """Rate of the last minute, and how long the rest takes at that; nothing is promised before."""
    if reading.per_second is None:
        return ""
    rate = f"{reading.per_second:.1f} ECG/s"
    if reading.remaining_s is None:
        return rate
    return f"{rate}, {timedelta(seconds=round(reading.remaining_s))} left"


def without_places(summary: "RunSummary") -> "RunSummary":
    """Where the bundle lies is nobody's business but the operator's."""
    return replace(summary, champion=replace(summary.champion, location=None))


def print_summary(summary: "RunSummary") -> None:
    """What the run did, what the ledger says, and what to do about the rest."""
    print_counts("this run", summary.finished)
    print_counts("all items", summary.counts)
    print_reasons(summary.reasons)
    print_attention(summary.attention)
    if not summary.champion.is_clinical:
        click.echo(DEMONSTRATION_NOTICE)
