"""`ecgbatch demo`."""

from pathlib import Path

import click

from ecgbatch.cli.options import print_json
from ecgbatch.cli.tables import print_risks
from ecgbatch.resources import demonstration
from ecgbatch.settings import load_settings
from ecgbatch.terms import ExitCode

_SQL = """SELECT recording_id, ecg_date, age_years, sex,
       risk_rca, stratum_rca, risk_lm, risk_lad, stratum_lad, risk_lcx, stratum_lcx,
       any_vessel_risk, any_vessel_stratum, bundle_name, is_clinical
FROM v_latest_risk
ORDER BY any_vessel_risk DESC;"""


@click.command("demo")
@click.option(
    "--db",
    "database",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("ecgbatch-demo.db"),
    show_default=True,
    help="SQLite file for the results.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(database: Path, as_json: bool) -> None:
    """Score the shipped sample ECGs with the shipped demonstration model and show the table.

    The samples are real, openly licensed recordings (and one made by a program); the model was
    trained on synthetic ECGs alone, so its numbers show how the pipeline works and nothing about
    anyone.
    """
    from ecgbatch.cli.run import print_summary, score, without_places
    from ecgbatch.preparation import open_to_read
    from ecgbatch.store import queries
    from ecgbatch.store.engine import transaction

    url = f"sqlite:///{database}"
    settings = load_settings(
        None,
        {
            "database": {"url": url},
            "source": {"folder": str(demonstration("samples")), "name": "demonstration samples"},
            "stability": {"settle_s": 0.0},
            "bundle": {"allow_demonstration": True},
        },
    )
    summary = score(settings, bundle=None, may_create=True, as_json=as_json)
    engine = open_to_read(settings)
    with transaction(engine) as connection:
        risks = queries.latest_risks(connection, limit=100)
    if as_json:
        answer = {"database": str(database), "run": without_places(summary)}
        print_json({**answer, "risks": risks, "sql": _SQL})
    else:
        print_summary(summary)
        print_risks(risks)
        click.echo(f"\nThe same in SQL, for example with `sqlite3 {database}`:\n\n{_SQL}")
    if summary.exit_code != ExitCode.DONE:
        raise SystemExit(summary.exit_code)
