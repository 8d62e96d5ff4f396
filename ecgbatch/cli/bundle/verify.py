"""`ecgbatch bundle verify`."""

import sys
from pathlib import Path

import click

from ecgbatch.cli.bundle.choice import FOLDER, champion_folder, settings_of
from ecgbatch.cli.options import print_json, settings_options
from ecgbatch.errors import SetupFault
from ecgbatch.reasons import advice
from ecgbatch.terms import ExitCode, ReasonCode

_BROKEN = {code for code in ReasonCode if code.startswith(("bundle_", "cuts_", "use_bn_"))} - {
    ReasonCode.BUNDLE_NOT_ACTIVE
} | {ReasonCode.CHECKPOINT_INVALID}


@click.command("verify")
@click.argument("folder", type=FOLDER, required=False)
@settings_options
def command(
    folder: Path | None, config_file: Path | None, db_url: str | None, as_json: bool
) -> None:
    """Check every byte of a bundle and score its golden ECGs on this machine.

    Exit code 0: sound. 1: broken.
    """
    from ecgbatch.bundle.load import load_bundle
    from ecgbatch.scoring.scorer import Scorer

    try:
        bundle = load_bundle(folder or champion_folder(settings_of(config_file, db_url)))
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
