"""`ecgbatch bundle compare`."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ecgbatch.cli.bundle.choice import rival_of, settings_of
from ecgbatch.cli.options import print_json, print_score_notice, print_table, settings_options
from ecgbatch.terms import ANY_VESSEL, Stratum

if TYPE_CHECKING:
    from ecgbatch.comparison.flips import Flips
    from ecgbatch.comparison.report import Comparison

_HEADINGS = (
    *("task", "ECGs", "patients", "same stratum", "95 % CI", "kappa", "become high", "leave high"),
    *("mean shift", "95 % CI", "5 % to 95 %"),
)
_SHORT = {Stratum.LOW: "low", Stratum.INTERMEDIATE: "int", Stratum.HIGH: "high"}


@click.command("compare")
@click.argument("challenger", required=False)
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Only ECGs of this day or later.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the Parquet file, the summary and the picture; needs matplotlib.",
)
@settings_options
def command(
    challenger: str | None,
    since: datetime | None,
    out: Path | None,
    config_file: Path | None,
    db_url: str | None,
    as_json: bool,
) -> None:
    """What would change if CHALLENGER were the champion: its name, digest (8 digits) or folder.

    Over the current ECGs that both have scored, for each vessel and any vessel: strata that
    change, agreement, Cohen's kappa and the shift of the risk (challenger minus champion). The
    interval of the agreement is Wilson's, with the ECGs of one patient counted as less than as
    many patients; that of the mean shift has patients as units. Both are of 95 %.

    Without CHALLENGER it is the only one there is. Retired ones and former champions can be
    named too.
    """
    from ecgbatch.comparison.report import compare, summary
    from ecgbatch.preparation import open_to_read

    engine = open_to_read(settings_of(config_file, db_url))
    comparison = compare(engine, rival_of(engine, challenger), since)
    written = [] if out is None else _write(comparison, out)
    if as_json:
        print_json(summary(comparison) | {"files": written})
        return
    _print(comparison)
    for path in written:
        click.echo(f"wrote {path}")


def _write(comparison: "Comparison", out: Path) -> list[str]:
    try:
        from ecgbatch.comparison.files import write
    except ModuleNotFoundError:
        raise click.UsageError("--out needs matplotlib: pip install 'ecgbatch[report]'") from None
    return [str(path) for path in write(comparison, out)]


def _print(comparison: "Comparison") -> None:
    for role, one in (("champion", comparison.champion), ("challenger", comparison.challenger)):
        click.echo(f"{role}: {one.name} {one.version}, digest {one.digest[:12]}")
    if not comparison.flips:
        click.echo("no ECG has been scored by both")
        return
    click.echo()
    print_table(_HEADINGS, [_row(one) for one in comparison.flips])
    click.echo("\nchampion's stratum -> challenger's stratum, ECGs")
    strata = tuple(Stratum)
    moves = tuple((a, b) for a in range(3) for b in range(3))
    print_table(
        ("task", *(f"{_SHORT[strata[a]]}->{_SHORT[strata[b]]}" for a, b in moves)),
        [(_name(one), *(one.counts[a][b] for a, b in moves)) for one in comparison.flips],
    )
    click.echo()
    print_score_notice(is_clinical=comparison.is_clinical)


def _row(one: "Flips") -> tuple[object, ...]:
    return (
        _name(one),
        one.n_ecgs,
        one.n_patients,
        None if one.agreement is None else f"{one.agreement:.1%}",
        None if one.agreement_ci is None else "{:.1%} to {:.1%}".format(*one.agreement_ci),
        one.kappa,
        one.become_high,
        one.leave_high,
        f"{one.mean_shift:+.4f}",
        None if one.mean_shift_ci is None else "{:+.4f} to {:+.4f}".format(*one.mean_shift_ci),
        f"{one.quantiles[0]:+.4f} to {one.quantiles[-1]:+.4f}",
    )


def _name(one: "Flips") -> str:
    return "any vessel" if one.task == ANY_VESSEL else one.task
