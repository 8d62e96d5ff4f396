"""`ecgbatch export`."""

from pathlib import Path

import click

from ecgbatch.cli.options import print_json, settings_from, settings_options
from ecgbatch.terms import counted


@click.command("export")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to add to; made if it is not there.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(("parquet", "csv")),
    default="parquet",
    show_default=True,
    help="Parquet for programs; CSV that a spreadsheet neither runs nor rewrites.",
)
@click.option(
    "--without-identifiers",
    is_flag=True,
    help="Leave patient_key, accession, order_number and ecg_id empty.",
)
@settings_options
def command(
    out: Path,
    kind: str,
    without_identifiers: bool,
    config_file: Path | None,
    db_url: str | None,
    as_json: bool,
) -> None:
    """Add all results that are new since the last export to a folder, each exactly once.

    The folder holds four datasets: `results` (one row per result, superseded ones too), `changes`
    (recordings that changed after their result was exported), `activations` (which bundle was
    champion when) and `patient_keys` (merged patients). docs/export.md names every column and has
    the query that gives the current rows. Format and --without-identifiers belong to the folder
    and stay. A killed export is finished or begun again by the next one. Where the account may
    write, the export is kept as a run, and `status` tells how the last one ended.

    Exit code 0: done, also if nothing is new. 3: another export writes into the folder. 4: the
    folder cannot be written, is full, or belongs to another database or other options; nothing
    half-written is left.
    """
    from ecgbatch.export.commits import Choices
    from ecgbatch.export.kept import kept
    from ecgbatch.export.run import export
    from ecgbatch.preparation import open_to_read

    settings = settings_from(config_file, db_url)
    engine = open_to_read(settings)
    choices = Choices("csv" if kind == "csv" else "parquet", not without_identifiers)
    with kept(settings) as run_id:
        exported = export(engine, out, choices)
    if as_json:
        answer = {
            "folder": str(out),
            "run": run_id,
            "exports": exported.exports,
            "rows": exported.rows,
            "files": exported.files,
            "watermark": {
                "result_id": exported.result_id,
                "event_id": exported.event_id,
                "open": exported.n_open,
            },
        }
        print_json(answer)
        return
    if not exported.exports:
        click.echo("nothing new")
    for name, rows in exported.rows.items():
        n_files = sum(file.path.startswith(f"{name}/") for file in exported.files)
        click.echo(f"{name}: {counted(rows, 'row')} in {counted(n_files, 'file')}")
    click.echo(f"exported up to result {exported.result_id}")
    if exported.n_open:
        click.echo(f"{exported.n_open} below may still come: a transaction is open")
