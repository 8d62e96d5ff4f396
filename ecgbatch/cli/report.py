"""`ecgbatch report`."""

from datetime import UTC, date, datetime
from pathlib import Path

import click

from ecgbatch.cli.options import print_json, settings_from, settings_options
from ecgbatch.terms import DEMONSTRATION_NOTICE, counted

_MOST = 100
"""ECGs of the worklist in one report: each page of 12 leads is half a megabyte."""
_DAY = click.DateTime(formats=["%Y-%m-%d"])


@click.command("report")
@click.option("--since", required=True, type=_DAY, help="First day (UTC), YYYY-MM-DD.")
@click.option("--until", type=_DAY, help="Last day (UTC), included; today if not given.")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the report.",
)
@click.option(
    "--worklist",
    "top",
    type=click.IntRange(0, _MOST),
    default=10,
    show_default=True,
    help="How many ECGs of the worklist are shown with their 12 leads.",
)
@click.option(
    "--without-worklist",
    is_flag=True,
    help="Name no ECG at all: for readers without clinical rights.",
)
@settings_options
def command(
    since: datetime,
    until: datetime | None,
    out: Path,
    top: int,
    without_worklist: bool,
    config_file: Path | None,
    db_url: str | None,
    as_json: bool,
) -> None:
    """One HTML file to look at in the morning: runs, files, strata, worklist, bundle.

    The file needs no other and fetches nothing. It has no name, identifier or place of a file; of
    an ECG of the worklist it shows recording, accession, date, age, sex and the 12 leads, which
    are read again from its source, in a process of their own. An older report of the same days
    is replaced.
    """
    period = _period(since.date(), until.date() if until else None)
    try:
        from ecgbatch.report.make import make
    except ModuleNotFoundError as missing:
        if missing.name not in {"jinja2", "matplotlib"}:
            raise
        raise click.UsageError(
            "report needs jinja2 and matplotlib: pip install 'ecgbatch[report]'"
        ) from None
    from ecgbatch.preparation import open_to_read
    from ecgbatch.store.reporting import Period

    settings = settings_from(config_file, db_url)
    made = make(
        open_to_read(settings), settings, Period(*period), out, None if without_worklist else top
    )
    if as_json:
        days = {"since": period[0].isoformat(), "until": period[1].isoformat()}
        print_json({"report": str(made.path), **days, **made.counts})
        return
    counts = made.counts
    click.echo(
        f"wrote {made.path}: {counts['scored']} scored and {counts['rejected']} rejected, "
        f"{counts['entries']} of {counted(counts['worklist'], 'ECG')} of the worklist"
    )
    if not made.is_clinical:
        click.echo(DEMONSTRATION_NOTICE)


def _period(since: date, until: date | None) -> tuple[date, date]:
    last = until or datetime.now(UTC).date()
    if since > last:
        raise click.UsageError("--since is after --until" if until else "--since is in the future")
    return since, last
