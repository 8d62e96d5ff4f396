"""`ecgbatch serve`."""

import os
from pathlib import Path

import click

from ecgbatch import telemetry
from ecgbatch.cli.options import print_json, settings_from, settings_options
from ecgbatch.errors import SetupFault
from ecgbatch.stopping import stop_on_signals
from ecgbatch.terms import ReasonCode


@click.command("serve")
@click.option("--allow-root", is_flag=True, help="Serve although this is the superuser.")
@settings_options
def command(allow_root: bool, config_file: Path | None, db_url: str | None, as_json: bool) -> None:
    """Scan the source by a timetable and keep workers scoring, until SIGTERM.

    What it does and when stands in the tables [service], [verification] and [alerts] of the
    settings. It computes a sample of results again, answers /healthz, /readyz and /metrics on the
    loopback address, and sends alarms by webhook and e-mail.
    SIGTERM ends it when each worker has finished what its net is computing, a second one at once.

    Exit code 0: told to stop. 4: the set-up is unfit. 70: internal.
    """
    if os.geteuid() == 0 and not allow_root:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "the superuser serves with --allow-root only")
    if config_file is None:
        raise click.UsageError("serve needs --config FILE: its source and timetable stand there")
    stop = stop_on_signals(ends_at_once=False)
    from ecgbatch.service.serve import serve

    settings = settings_from(config_file, db_url)
    telemetry.configure(settings.log.level)
    serve(settings, config_file.absolute(), lambda line: click.echo(line, err=True), stop)
    if as_json:
        print_json({"ended": "told to stop", "at_once": stop.is_urgent()})
