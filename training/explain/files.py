"""Explanations and the result of the sanity check as files and as plain values."""

from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgbatch.bundle.load import Bundle
from ecgbatch.bundle.save import npz_bytes
from ecgbatch.terms import DEMONSTRATION_NOTICE, LEADS, SAMPLING_FREQUENCY, Vessel
from training.explain.attribution import Method
from training.explain.explanation import ExplainedECG, Explanation
from training.explain.page import MEANING, draw_page
from training.explain.sanity import SanityCheck
from training.explain.sanity_figure import draw_sanity
from training.folder import write_json, write_whole

Kind = Literal["png", "svg"]


def save_ecg(ecg: ExplainedECG, bundle: Bundle, out: Path, kind: Kind) -> dict[str, object]:
    """A page per vessel, the arrays (`.npz`) and the numbers (`.json`), named by the file digest.

    The arrays: `input` and per vessel `relevance_LAD`, (12, 5000) at 500 Hz, rows in the order of
    `leads`, as the nets saw and the method gave them, not smoothed.

    Returns:
        The numbers.

    Raises:
        OSError: the folder cannot be written.
    """
    method = ecg.explanations[0].attribution.method
    stem = f"{ecg.file_digest[:12]}-{method}"
    arrays: dict[str, NDArray[np.generic]] = {
        "input": ecg.prepared.signal,
        "leads": np.array(LEADS),
        "sampling_frequency": np.array(SAMPLING_FREQUENCY),
    }
    pages: dict[Vessel, str] = {}
    for explanation in ecg.explanations:
        arrays[f"relevance_{explanation.vessel}"] = explanation.attribution.relevance.astype(
            np.float32
        )
        pages[explanation.vessel] = f"{stem}-{explanation.vessel}.{kind}"
        _write(out / pages[explanation.vessel], draw_page(ecg, explanation, bundle, kind))
    _write(out / f"{stem}.npz", npz_bytes(arrays))
    numbers: dict[str, object] = {
        "file_digest": ecg.file_digest,
        **_bundle(bundle),
        "meaning": MEANING,
        "method": method,
        "outside_intended_use": ecg.outside_intended_use,
        "padded_samples": ecg.prepared.padded_samples,
        "arrays": f"{stem}.npz",
        "vessels": [{"page": pages[one.vessel], **_explanation(one)} for one in ecg.explanations],
    }
    write_json(out / f"{stem}.json", numbers)
    return numbers


def save_sanity(
    checks: tuple[SanityCheck, ...], bundle: Bundle, out: Path, kind: Kind
) -> dict[str, object]:
    """`sanity-METHOD.json` and its figure.

    Raises:
        OSError: the folder cannot be written.
    """
    method, n_ecgs, seed = checks[0].method, checks[0].n_ecgs, checks[0].seed
    stem = f"sanity-{method}"
    title = (
        f"{method}, cascading randomisation, {n_ecgs} golden ECGs, seed {seed}\n"
        f"{bundle.manifest.name}, version {bundle.manifest.version}, bundle {bundle.digest[:12]}"
    )
    numbers: dict[str, object] = {
        **_bundle(bundle),
        "method": method,
        "n_ecgs": n_ecgs,
        "seed": seed,
        "has_passed": all(check.has_passed for check in checks),
        "figure": f"{stem}.{kind}",
        "outputs": [
            {
                "output": check.output,
                "has_passed": check.has_passed,
                "input_magnitude": check.input_magnitude,
                "similarities": [asdict(one) for one in check.similarities],
            }
            for check in checks
        ],
    }
    _write(out / f"{stem}.{kind}", draw_sanity(checks, title, kind))
    write_json(out / f"{stem}.json", numbers)
    return numbers


def _bundle(bundle: Bundle) -> dict[str, object]:
    manifest = bundle.manifest
    return {
        "bundle_name": manifest.name,
        "bundle_version": manifest.version,
        "bundle_digest": bundle.digest,
        "is_clinical": manifest.is_clinical,
        "notice": None if manifest.is_clinical else DEMONSTRATION_NOTICE,
    }


def _explanation(explanation: Explanation) -> dict[str, object]:
    attribution = explanation.attribution
    is_map = attribution.method is Method.GRAD_CAM
    per_lead = attribution.relevance.sum(axis=1)
    return {
        "vessel": explanation.vessel,
        "probability": explanation.probability,
        "stratum": explanation.stratum,
        "is_experimental": explanation.is_experimental,
        "logit": attribution.logit,
        "baseline_logit": attribution.baseline_logit,
        "n_steps": attribution.n_steps,
        "completeness_delta": attribution.completeness_delta,
        "is_complete": attribution.is_complete,
        "relevance_per_lead": None
        if is_map
        else {name: float(value) for name, value in zip(LEADS, per_lead, strict=True)},
    }


def _write(path: Path, content: bytes) -> None:
    write_whole(path, lambda aside: aside.write_bytes(content))
