"""What is known of a fitted net: cuts from one part of the cohort, how they hold on another."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgbatch.terms import Vessel
from training.former.evaluation import Bootstrap, Estimate, Scores, any_vessel_label, auc
from training.former.operating_points import (
    FEW_POSITIVES,
    Cuts,
    NoCuts,
    StratumFacts,
    hold,
    maximum,
    set_cuts,
    stratum_facts,
)
from training.former.settings import OperatingPointSettings

Array = NDArray[np.float64]
Scope = Vessel | Literal["any_vessel"]
OVERALL = "overall"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One part of the cohort with its probabilities.

    Attributes:
        labels, probabilities: (N, 4) in the order of Vessel; a missing label is NaN.
        patients: (N,) who each ECG is of.
        groups: names of subgroups with (N,) booleans.
    """

    labels: Array
    probabilities: Array
    patients: tuple[str, ...]
    groups: Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True, slots=True)
class GroupAuc:
    """AUC in one group; None where one class is absent."""

    group: str
    auc: Estimate | None
    n: int
    n_positives: int


@dataclass(frozen=True, slots=True)
class TaskReport:
    """One task or any vessel.

    Attributes:
        cuts: from the cut part. aucs: on the test part, overall first.
        held_low: sensitivity of the low cut on the test part; held_high: specificity of the high.
        strata: on the test part; empty without cuts.
    """

    scope: Scope
    is_experimental: bool
    cuts: Cuts | NoCuts
    aucs: tuple[GroupAuc, ...]
    held_low: Estimate | None
    held_high: Estimate | None
    strata: tuple[StratumFacts, ...]

    @property
    def warning(self) -> str | None:
        """What to say where the cuts rest on few positives, or where there are none."""
        if isinstance(self.cuts, NoCuts):
            return f"{self.scope}: no cuts: {self.cuts.reason}"
        n_positives = self.cuts.low.n_positives
        if n_positives < FEW_POSITIVES:
            return f"{self.scope}: cuts rest on {n_positives} positives"
        return None


def report_all(
    cut: Part, test: Part, settings: OperatingPointSettings, bootstrap: Bootstrap
) -> tuple[TaskReport, ...]:
    """Four vessels in order, then any vessel.

    Raises:
        SetupFault: `cuts_inverted`.
    """
    is_experimental = [vessel in settings.experimental for vessel in Vessel]
    reports = [
        _report(
            vessel,
            is_experimental[index],
            (_column(cut, index), _column(test, index)),
            groups=test.groups,
            targets=(settings.low_sensitivity, settings.high_specificity[vessel]),
            bootstrap=bootstrap,
        )
        for index, vessel in enumerate(Vessel)
    ]
    any_vessel = _report(
        "any_vessel",
        False,
        (_largest(cut, is_experimental), _largest(test, is_experimental)),
        groups=test.groups,
        targets=(settings.low_sensitivity, settings.any_vessel_high_specificity),
        bootstrap=bootstrap,
    )
    return (*reports, any_vessel)


def _report(
    scope: Scope,
    is_experimental: bool,
    parts: tuple[Scores, Scores],
    *,
    groups: Mapping[str, NDArray[np.bool_]],
    targets: tuple[float, float],
    bootstrap: Bootstrap,
) -> TaskReport:
    cut, test = parts
    cuts = set_cuts(cut, *targets, bootstrap)
    everyone = {OVERALL: np.ones(len(test.labels), dtype=bool)}
    aucs = tuple(
        _group_auc(name, test.at(np.flatnonzero(belongs)), bootstrap)
        for name, belongs in {**everyone, **groups}.items()
    )
    if isinstance(cuts, NoCuts):
        return TaskReport(scope, is_experimental, cuts, aucs, None, None, ())
    return TaskReport(
        scope=scope,
        is_experimental=is_experimental,
        cuts=cuts,
        aucs=aucs,
        held_low=hold(test, cuts.low, bootstrap),
        held_high=hold(test, cuts.high, bootstrap),
        strata=stratum_facts(test, cuts.low.value, cuts.high.value, bootstrap),
    )


def _group_auc(group: str, task: Scores, bootstrap: Bootstrap) -> GroupAuc:
    known = task.known()
    n_positives = int((known.labels == 1).sum())
    return GroupAuc(group, auc(known, bootstrap), len(known.labels), n_positives)


def _column(part: Part, index: int) -> Scores:
    return Scores(part.labels[:, index], part.probabilities[:, index], part.patients)


def _largest(part: Part, is_experimental: list[bool]) -> Scores:
    counted = ~np.asarray(is_experimental)
    return Scores(
        any_vessel_label(part.labels[:, counted]),
        maximum(part.probabilities, is_experimental),
        part.patients,
    )
