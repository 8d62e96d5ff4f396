"""`ecgbatch-train fit`."""

import json
from pathlib import Path
from typing import Any

import click

from training.cli.faults import faults_reported
from training.cli.opening import Given, fit_options, opened
from training.cli.options import JSON, RUN


@click.command("fit")
@RUN
@fit_options
@JSON
def command(
    run: Path,
    config: Path | None,
    manifest: Path | None,
    root: Path | None,
    cache: Path | None,
    start: Path | None,
    as_json: bool,
) -> None:
    """Fit the weights on the train part and predict the cut and the test part.

    Killed at any step, the same command goes on to identical weights; finished, it does nothing.
    A run folder that check-data has prepared needs neither --config nor --manifest. For
    several GPUs: torchrun --nproc_per_node N -m -- training fit --run RUN.
    """
    from training.fit.final import fit_final

    with faults_reported(), opened(run, Given(config, manifest, root, cache, start)) as ready:
        done = fit_final(ready.run, ready.material, ready.around)
        is_first = ready.around.group.is_first
    if is_first:
        click.echo(json.dumps(done) if as_json else _told(done))


def _told(done: dict[str, Any]) -> str:
    train, inner = done["n_train"], done["n_inner"]
    lines = [
        f"Learned from {train['ecgs']} ECGs of {train['patients']} patients in"
        f" {done['n_steps']} steps, {done['seconds']:.0f} s.",
        f"Kept epoch {done['best_epoch'] + 1}: {done['selected_by']}",
    ]
    if done["best_macro_auc"] is not None:
        tasks = ", ".join(done["selection_tasks"])
        lines[-1] += f" ({inner['ecgs']} ECGs; {tasks}), {done['best_macro_auc']:.3f}"
    lines[-1] += "."
    if done["experimental"]:
        lines.append(f"Experimental: {', '.join(done['experimental'])}.")
    return "\n".join(lines)
