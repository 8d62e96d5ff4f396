"""`ecgbatch bundle`: show, verify, activate, import-ecgfounder."""

import sys
from pathlib import Path

import click

from ecgbatch.cli.options import print_json, print_table, settings_from, settings_options
from ecgbatch.errors import SetupFault
from ecgbatch.reasons import advice
from ecgbatch.settings import Settings
from ecgbatch.terms import DEMONSTRATION_NOTICE, INTENDED_USE_NOTICE, ExitCode, ReasonCode

_Folder = click.Path(exists=True, file_okay=False, path_type=Path)
_BROKEN = {code for code in ReasonCode if code.startswith(("bundle_", "cuts_", "use_bn_"))} - {
    ReasonCode.BUNDLE_NOT_ACTIVE
} | {ReasonCode.CHECKPOINT_INVALID}
_File = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("bundle")
def command() -> None:
    """Show, verify, activate or import a model bundle."""


@command.command("show")
@click.argument("folder", type=_Folder, required=False)
@settings_options
def show(folder: Path | None, config_file: Path | None, db_url: str | None, as_json: bool) -> None:
    """The card of the bundle in FOLDER, or of the database's champion."""
    from ecgbatch.bundle.digest import bundle_digest, read_manifest

    folder = folder or _champion_folder(_settings(config_file, db_url))
    digest, manifest = bundle_digest(folder), read_manifest(folder)
    if as_json:
        print_json({"digest": digest, "bundle": manifest.model_dump(mode="json", by_alias=True)})
        return
    click.echo(f"{manifest.name} {manifest.version}\ndigest         {digest}")
    click.echo(f"clinical       {'yes' if manifest.is_clinical else 'no'}")
    click.echo(f"preprocessing  {manifest.preprocessing.name} {manifest.preprocessing.digest[:12]}")
    flags = manifest.architecture
    click.echo(f"net            use_bn {flags.use_bn}, use_dropout {flags.use_dropout}")
    click.echo(f"training data  {manifest.training_data}\n")
    rows: list[tuple[object, ...]] = [
        (
            task.vessel,
            "yes" if task.is_experimental else "no",
            task.cuts.low.value if task.cuts else None,
            task.cuts.high.value if task.cuts else None,
            task.definition,
        )
        for task in manifest.tasks
    ]
    any_cuts = manifest.any_vessel.cuts
    if any_cuts is not None:
        maximum = "maximum over the tasks that are not experimental"
        rows.append(("any vessel", "no", any_cuts.low.value, any_cuts.high.value, maximum))
    print_table(("task", "experimental", "low below", "high from", "positive means"), rows)
    if manifest.metrics:
        click.echo()
        print_table(
            ("task", "metric", "value", "group", "data"),
            [(m.task, m.name, m.value, m.group, m.data) for m in manifest.metrics],
        )
    click.echo(f"\nIntended use: {manifest.intended_use}")
    click.echo(f"Not for: {'; '.join(manifest.exclusions)}")
    click.echo(INTENDED_USE_NOTICE if manifest.is_clinical else DEMONSTRATION_NOTICE)


@command.command("verify")
@click.argument("folder", type=_Folder, required=False)
@settings_options
def verify(
    folder: Path | None, config_file: Path | None, db_url: str | None, as_json: bool
) -> None:
    """Check every byte of a bundle and score its golden ECGs on this machine.

    Exit code 0: sound. 1: broken.
    """
    from ecgbatch.bundle.load import load_bundle
    from ecgbatch.scoring.scorer import Scorer

    try:
        bundle = load_bundle(folder or _champion_folder(_settings(config_file, db_url)))
        scorer = Scorer(bundle)
    except SetupFault as fault:
        if fault.reason not in _BROKEN:
            raise
        if as_json:
            print_json({"is_sound": False, "reason": fault.reason, "detail": fault.detail})
        else:
            click.echo(f"broken: {fault}. {advice(fault.reason)}")
        sys.exit(ExitCode.ATTENTION)
    difference = scorer.golden_difference
    if as_json:
        answer = {"is_sound": True, "digest": bundle.digest, "golden_difference": difference}
        print_json(answer)
    else:
        click.echo(f"sound: {bundle.manifest.name} {bundle.manifest.version}")
        click.echo(f"digest {bundle.digest}; golden ECGs reproduced within {difference:.1e}")


@command.command("activate")
@click.argument("folder", type=_Folder)
@click.option("--reason", "why", required=True, help="Why it becomes the champion.")
@settings_options
def activate(
    folder: Path, why: str, config_file: Path | None, db_url: str | None, as_json: bool
) -> None:
    """Make the bundle in FOLDER the champion: the one that scores and that the views show.

    Its golden ECGs must be reproduced on this machine. Who did it, when and why stands in the
    activation table; unfinished work moves to it, results that are there stay.
    """
    from ecgbatch import admission
    from ecgbatch.preparation import open_database

    settings = _settings(config_file, db_url)
    engine, _ = open_database(settings)
    champion = admission.activate(engine, settings, folder, why)
    if as_json:
        print_json(champion)
        return
    click.echo(f"champion: {champion.name} {champion.version}, digest {champion.digest}")
    if not champion.is_clinical:
        click.echo(DEMONSTRATION_NOTICE)


@command.command("import-ecgfounder")
@click.argument("checkpoint", type=_File)
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
@click.option(
    "--cuts", "cuts_file", type=_File, help="Cuts file, TOML or JSON; needs a 4-row head."
)
@click.option("--name", help="Name of the bundle.")
@click.option("--version", "version", help="Version of the bundle.")
@click.option("--clinical", is_flag=True, help="The bundle is for clinical use at this site.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def import_ecgfounder(
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


def _settings(config_file: Path | None, db_url: str | None) -> Settings:
    """With --db alone nobody has forbidden a demonstration."""
    tables = {} if config_file else {"bundle": {"allow_demonstration": True}}
    return settings_from(config_file, db_url, **tables)


def _champion_folder(settings: Settings) -> Path:
    from ecgbatch.admission import bundle_for
    from ecgbatch.preparation import open_to_read

    return bundle_for(settings, open_to_read(settings))[1]
