"""`ecgbatch bundle verify`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ecgbatch.cli.bundle.choice import FOLDER, champion_folder, settings_of
from ecgbatch.cli.options import print_json, settings_options
from ecgbatch.errors import SetupFault
from ecgbatch.reasons import advice
from ecgbatch.terms import ExitCode, ReasonCode

if TYPE_CHECKING:
    from ecgbatch.scoring.scorer import Scorer

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

    The runtime is that of the settings; of a folder without settings it is the reference, torch.

    Exit code 0: sound. 1: broken.
    """
    try:
        scorer = _scorer(folder, config_file, db_url)
    except SetupFault as fault:
        if fault.reason not in _BROKEN:
            raise
        if as_json:
            print_json({"is_sound": False, "reason": fault.reason, "detail": fault.detail})
        else:
            click.echo(f"broken: {fault}. {advice(fault.reason)}")
        sys.exit(ExitCode.ATTENTION)
    bundle, difference = scorer.bundle, scorer.golden_difference
    if as_json:
        print_json(
            {
                "is_sound": True,
                "digest": bundle.digest,
                "golden_difference": difference,
                "runtime": scorer.runtime,
            }
        )
    else:
        click.echo(f"sound: {bundle.manifest.name} {bundle.manifest.version}")
        words = f"golden ECGs reproduced within {difference:.1e} with {scorer.runtime}"
        click.echo(f"digest {bundle.digest}; {words}")


def _scorer(folder: Path | None, config_file: Path | None, db_url: str | None) -> "Scorer":
    from ecgbatch.admission import scorer_of
    from ecgbatch.bundle.load import load_bundle
    from ecgbatch.scoring.scorer import Scorer

    if folder is not None and config_file is None and db_url is None:
        return Scorer(load_bundle(folder))
    settings = settings_of(config_file, db_url)
    return scorer_of(load_bundle(folder or champion_folder(settings)), settings)
