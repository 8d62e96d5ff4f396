"""`ecgbatch convert`."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from ecgbatch.cli.options import print_json
from ecgbatch.errors import InputFault, Refusal, TransientFault
from ecgbatch.settings import load_settings
from ecgbatch.terms import ExitCode

_KINDS = ("npy", "wfdb", "parquet")


@dataclass(frozen=True, slots=True)
class _Converted:
    ecg: str
    array: str
    padded_samples: int
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Refused:
    ecg: str
    reason: str
    detail: str
    advice: str

    @property
    def line(self) -> str:
        detail = f": {self.detail}" if self.detail else ""
        return f"{self.ecg}: {self.reason}{detail}. {self.advice}"


@click.command("convert")
@click.argument(
    "inputs",
    metavar="IN...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write into; made if it is not there.",
)
@click.option("--to", "kind", required=True, type=click.Choice(_KINDS), help="What to write.")
@click.option("--strict", is_flag=True, help="What scoring would reject is refused here too.")
@click.option("--with-places", is_flag=True, help="Name the files inside the folders given.")
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Settings file (TOML), for its checks.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    inputs: tuple[Path, ...],
    out: Path,
    kind: str,
    strict: bool,
    with_places: bool,
    config_file: Path | None,
    as_json: bool,
) -> None:
    """Write ECGs as standard arrays: 12 x 5000 float32 mV at 500 Hz, first 10 s, unfiltered.

    IN is a file (for WFDB the header) or a folder, which is read with all below it. Each array
    is named by the digest of its file, never by the file's name, which may name a patient; what
    the checks found stands beside it in a .json, without identity. An ECG that lacks a lead, is
    shorter than 9.8 s or has invalid samples in the window has no such array and is refused.

    Exit code 0: all converted. 1: some were refused, each with a line on standard error.
    """
    converted: list[_Converted] = []
    refused: list[_Refused] = []
    for one in _convert(inputs, out, kind, strict, with_places, config_file):
        if isinstance(one, _Converted):
            converted.append(one)
            continue
        refused.append(one)
        click.echo(one.line, err=True)
    if as_json:
        print_json({"converted": converted, "refused": refused})
    else:
        arrays = len({one.array for one in converted})
        click.echo(f"converted {len(converted)} into {arrays} arrays, refused {len(refused)}")
    sys.exit(ExitCode.ATTENTION if refused else ExitCode.DONE)


def _convert(
    inputs: tuple[Path, ...],
    out: Path,
    kind: str,
    strict: bool,
    with_places: bool,
    config_file: Path | None,
) -> Iterator[_Converted | _Refused]:
    from ecgbatch.array_files import write
    from ecgbatch.convert import places, standardise
    from ecgbatch.isolation.decoder import Decoder

    settings = load_settings(config_file)
    _make(out)
    with Decoder(settings.isolation) as decoder:
        for stated in inputs:
            for number, place in enumerate(places(stated, settings.limits.recording_bytes, out), 1):
                ecg = place.name(number, with_locator=with_places)
                try:
                    standard = standardise(place.read(), decoder.decode, settings, strict=strict)
                    array = write(standard, out, kind)
                except (InputFault, Refusal, TransientFault) as fault:
                    yield _Refused(ecg, fault.reason, fault.detail, fault.advice)
                    continue
                reasons = tuple(finding.reason for finding in standard.findings)
                yield _Converted(ecg, array.name, standard.padded_samples, reasons)


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise click.UsageError("--out cannot be made") from None
