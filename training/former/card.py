"""The demonstration bundle's card, as Markdown: what it is made of and what it is not."""

import os
import platform
from collections.abc import Iterator

import numpy as np
import torch

from ecgbatch.terms import DEMONSTRATION_NOTICE, Vessel
from training.former.demonstration import Demonstration
from training.former.evaluation import Estimate
from training.former.operating_points import Cuts
from training.former.report import TaskReport
from training.former.settings import DemonstrationSettings

COMMAND = "ecgbatch-train demo-bundle --config config/train.demo.toml --out DIR --card FILE"

_LIMITS = """\
## What is not realistic

* The beat is a sum of Gaussian waves on one moving dipole; a real heart's field is not a dipole,
  least of all near the chest electrodes.
* A stenosis acts on Q wave, ST segment and T wave along one fixed direction per vessel. Real
  anatomy differs (right or left dominance), collaterals protect, and a resting ECG with severe
  stenosis is often normal; how often, this cohort does not claim to know.
* Sinus rhythm only: no atrial fibrillation, ectopic beats, bundle branch block, pacing,
  hypertrophy, old infarction of other cause, drugs or electrolytes.
* No electrode swap, saturation or lost lead; one device; mains at 50 Hz.
* Prevalences are raised, left main above all (really about 0.1 % of patients sent to CCTA), so
  risks, shares, NPV and incidences carry over to nobody.
* Age and sex move wave sizes a little and disease a little; nothing else is known of a patient,
  and there is no follow-up.
* Grades are drawn, not read by anyone: there is no reader error in them.
"""


def render_card(settings: DemonstrationSettings, built: Demonstration, seconds: float) -> str:
    """The card. Times and machine stand here and not in the bundle, whose bytes must repeat."""
    return "\n".join(
        (
            *_head(settings, built),
            *_ranking(built),
            *_cuts(built),
            *_strata(built),
            *_groups(built),
            _LIMITS,
            *_making(settings, built, seconds),
        )
    )


def _head(settings: DemonstrationSettings, built: Demonstration) -> Iterator[str]:
    n_train, n_cut, n_test = built.n_ecgs
    manifest = built.bundle.manifest
    yield f"# Card: {manifest.name}, version {manifest.version}\n"
    yield f"**{DEMONSTRATION_NOTICE}.** It shows that the pipeline works, nothing about patients;"
    yield "low does not exclude disease. Written by `ecgbatch-train demo-bundle`; the numbers are"
    yield "those of the bundle with this digest:\n"
    yield f"`{built.bundle.digest}`\n"
    yield "## Cohort\n"
    yield f"{settings.cohort.n_patients} synthetic patients with {settings.cohort.ecgs_per_patient}"
    yield "ECG each (12 leads, 10 s, 500 Hz), from `training/synthetic.py` with every number in"
    yield "`config/train.demo.toml`. Three parts, disjoint by patient:\n"
    yield "| part | ECGs | for |"
    yield "|---|---|---|"
    yield f"| train | {n_train} | the weights |"
    yield f"| cut | {n_cut} | the operating points; never seen by the weights |"
    yield f"| test | {n_test} | everything reported below; never seen by either |\n"
    yield "Positive: grade severe or occluded. Share of positives drawn: " + ", ".join(
        f"{vessel} {_percent(sum(settings.cohort.grade_shares[vessel][3:]))}" for vessel in Vessel
    )
    missing = _percent(settings.cohort.not_assessable_share)
    yield f"({missing} of the labels are missing on purpose and masked). The prevalence of LM is"
    yield "raised so that its cut split has at least 100 positives. LM is experimental: it has cuts"
    yield "of its own, but no part in any vessel. Any vessel is the maximum of RCA, LAD and LCX.\n"


def _ranking(built: Demonstration) -> Iterator[str]:
    yield "## Synthetic AUC on the held-out test part\n"
    yield "95 % intervals: patients resampled.\n"
    yield "| | synthetic AUC | ECGs | positives |"
    yield "|---|---|---|---|"
    for report in built.reports:
        overall = report.aucs[0]
        yield (
            f"| {_name(report)} | {_number(overall.auc)} | {overall.n} | {overall.n_positives} |"
        )
    yield ""


