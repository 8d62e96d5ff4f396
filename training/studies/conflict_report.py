"""What the conflict study found, as JSON and as a small table."""

from dataclasses import asdict
from typing import Any

from ecgbatch.terms import Vessel
from training.studies.conflict import ARMS, Comparison, StudySettings

NAMES = {"none": "plain mean of the task gradients", "pcgrad": "PCGrad"}


def as_json(settings: StudySettings, found: Comparison) -> dict[str, Any]:
    """All figures, with the settings they belong to."""
    return {"settings": settings.model_dump(mode="json"), **asdict(found)}


def as_markdown(found: Comparison) -> str:
    """One row per seed, then the paired difference."""
    by_seed = {(fit.seed, fit.projection): fit for fit in found.fits}
    seeds = list(dict.fromkeys(fit.seed for fit in found.fits))
    lines = ["| seed | plain | PCGrad | difference |", "|---|---|---|---|"]
    for seed, difference in zip(seeds, found.differences, strict=True):
        plain, pcgrad = (by_seed[seed, arm].mean_auc for arm in ARMS)
        lines.append(f"| {seed} | {plain:.4f} | {pcgrad:.4f} | {difference:+.4f} |")
    freedom = len(seeds) - 1
    lines += [
        "",
        f"Mean difference {found.mean:+.4f}, 95 % CI {found.low:+.4f} to {found.high:+.4f} "
        f"(t, {freedom} {'degree' if freedom == 1 else 'degrees'} of freedom), "
        f"p = {found.p_value:.2f}. {verdict(found)}",
        "",
        "| mean AUC of | " + " | ".join(Vessel) + " |",
        "|---|" + "---|" * len(Vessel),
    ]
    for arm in ARMS:
        aucs = [fit.aucs for fit in found.fits if fit.projection == arm]
        means = (sum(column) / len(column) for column in zip(*aucs, strict=True))
        lines.append(f"| {NAMES[arm]} | " + " | ".join(f"{mean:.4f}" for mean in means) + " |")
    conflicts = [fit.conflicts for fit in found.fits if fit.projection == "pcgrad"]
    n_pairs = len(Vessel) * (len(Vessel) - 1) // 2
    lines += [
        "",
        f"Pairs of tasks in conflict per step: {sum(conflicts) / len(conflicts):.1f} of {n_pairs}.",
    ]
    return "\n".join(lines) + "\n"


def verdict(found: Comparison) -> str:
    """In words what the interval says; it never says more."""
    if found.low > 0.0:
        return "PCGrad is better here."
    if found.high < 0.0:
        return "PCGrad is worse here."
    return "The interval contains no difference."
