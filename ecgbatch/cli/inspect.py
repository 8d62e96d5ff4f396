"""`ecgbatch inspect`."""

import sys
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Literal

import click

from ecgbatch.cli.options import print_json, print_table
from ecgbatch.errors import InputFault, Refusal, TransientFault
from ecgbatch.records import Finding, Identity, Recording
from ecgbatch.settings import Settings, load_settings
from ecgbatch.terms import LEADS, ExitCode

_HIDDEN = "in the file, hidden"
_OPEN_FIELDS = ("device", "edit_status")


@click.command("inspect")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the 12-lead page into this .png or .svg.",
)
@click.option("--with-identity", is_flag=True, help="Show who, when and where, in clear.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Settings file (TOML), for its checks.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    file: Path, plot: Path | None, with_identity: bool, config_file: Path | None, as_json: bool
) -> None:
    """What is understood of one ECG: format, device, leads, sampling frequency, findings.

    FILE is for WFDB the header. Identity is hidden unless it is asked for.

    Exit code 0: it was read, whatever the checks say of it. 1: no reader can read it.
    """
    kind = _kind_of(plot)
    settings = load_settings(config_file)
    try:
        file_digest, recording = _read(file, settings)
    except (InputFault, Refusal, TransientFault) as fault:
        _print_refused(file, fault, as_json)
        sys.exit(ExitCode.ATTENTION)
    answer = _answer(recording, file_digest, settings, with_identity)
    if plot is not None and kind is not None:
        _draw(recording, plot, kind, answer, with_identity)
    if as_json:
        print_json(answer)
    else:
        _print(answer)


def _kind_of(plot: Path | None) -> Literal["png", "svg"] | None:
    match plot.suffix.lower() if plot else "":
        case "":
            if plot is None:
                return None
        case ".png":
            return "png"
        case ".svg":
            return "svg"
    raise click.UsageError("--plot ends in .png or .svg")


def _read(file: Path, settings: Settings) -> tuple[str, Recording]:
    from ecgbatch.convert import places
    from ecgbatch.isolation.decoder import Decoder

    (place,) = places(file, settings.limits.recording_bytes, file)
    source = place.read()
    with Decoder(settings.isolation) as decoder:
        return source.file_digest, decoder.decode(source)


def _print_refused(file: Path, fault: InputFault | Refusal | TransientFault, as_json: bool) -> None:
    detail = f": {fault.detail}" if fault.detail else ""
    click.echo(f"{file}: {fault.reason}{detail}. {fault.advice}", err=True)
    if as_json:
        refused = {"reason": fault.reason, "detail": fault.detail, "advice": fault.advice}
        print_json({"refused": refused})


def _answer(
    recording: Recording, file_digest: str, settings: Settings, with_identity: bool
) -> dict[str, object]:
    from ecgbatch.convert import to_be_shown
    from ecgbatch.quality.checks import check, refusal

    findings = check(recording, settings.quality, settings.eligibility)
    refused = refusal(findings)
    derived = recording.derived_leads
    return {
        "format": recording.format,
        "reader": f"{recording.reader} {recording.reader_version}",
        "stored_leads": [name for name in recording.lead_names if name not in derived],
        "derived_leads": list(derived),
        "missing_leads": [name for name in LEADS if name not in recording.lead_names],
        "sampling_frequency": recording.sampling_frequency,
        "n_samples": recording.n_samples,
        "duration_s": recording.duration_s,
        "smallest_step_uv": _smallest_step_uv(recording),
        "statements": len(recording.statements),
        "statement_normal": recording.statement_normal,
        "identity": dict(_identity(recording.identity, with_identity)),
        "findings": [asdict(f if with_identity else to_be_shown(f)) for f in findings],
        "would_be_rejected": refused.reason if refused else None,
        "file_digest": file_digest,
        "signal_digest": recording.signal_digest,
    }


def _smallest_step_uv(recording: Recording) -> float | None:
    """Smallest difference of two sample values of a stored lead: the gain, if it was used up."""
    import numpy as np

    steps = []
    for name, signal in zip(recording.lead_names, recording.signal, strict=True):
        if name not in recording.derived_leads:
            values = np.unique(signal[np.isfinite(signal)])
            steps += [float(np.diff(values).min())] if values.size > 1 else []
    return round(min(steps) * 1000, 4) if steps else None


def _identity(identity: Identity, in_clear: bool) -> Iterator[tuple[str, object]]:
    for one in fields(identity):
        value = getattr(identity, one.name)
        is_shown = in_clear or value is None or one.name in _OPEN_FIELDS
        yield one.name, value if is_shown else _HIDDEN


def _draw(
    recording: Recording,
    plot: Path,
    kind: Literal["png", "svg"],
    answer: dict[str, object],
    with_identity: bool,
) -> None:
    try:
        from ecgbatch.picture import draw
    except ModuleNotFoundError:
        raise click.UsageError("--plot needs matplotlib: pip install 'ecgbatch[plot]'") from None

    heading = [
        f"{recording.format}, {recording.sampling_frequency:g} Hz, {recording.duration_s:g} s",
        f"file {answer['file_digest']}",
    ]
    if with_identity:
        who = recording.identity
        stated = (who.patient_identifier, who.acquired_at, who.sex, who.age_years)
        heading.insert(0, ", ".join(str(value) for value in stated if value is not None))
    try:
        plot.write_bytes(draw(recording, heading, kind))
    except OSError:
        raise click.UsageError("the file of --plot cannot be written") from None


def _print(answer: dict[str, object]) -> None:
    findings = answer.pop("findings")
    identity = answer.pop("identity")
    for name, value in answer.items():
        _print_line(name.replace("_", " "), value)
    click.echo()
    if isinstance(identity, dict):
        for name, value in identity.items():
            _print_line(name.replace("_", " "), value)
    if isinstance(findings, list) and findings:
        click.echo()
        names = [one.name for one in fields(Finding)]
        print_table(names, [[finding[name] for name in names] for finding in findings])


def _print_line(name: str, value: object) -> None:
    if isinstance(value, bool):
        value = "yes" if value else "no"
    if isinstance(value, list):
        value = " ".join(value)
    click.echo(f"{name:<20}{'-' if value in (None, '') else value}")