def _cuts(built: Demonstration) -> Iterator[str]:
    yield "## Operating points, synthetic\n"
    yield "Set on the cut part; held: the same cut on the test part.\n"
    yield "| | cut | value | target | on the cut part | held on the test part | positives |"
    yield "|---|---|---|---|---|---|---|"
    for report in built.reports:
        if not isinstance(report.cuts, Cuts):
            yield f"| {_name(report)} | none | | | {report.cuts.reason} | | |"
            continue
        rows = (
            ("low", report.cuts.low, report.held_low),
            ("high", report.cuts.high, report.held_high),
        )
        for which, point, held in rows:
            yield (
                f"| {_name(report)} | {which} | {point.value:.4f} | {point.kind} {point.target:.2f}"
                f" | {_number(point.estimate)} | {_number(held)} | {point.n_positives} |"
            )
    yield ""


def _strata(built: Demonstration) -> Iterator[str]:
    yield "## Strata on the test part, synthetic\n"
    yield "| | stratum | share of ECGs | observed incidence | NPV |"
    yield "|---|---|---|---|---|"
    for report in built.reports:
        for index, facts in enumerate(report.strata):
            npv = _number(facts.npv) if index == 0 else ""
            yield (
                f"| {_name(report)} | {facts.stratum} | {_percent(facts.share)}"
                f" | {_number(facts.incidence)} | {npv} |"
            )
    yield ""


def _groups(built: Demonstration) -> Iterator[str]:
    groups = [group.group for group in built.reports[0].aucs[1:]]
    yield "## Synthetic AUC by subgroup, test part\n"
    yield f"| | {' | '.join(groups)} |"
    yield "|---" * (len(groups) + 1) + "|"
    for report in built.reports:
        cells = " | ".join(_number(group.auc) for group in report.aucs[1:])
        yield f"| {_name(report)} | {cells} |"
    yield ""


def _making(settings: DemonstrationSettings, built: Demonstration, seconds: float) -> Iterator[str]:
    fit = settings.fit
    n_weights = sum(tensor.numel() for tensor in built.bundle.members[0].values())
    tolerance = next(iter(built.bundle.manifest.golden_tolerance.values()))
    weights = ", ".join(
        f"{vessel} {weight:.2f}"
        for vessel, weight in zip(Vessel, built.last_step.weights, strict=True)
    )
    yield "## How it was made\n"
    yield f"* Net1D, reduced: {n_weights} numbers. {fit.epochs} epochs of batches of"
    yield f"  {fit.batch_size}, AdamW, warm-up and cosine, masked cross entropy, projection"
    yield f"  `{fit.projection}`, uncertainty weights (at the end: {weights}). The number of epochs"
    yield "  is fixed; no checkpoint was chosen."
    yield f"* Preprocessing `{settings.bundle.preset}`."
    yield f"* {settings.bundle.n_golden} golden ECGs, synthetic, of patients in no part; tolerance"
    yield f"  on a logit {tolerance:.2g}, measured (ten times the largest difference to double"
    yield "  precision, at least 1e-4)."
    yield f"* Proof: scored again by ecgbatch, {built.n_proved} ECGs of the test part gave the same"
    yield f"  probabilities within {built.largest_difference:.1g}."
    yield f"* Command: `{COMMAND}`"
    yield "  (`make demo-bundle`)."
    yield f"* Time: {seconds:.0f} s with {fit.threads} threads on {os.cpu_count()} cores"
    yield f"  ({platform.machine()}), Python {platform.python_version()}, PyTorch"
    yield f"  {torch.__version__}, NumPy {np.__version__}. A rebuild on one machine gives the same"
    yield "  bytes; another one rounds differently and gives another digest.\n"


def _name(report: TaskReport) -> str:
    if report.scope == "any_vessel":
        return "any vessel"
    return f"{report.scope} (experimental)" if report.is_experimental else str(report.scope)


def _number(found: Estimate | None) -> str:
    return "" if found is None else f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
