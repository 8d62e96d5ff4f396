"""`ecgbatch verify`."""

import sys
from collections.abc import Iterable
from pathlib import Path
from secrets import randbelow
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ecgbatch.cli.options import (
    print_json,
    print_score_notice,
    print_table,
    settings_from,
    settings_options,
)
from ecgbatch.terms import ExitCode, ReplayOutcome, ReplayStage

if TYPE_CHECKING:
    from ecgbatch.replay.replayer import Replayer
    from ecgbatch.replay.summary import Summary
    from ecgbatch.store.engine import Engine
    from ecgbatch.store.replays import KeptResult

_Folder = click.Path(exists=True, file_okay=False, path_type=Path)

_MEANINGS = {
    ReplayStage.BYTES: "the file is another one now; bring the old one back or name a copy with "
    "--source",
    ReplayStage.SIGNAL: "the same bytes are read as other samples; a reader changed",
    ReplayStage.PREPROCESSING: "the same samples are refused, or prepared, in another way; give "
    "the --config that scored them",
    ReplayStage.NET: "the same input gives another logit; this machine, a library or the kept "
    "row is at fault",
    ReplayStage.STRATA: "what is kept does not follow from the kept logit and the bundle's cuts",
}
_GONE = "no copy of the file, or no folder of the bundle, was found; see --source and --bundle"


@click.command("verify")
@click.argument("records", nargs=-1, metavar="[RECORD...]")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Only N at random.")
@click.option("--seed", type=int, help="Of --sample, to draw the same ones again.")
@click.option("--source", "folder", type=_Folder, help="Where the files lie now.")
@click.option(
    "--bundle", "bundles", type=_Folder, multiple=True, help="Bundle folder; may be repeated."
)
@settings_options
def command(
    records: tuple[str, ...],
    sample: int | None,
    seed: int | None,
    folder: Path | None,
    bundles: tuple[Path, ...],
    config_file: Path | None,
    db_url: str | None,
    as_json: bool,
) -> None:
    """Compute results again from their files and compare with what the database says.

    All current results, scored and rejected; or --sample N of them; or those of RECORD...: a
    recording_id, or at least 12 hex digits of its digest, superseded or not. Nothing is written.

    --source stands for the scanned folder; the archive of the settings is looked into as well.
    Bundles are found by digest: --bundle, the settings' folder, where they were activated, the
    shipped one. --config is needed where gates were set, and for a source that is a database.

    Exit code 0: all replay, bit by bit or within the bundle's tolerance. 1: some differ, or their
    file or bundle is gone. 4: nothing can be computed here. 130: interrupted; what was found
    until then is told.
    """
    from ecgbatch.preparation import open_to_read
    from ecgbatch.replay.replayer import Replayer

    if records and sample is not None:
        raise click.UsageError("give either RECORD... or --sample N")
    if seed is not None and sample is None:
        raise click.UsageError("--seed needs --sample")
    settings = settings_from(config_file, db_url)
    engine = open_to_read(settings)
    try:
        drawn = _seed(sample, seed)
        results, expected = _chosen(engine, records, sample, drawn)
        with Replayer(settings, engine, source_root=folder, bundles=bundles) as replayer:
            summary = _replayed(replayer, results, expected)
    finally:
        engine.dispose()
    if as_json:
        print_json(_answer(summary, drawn))
    else:
        _print(summary, drawn)
    if not summary.is_complete:
        sys.exit(ExitCode.INTERRUPTED)
    sys.exit(ExitCode.ATTENTION if summary.n_failed else ExitCode.DONE)


def _seed(sample: int | None, seed: int | None) -> int | None:
    """A new one where none was given: it is told, so that the sample can be drawn again."""
    return randbelow(2**31) if sample is not None and seed is None else seed


def _chosen(
    engine: "Engine", records: tuple[str, ...], sample: int | None, seed: int | None
) -> tuple[Iterable["KeptResult"], int]:
    """What is replayed, and how many there seem to be."""
    from ecgbatch.store.replays import count_current, current_results, of_record, sample_of

    if records:
        named = {one.result_id: one for one in (of_record(engine, record) for record in records)}
        return named.values(), len(named)
    expected = count_current(engine)
    if sample is not None and seed is not None:
        return sample_of(engine, sample, seed), min(sample, expected)
    return current_results(engine), expected


def _replayed(replayer: "Replayer", results: Iterable["KeptResult"], expected: int) -> "Summary":
    from ecgbatch.replay.summary import replay_all

    console = Console(stderr=True)
    columns = (
        TextColumn("replaying"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("replaying", total=expected)
        return replay_all(replayer, results, lambda done: bar.update(task, completed=done))


def _answer(summary: "Summary", seed: int | None) -> dict[str, object]:
    return {
        "ok": summary.is_complete and not summary.n_failed,
        "complete": summary.is_complete,
        "results": summary.n_results,
        "outcomes": {one: summary.outcomes[one] for one in ReplayOutcome},
        "stages": {one: summary.stages[one] for one in ReplayStage},
        "not_replayed": summary.named,
        "seed": seed,
        "all_clinical": summary.all_clinical,
    }


def _print(summary: "Summary", seed: int | None) -> None:
    counts = [f"{one} {summary.outcomes[one]}" for one in ReplayOutcome if summary.outcomes[one]]
    drawn = "" if seed is None else f" drawn with --seed {seed}"
    if not summary.is_complete:
        click.echo("interrupted; until then:")
    click.echo(f"{summary.n_results} results{drawn}: {', '.join(counts) or 'nothing to replay'}")
    if summary.named:
        _print_failed(summary)
    if summary.n_results:
        print_score_notice(is_clinical=summary.all_clinical)


def _print_failed(summary: "Summary") -> None:
    click.echo()
    print_table(
        ("record", "result", "outcome", "first stage", "difference", "what"),
        [
            (
                one.recording_id,
                one.result_id,
                one.outcome,
                one.stage,
                None if one.difference is None else f"{one.difference:.1e}",
                one.reason,
            )
            for one in summary.named
        ],
    )
    unnamed = summary.n_failed - len(summary.named)
    if unnamed:
        click.echo(f"and {unnamed} more")
    click.echo()
    for stage in ReplayStage:
        if summary.stages[stage]:
            click.echo(f"{stage}: {_MEANINGS[stage]}")
    if summary.outcomes[ReplayOutcome.GONE]:
        click.echo(f"gone: {_GONE}")
