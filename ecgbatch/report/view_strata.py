"""Risks and strata of the report, bundle by bundle: scores of two bundles are never added up."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, time

from ecgbatch.bundle.manifest import Manifest
from ecgbatch.report import charts, spans, wording
from ecgbatch.report.charts import Chart, percent
from ecgbatch.report.numbers import Numbers
from ecgbatch.store.reporting_strata import BINS, BundleFacts
from ecgbatch.terms import ANY_VESSEL, Stratum, Vessel, counted

_TASKS = (ANY_VESSEL, *(vessel.value for vessel in Vessel))
_TOP_DOWN = tuple(reversed(Stratum))
"""High first: what somebody looks for stands on top of a table and at the foot of a column."""


@dataclass(frozen=True, slots=True)
class StratumLine:
    """One stratum of a task: what was seen in the period beside what the bundle states."""

    stratum: Stratum
    risks: str
    ecgs: str
    share: str
    width: float
    stated_share: str
    npv: str
    incidence: str


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task: its figures and its strata; a task without cuts has no lines."""

    task: str
    name: str
    is_experimental: bool
    over_time: Chart
    distribution: Chart
    lines: tuple[StratumLine, ...]
    n_ecgs: str


@dataclass(frozen=True, slots=True)
class CardView:
    """What a bundle says of itself; its texts are empty where its folder was not found."""

    definitions: tuple[tuple[str, str], ...]
    intended_use: str
    exclusions: tuple[str, ...]
    training_data: str
    citation: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BundleView:
    """A bundle with the ECGs of the period that show a score of it.

    Attributes:
        standing: whether it is champion, and since when.
    """

    anchor: str
    name: str
    version: str
    digest: str
    is_clinical: bool
    is_champion: bool
    standing: str
    has_synthetic_figures: bool
    n_ecgs: str
    n_high: str
    share_high: str
    tasks: tuple[TaskView, ...]
    card: CardView | None


def bundle_views(numbers: Numbers) -> tuple[BundleView, ...]:
    """The champion first, then every other bundle whose scores are still shown."""
    return tuple(_bundle(number, facts, numbers) for number, facts in enumerate(numbers.bundles, 1))


def _bundle(number: int, facts: BundleFacts, numbers: Numbers) -> BundleView:
    counts = _counts(numbers, facts.digest, ANY_VESSEL)
    n_ecgs = counts.total()
    return BundleView(
        f"bundle-{number}",
        facts.name,
        facts.version,
        facts.digest,
        facts.is_clinical,
        facts.is_champion,
        f"champion since {wording.moment(facts.since)}" if facts.is_champion else "former champion",
        any(one.is_synthetic for one in facts.strata.values()),
        counted(n_ecgs, "ECG"),
        f"{counts[Stratum.HIGH]:,}",
        percent(counts[Stratum.HIGH], n_ecgs),
        tuple(_task(task, facts, numbers) for task in _order(facts)),
        _card(numbers.manifests.get(facts.digest)),
    )


def _order(facts: BundleFacts) -> list[str]:
    """Any vessel first, experimental tasks last."""
    return sorted(_TASKS, key=lambda task: task in facts.experimental)


def _counts(numbers: Numbers, digest: str, task: str) -> Counter[Stratum | None]:
    counts = Counter[Stratum | None]()
    for one in numbers.strata:
        if (one.bundle_digest, one.task) == (digest, task):
            counts[one.stratum] += one.ecgs
    return counts


def _task(task: str, facts: BundleFacts, numbers: Numbers) -> TaskView:
    is_experimental = task in facts.experimental
    name = wording.task_name(task, is_experimental=is_experimental)
    counts = _counts(numbers, facts.digest, task)
    return TaskView(
        task,
        name,
        is_experimental,
        _over_time(name, task, facts.digest, numbers),
        charts.distribution(name, _bins(numbers, facts.digest, task), _cuts(facts, task)),
        tuple(
            _line(task, stratum, facts, counts)
            for stratum in _TOP_DOWN
            if (task, stratum) in facts.strata or counts[stratum]
        ),
        counted(counts.total(), "ECG"),
    )


def _over_time(name: str, task: str, digest: str, numbers: Numbers) -> Chart:
    columns = spans.daily(numbers.period)
    mine = [one for one in numbers.strata if (one.bundle_digest, one.task) == (digest, task)]
    layers = {
        stratum.value: spans.sums(
            columns,
            [
                (datetime.combine(one.day, time(), UTC), one.ecgs)
                for one in mine
                if one.stratum is stratum
            ],
        )
        for stratum in _TOP_DOWN
    }
    return charts.shares(name, columns, layers)


def _bins(numbers: Numbers, digest: str, task: str) -> list[int]:
    counts = [0] * BINS
    for one in numbers.bins:
        if (one.bundle_digest, one.task) == (digest, task):
            counts[one.place] += one.ecgs
    return counts


def _cuts(facts: BundleFacts, task: str) -> tuple[float, float] | None:
    middle = facts.strata.get((task, Stratum.INTERMEDIATE))
    return None if middle is None else (middle.cut_from, middle.cut_to)


def _line(
    task: str, stratum: Stratum, facts: BundleFacts, counts: Counter[Stratum | None]
) -> StratumLine:
    stated = facts.strata.get((task, stratum))
    n_ecgs, whole = counts[stratum], counts.total()
    return StratumLine(
        stratum,
        wording.ABSENT if stated is None else f"{stated.cut_from:.3f} to {stated.cut_to:.3f}",
        f"{n_ecgs:,}",
        percent(n_ecgs, whole),
        100 * n_ecgs / max(1, whole),
        wording.share(stated.share if stated else None),
        wording.estimate(stated.npv if stated else None),
        wording.estimate(stated.incidence if stated else None),
    )


def _card(manifest: Manifest | None) -> CardView | None:
    if manifest is None:
        return None
    return CardView(
        tuple(
            (
                wording.task_name(task.vessel, is_experimental=task.is_experimental),
                task.definition,
            )
            for task in manifest.tasks
        ),
        manifest.intended_use,
        manifest.exclusions,
        manifest.training_data,
        manifest.citation,
        manifest.notes,
    )
