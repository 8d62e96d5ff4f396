"""`ecgbatch work`."""

import sys
from pathlib import Path

import click

from ecgbatch import telemetry
from ecgbatch.cli.options import print_json, settings_from, settings_options
from ecgbatch.cli.tables import print_attention, print_counts
from ecgbatch.stopping import stop_on_signals
from ecgbatch.terms import DEMONSTRATION_NOTICE


@click.command("work")
@click.option("--drain", is_flag=True, help="End as soon as nothing is due.")
@settings_options
def command(drain: bool, config_file: Path | None, db_url: str | None, as_json: bool) -> None:
    """Claim and score what scans have admitted; any number of workers may run at once.

    With --config only the ECGs of its source are claimed, with --db those of every folder. SIGTERM
    ends the worker after the few ECGs that its net is computing; what it holds beside them is given
    back at once.

    Exit code 0: done, or told to stop. 1 (with --drain): failed or unsupported ECGs wait for
    someone. 4: the set-up is unfit. 70: internal.
    """
    # Before the imports: whoever stops a worker that is still loading means it too.
    stop = stop_on_signals(ends_at_once=True)
    from ecgbatch.work import work
    from ecgbatch.working import Reporter

    adhoc = {} if db_url is None else {"bundle": {"allow_demonstration": True}}
    settings = settings_from(config_file, db_url, **adhoc)
    telemetry.configure(settings.log.level)
    reporter = Reporter(
        notice=lambda line: click.echo(line, err=True), progress=lambda reading: None
    )
    summary = work(settings, reporter, drain=drain, stop=stop)
    if as_json:
        print_json(summary)
        sys.exit(summary.exit_code)
    print_counts("this worker", summary.finished)
    if summary.is_halted:
        click.echo("claims are halted; `ecgbatch resume` lets them go on")
    print_attention(summary.attention)
    if not summary.is_clinical:
        click.echo(DEMONSTRATION_NOTICE)
    sys.exit(summary.exit_code)
