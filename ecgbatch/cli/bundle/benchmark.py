"""`ecgbatch bundle benchmark`."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ecgbatch.cli.bundle.choice import FOLDER, champion_folder, settings_of
from ecgbatch.cli.options import print_json, print_table, settings_options
from ecgbatch.settings import Settings, load_settings
from ecgbatch.terms import Numerics

if TYPE_CHECKING:
    from ecgbatch.bundle.golden import Batch
    from ecgbatch.bundle.load import Bundle
    from ecgbatch.trial.agreement import Agreement
    from ecgbatch.trial.run import Measured, NotMeasured

_HEADINGS = (
    *("runtime", "precision", "batch x streams", "ECG/s", "core-ms per ECG", "peak MB", "others"),
    *("largest difference", "p99", "same stratum", "near_cut"),
)
_DISTURBED = 0.05
"""Share of the machine that others take before it is said."""


@click.command("benchmark")
@click.argument("folder", metavar="[BUNDLE]", type=FOLDER, required=False)
@click.option("--source", type=FOLDER, help="Take the ECGs of this folder; nothing is stored.")
@click.option(
    "--ecgs", default=64, show_default=True, type=click.IntRange(1, 2000), help="How many ECGs."
)
@settings_options
def command(
    folder: Path | None,
    source: Path | None,
    ecgs: int,
    config_file: Path | None,
    db_url: str | None,
    as_json: bool,
) -> None:
    """Measure every runtime and precision on this machine, and say which to take.

    BUNDLE is a folder; without it the champion of the database. Each runtime has a fresh process,
    with its own batch and streams as in a run, and must reproduce the bundle's golden logits. The
    answers are compared with plain PyTorch in fp32: over the golden ECGs and synthetic variations
    of them, or over your own ECGs (--source) that pass the gates of the settings.

    Recommended is the fastest; bf16 only if at least 99.5 % of the strata agree and no
    probability moved by more than 0.01. Rates are those of this machine now: "others" is what
    other processes took of it.

    Exit code 0, whatever came out.
    """
    from ecgbatch.admission import wish_of
    from ecgbatch.bundle.load import load_bundle
    from ecgbatch.trial.run import measure_each

    settings = _settings(folder, config_file, db_url)
    bundle = load_bundle(folder or champion_folder(settings))
    inputs = _inputs(bundle, source, ecgs, settings)
    outcomes = measure_each(bundle, inputs, wish_of(settings), _say)
    if as_json:
        print_json(_answer(bundle, source, len(inputs), outcomes))
    else:
        _print(bundle, source, len(inputs), outcomes)


def _settings(folder: Path | None, config_file: Path | None, db_url: str | None) -> Settings:
    if folder is not None and config_file is None and db_url is None:
        return load_settings()
    return settings_of(config_file, db_url)


def _inputs(bundle: "Bundle", source: Path | None, n: int, settings: Settings) -> "Batch":
    from ecgbatch.trial.ecgs import own_inputs, synthetic_inputs

    spec = bundle.manifest.preprocessing
    if source is None:
        return synthetic_inputs(bundle.golden_signals_mv, n, spec)
    inputs = own_inputs(source, n, spec, settings)
    if not len(inputs):
        raise click.UsageError("no ECG of --source passes the gates of the settings")
    return inputs


def _say(runtime: str, precision: Numerics) -> None:
    click.echo(f"measuring {runtime} {precision}", err=True)


def _answer(
    bundle: "Bundle", source: Path | None, n: int, outcomes: "list[Measured | NotMeasured]"
) -> dict[str, object]:
    from ecgbatch.machine import cores
    from ecgbatch.trial.agreement import caution, recommended, why_not

    measured = _measured(outcomes)
    best = recommended(measured)
    return {
        "digest": bundle.digest,
        "ecgs": n,
        "are_synthetic": source is None,
        "cores": cores(),
        "near_cut_band": bundle.manifest.near_cut,
        "golden_tolerance": bundle.manifest.golden_tolerance,
        "measured": [
            {**asdict(one), "strata_agreement": one.agreement and one.agreement.strata}
            | {"is_recommended": one is best, "not_recommended": why_not(one)}
            | {"caution": caution(one)}
            for one in measured
        ],
        "not_measured": [one for one in outcomes if one not in measured],
        "recommended": None
        if best is None
        else {"runtime": best.runtime, "precision": best.precision},
    }


def _print(
    bundle: "Bundle", source: Path | None, n: int, outcomes: "list[Measured | NotMeasured]"
) -> None:
    from ecgbatch.machine import cores
    from ecgbatch.trial.agreement import recommended

    manifest, measured = bundle.manifest, _measured(outcomes)
    best = recommended(measured)
    whose = "golden and synthetic" if source is None else "your own"
    click.echo(f"{manifest.name} {manifest.version}, digest {bundle.digest[:12]}")
    click.echo(f"{n} ECGs, {whose}; {cores()} cores\n")
    print_table(_HEADINGS, [_row(one) for one in measured])
    click.echo()
    for one in outcomes:
        for words in _remarks(one, bundle):
            click.echo(f"{one.runtime} {one.precision}: {words}")
    if any((one.others or 0.0) > _DISTURBED for one in measured):
        click.echo("other processes took part of the machine; rates hold only for as busy a one")
    if best is None:
        click.echo("recommended: none of them")
    else:
        click.echo(f'recommended: runtime = "{best.runtime}", precision = "{best.precision}"')


def _remarks(one: "Measured | NotMeasured", bundle: "Bundle") -> Iterator[str]:
    from ecgbatch.trial.agreement import caution, why_not
    from ecgbatch.trial.run import NotMeasured

    if isinstance(one, NotMeasured):
        yield f"not measured, {one.reason}: {one.detail}"
        return
    if (against := why_not(one)) is not None:
        yield f"not recommended, {against}"
    if (warning := caution(one)) is not None:
        yield warning
    if one.precision is Numerics.BF16 and one.agreement is not None:
        yield _band(one.agreement, bundle)


def _measured(outcomes: "list[Measured | NotMeasured]") -> "list[Measured]":
    from ecgbatch.trial.run import Measured

    return [one for one in outcomes if isinstance(one, Measured)]


def _row(one: "Measured") -> tuple[object, ...]:
    seen = one.agreement
    return (
        one.version,
        str(one.precision),
        f"{one.batch} x {one.streams}",
        f"{one.ecgs_per_s:.1f}",
        f"{one.core_ms:.1f}",
        f"{one.peak_mb:.0f}",
        None if one.others is None else f"{one.others:.0%}",
        *(
            (None,) * 4
            if seen is None
            else (
                f"{seen.max_difference:.1e}",
                f"{seen.p99_difference:.1e}",
                f"{seen.strata:.2%} of {seen.n_strata}",
                f"{seen.near_cut:.1%}",
            )
        ),
    )


def _band(seen: "Agreement", bundle: "Bundle") -> str:
    """What the measured error asks of `near_cut`, and what the bundle gives."""
    manifest = bundle.manifest
    tolerance = manifest.golden_tolerance[Numerics.BF16]
    return (
        f"near_cut has to reach {seen.max_difference:.4f} on each side of a cut, as far as a"
        f" probability moved; the bundle's band reaches {manifest.near_cut:g}, its tolerance of"
        f" {tolerance:g} on the logit up to {tolerance / 4:.4f}; of {seen.n_changed} changed strata"
        f" {seen.n_unmarked} of a vessel are not near_cut"
    )
