"""`ecgbatch-train explain`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ecgbatch.errors import InputFault, Refusal, TransientFault
from ecgbatch.terms import ExitCode, Vessel
from training.cli.faults import faults_reported
from training.cli.options import JSON, progress

if TYPE_CHECKING:
    from training.explain.attribution import Method
    from training.explain.model import Model

METHODS = ("integrated-gradients", "grad-cam")


@click.command("explain")
@click.argument("ecgs", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--bundle",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The bundle whose output is explained.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for pages, arrays and numbers; named by each file's digest.",
)
@click.option(
    "--vessel",
    "vessels",
    multiple=True,
    type=click.Choice([vessel.value for vessel in Vessel]),
    help="Only this vessel; can be given more than once.  [default: all four]",
)
@click.option(
    "--method", type=click.Choice(METHODS), default="integrated-gradients", show_default=True
)
@click.option(
    "--sanity", is_flag=True, help="Test that the relevance depends on what the nets learned."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=42, show_default=True, help="Of --sanity."
)
@click.option("--kind", type=click.Choice(["png", "svg"]), default="png", show_default=True)
@click.option(
    "--checks",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Settings file of ecgbatch, for its quality and eligibility checks.",
)
@JSON
def command(
    ecgs: tuple[Path, ...],
    bundle: Path,
    out: Path,
    vessels: tuple[str, ...],
    method: str,
    sanity: bool,
    seed: int,
    kind: Literal["png", "svg"],
    checks: Path | None,
    as_json: bool,
) -> None:
    """Draw what moved the bundle's output over the page of each of the ECGS.

    An ECG file is any that ecgbatch reads; for WFDB the header. Integrated Gradients go from an
    input of zeros (each lead at its mean) to the ECG and add up to the change of the logit;
    Grad-CAM is one coarse curve for all leads.

    It shows what moved the model's output, not where disease is.

    --sanity makes the layers of the nets random, from the head down, on the bundle's golden ECGs,
    and measures how much of the relevance stays the same (Adebayo and others 2018).

    Exit code 1: an ECG would not be scored (the line says why), or the sanity check is not
    passed.
    """
    if not ecgs and not sanity:
        raise click.UsageError("name an ECG file, or ask for --sanity")
    from training.explain.attribution import Method
    from training.explain.model import load_model

    wanted = tuple(vessel for vessel in Vessel if not vessels or vessel in vessels)
    with faults_reported():
        model = load_model(bundle)
        answer: dict[str, object] = {"ecgs": [], "refused": []}
        if ecgs:
            answer = _explain_all(ecgs, model, wanted, Method(method), out, kind, checks)
        if sanity:
            answer["sanity"] = _check(model, wanted, Method(method), seed, out, kind)
    click.echo(json.dumps(answer, indent=1, ensure_ascii=False) if as_json else _text(answer, out))
    tested = answer.get("sanity")
    if answer["refused"] or (isinstance(tested, dict) and not tested["has_passed"]):
        sys.exit(ExitCode.ATTENTION)


def _explain_all(
    ecgs: Sequence[Path],
    model: "Model",
    vessels: tuple[Vessel, ...],
    method: "Method",
    out: Path,
    kind: Literal["png", "svg"],
    checks: Path | None,
) -> dict[str, object]:
    from ecgbatch.isolation.decoder import Decoder
    from ecgbatch.settings import load_settings
    from training.explain.explanation import explain_file
    from training.explain.files import save_ecg

    settings = load_settings(checks)
    done: list[dict[str, object]] = []
    refused: list[dict[str, object]] = []
    with Decoder(settings.isolation) as decoder, progress() as show:
        for number, path in enumerate(ecgs, start=1):
            try:
                ecg = explain_file(
                    path, model, vessels, method, decode=decoder.decode, settings=settings
                )
            except (InputFault, Refusal, TransientFault) as fault:
                click.echo(f"{path}: {fault}. {fault.advice}", err=True)
                refused.append({"file": str(path), "reason": fault.reason, "detail": fault.detail})
            else:
                done.append({"file": str(path), **save_ecg(ecg, model.bundle, out, kind)})
            show("explaining", number, len(ecgs))
    return {"ecgs": done, "refused": refused}


def _check(
    model: "Model",
    vessels: tuple[Vessel, ...],
    method: "Method",
    seed: int,
    out: Path,
    kind: Literal["png", "svg"],
) -> dict[str, object]:
    from ecgbatch.bundle.golden import golden_inputs
    from training.explain.files import save_sanity
    from training.explain.sanity import check_sanity

    bundle = model.bundle
    signals = golden_inputs(bundle.golden_signals_mv, bundle.manifest.preprocessing)
    with progress() as show:
        tested = tuple(
            check_sanity(
                model.nets, signals, model.output(one), method, name=one, seed=seed, show=show
            )
            for one in vessels
        )
    return save_sanity(tested, bundle, out, kind)


def _text(answer: dict[str, object], out: Path) -> str:
    lines = []
    ecgs, tested = answer["ecgs"], answer.get("sanity")
    for ecg in ecgs if isinstance(ecgs, list) else ():
        lines.append(f"{ecg['file']}")
        for one in ecg["vessels"]:
            stratum = one["stratum"] or "no stratum"
            lines.append(
                f"  {one['vessel']:<4} risk {one['probability']:.3f}  {stratum:<13} "
                f"{out / one['page']}"
            )
    if isinstance(tested, dict):
        for one in tested["outputs"]:
            last = one["similarities"][-1]
            verdict = "passed" if one["has_passed"] else "not passed"
            lines.append(
                f"sanity check, {one['output']:<4} {verdict}: with every layer random, rank "
                f"correlation {last['magnitude']:.2f} of |relevance|, "
                f"{last['sensitivity']:.2f} without the input factor"
            )
        lines.append(f"  {out / str(tested['figure'])}")
    from training.explain.page import MEANING

    return "\n".join([*lines, f"It {MEANING}."])
