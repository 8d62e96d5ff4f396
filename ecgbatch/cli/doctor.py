"""`ecgbatch doctor`."""

import sys
from pathlib import Path

import click

from ecgbatch.cli.options import print_json, settings_from, settings_options
from ecgbatch.terms import ExitCode


@click.command("doctor")
@settings_options
def command(config_file: Path | None, db_url: str | None, as_json: bool) -> None:
    """Check the set-up without changing anything; each line says how to mend what is wrong.

    Exit code 0: all is well. 4: the set-up is unfit.
    """
    from ecgbatch.checkup import examine
    from ecgbatch.service.fitness import looks

    tables = {} if config_file else {"bundle": {"allow_demonstration": True}}
    settings = settings_from(config_file, db_url, **tables)
    lines = list(examine(settings, looks(settings)))
    is_well = all(line.is_well for line in lines)
    if as_json:
        print_json({"is_well": is_well, "lines": lines})
    else:
        for line in lines:
            mark = (
                click.style("ok  ", fg="green") if line.is_well else click.style("MEND", fg="red")
            )
            advice = f"\n      -> {line.advice}" if line.advice else ""
            click.echo(f"{mark}  {line.name}: {line.found}{advice}")
    sys.exit(ExitCode.DONE if is_well else ExitCode.UNFIT)
