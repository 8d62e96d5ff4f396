"""An explanation over the 12-lead page, with what it means and what it does not."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from ecgbatch.bundle.load import Bundle
from ecgbatch.picture import Overlay, draw
from ecgbatch.terms import DEMONSTRATION_NOTICE, LEADS, SAMPLING_FREQUENCY, Stratum
from training.explain.attribution import Attribution, Method
from training.explain.explanation import ExplainedECG, Explanation

Array = NDArray[np.float64]

MEANING = "shows what moved the model's output, not where disease is"

_SMOOTHING_MS = 20.0
"""SD: about a quarter of a QRS complex. Only for the eye; the arrays are saved as they are."""
_FULL_COLOUR_PERCENTILE = 99.5
_METHODS = {Method.INTEGRATED_GRADIENTS: "Integrated Gradients", Method.GRAD_CAM: "Grad-CAM"}


def draw_page(
    ecg: ExplainedECG, explanation: Explanation, bundle: Bundle, kind: Literal["png", "svg"]
) -> bytes:
    """The page of one vessel; the same bytes for the same arguments."""
    return draw(
        ecg.recording,
        heading(ecg, explanation, bundle),
        kind,
        overlay(ecg, explanation.attribution),
    )


def heading(ecg: ExplainedECG, explanation: Explanation, bundle: Bundle) -> list[str]:
    """Three lines: the risk, the model, the method."""
    manifest, attribution = bundle.manifest, explanation.attribution
    model = f"{manifest.name}, version {manifest.version}, bundle {bundle.digest[:12]}"
    if not manifest.is_clinical:
        model += f": {DEMONSTRATION_NOTICE}"
    method = (
        f"{_METHODS[attribution.method]}: {MEANING}. Logit {attribution.logit:.2f}; "
        f"{attribution.baseline_logit:.2f} if every lead stayed at its mean"
    )
    return [_risk(ecg, explanation, bundle), model, method]


def _risk(ecg: ExplainedECG, explanation: Explanation, bundle: Bundle) -> str:
    parts = [f"{explanation.vessel}: risk {explanation.probability:.3f}"]
    task = next(one for one in bundle.manifest.tasks if one.vessel == explanation.vessel)
    if explanation.stratum is None or task.cuts is None:
        parts.append("no stratum: the bundle has no cuts for it")
    else:
        low, high = task.cuts.low.value, task.cuts.high.value
        parts.append(f"stratum {explanation.stratum} (low below {low:.3g}, high from {high:.3g})")
    if explanation.stratum is Stratum.LOW:
        parts.append("low does not exclude disease")
    if explanation.is_experimental:
        parts.append("experimental")
    if ecg.outside_intended_use:
        parts.append("outside the intended use")
    return "; ".join(parts)


def overlay(ecg: ExplainedECG, attribution: Attribution) -> Overlay:
    """The relevance by time, smoothed for the eye; the model's first sample is the page's."""
    shown = smoothed(attribution.relevance)
    limit = float(np.percentile(np.abs(shown), _FULL_COLOUR_PERCENTILE)) or 1.0
    is_map = attribution.method is Method.GRAD_CAM
    return Overlay(
        values=_without_padding(shown, ecg.prepared.padded_samples),
        lead_names=LEADS,
        sampling_frequency=SAMPLING_FREQUENCY,
        limit=limit,
        below="lowers the output" if is_map else f"lowers the output  {-limit:.2g}",
        above="raises the output" if is_map else f"+{limit:.2g} logit/s  raises the output",
        lead_notes={} if is_map else _lead_notes(attribution.relevance),
        note=_note(ecg, attribution),
    )


def smoothed(relevance: Array) -> Array:
    """(12, n) per sample -> per second, with a Gaussian of 20 ms."""
    width = _SMOOTHING_MS / 1000 * SAMPLING_FREQUENCY
    result: Array = gaussian_filter1d(relevance, width, axis=1, mode="nearest")
    return result * SAMPLING_FREQUENCY


def _without_padding(values: Array, padded_samples: int) -> Array:
    return values[:, : values.shape[1] - padded_samples] if padded_samples else values


def _lead_notes(relevance: Array) -> dict[str, str]:
    return {name: f"{row.sum():+.2f}" for name, row in zip(LEADS, relevance, strict=True)}


def _note(ecg: ExplainedECG, attribution: Attribution) -> str:
    digest = f"ECG {ecg.file_digest[:12]}."
    if attribution.method is Method.GRAD_CAM:
        fine_s = attribution.resolution / SAMPLING_FREQUENCY
        return f"{digest} One curve for all leads, no finer than {fine_s:.2g} s: it tells no lead"
    total = attribution.relevance.sum()
    note = f"{digest} Above each name the lead's sum over 10 s in logits; all leads {total:+.2f}"
    if not attribution.is_complete:
        note += f" (does not add up: off by {attribution.completeness_delta:+.2g})"
    return note
