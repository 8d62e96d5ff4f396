"""`ecgbatch bundle import-ecgfounder`."""

from pathlib import Path

import click

from ecgbatch.cli.bundle.choice import FILE
from ecgbatch.cli.options import print_json


@click.command("import-ecgfounder")
@click.argument("checkpoint", type=FILE)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option(
    "--use-bn/--no-use-bn",
    required=True,
    default=None,
    help="Whether batch norm was active in training; the public weights: --no-use-bn.",
)
@click.option(
    "--use-dropout/--no-use-dropout", default=False, help="Whether dropout was active in training."
)
@click.option(
    "--preset",
    type=click.Choice(["anyecg-ccta", "ecgfounder"]),
    help="Preprocessing that the weights were trained with.",
)
@click.option("--cuts", "cuts_file", type=FILE, help="Cuts file, TOML or JSON; needs a 4-row head.")
@click.option("--name", help="Name of the bundle.")
@click.option("--version", "version", help="Version of the bundle.")
@click.option("--clinical", is_flag=True, help="The bundle is for clinical use at this site.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    checkpoint: Path,
    out: Path,
    use_bn: bool,
    use_dropout: bool,
    preset: str | None,
    cuts_file: Path | None,
    name: str | None,
    version: str | None,
    clinical: bool,
    as_json: bool,
) -> None:
    """Read a CHECKPOINT in the ECGFounder layout.

    Without --cuts it becomes a backbone for training, whatever its head. With --cuts, --preset,
    --name and --version a 4-row head (RCA, LM, LAD, LCX) becomes a bundle that scores.
    docs/bring-your-weights.md walks through it.
    """
    from ecgbatch.bundle.cuts_file import parse_cuts
    from ecgbatch.bundle.import_ecgfounder import Flags, Label, import_backbone, import_bundle
    from ecgbatch.preprocessing.spec import preset as preset_of

    flags = Flags(use_bn=use_bn, use_dropout=use_dropout)
    content = checkpoint.read_bytes()
    if cuts_file is None:
        if preset or name or version or clinical:
            raise click.UsageError("--preset, --name, --version and --clinical go with --cuts")
        kind, digest = "backbone for training", import_backbone(content, out, flags)
    else:
        if not (preset and name and version):
            raise click.UsageError("--cuts needs --preset, --name and --version")
        kind = "bundle"
        digest = import_bundle(
            content,
            out,
            flags,
            label=Label(name, version, is_clinical=clinical),
            spec=preset_of(preset),
            cuts=parse_cuts(
                cuts_file.read_bytes(), "json" if cuts_file.suffix.lower() == ".json" else "toml"
            ),
        )
    if as_json:
        print_json({"kind": kind, "folder": str(out), "digest": digest})
    else:
        click.echo(f"wrote a {kind} to {out}\ndigest {digest}")
