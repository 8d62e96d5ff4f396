"""The numbers of a card: metrics, operating points, strata, calibration."""

from collections.abc import Iterator
from typing import Literal

from ecgbatch.bundle.operating_points import Scope
from ecgbatch.terms import Stratum
from training.export.card_tables import cells, head
from training.export.finished import FinishedRun
from training.export.manifest import OVERALL, stratum_entry
from training.operating_points.points import SetCut, SetCuts, scope_name
from training.operating_points.table import HEAD, number, rows
from training.records import Measure
from training.terms import Quantity

_RANKING = (Quantity.AUROC, Quantity.AUPRC)
_HELD: tuple[tuple[Quantity, Literal["low", "high"]], ...] = (
    (Quantity.SENSITIVITY, "low"),
    (Quantity.SPECIFICITY, "high"),
)
_CALIBRATION = (
    Quantity.BRIER,
    Quantity.CALIBRATION_SLOPE,
    Quantity.CALIBRATION_INTERCEPT,
    Quantity.ECE,
)


def metrics(run: FinishedRun) -> Iterator[str]:
    """Ranking overall and by subgroup, on the test part."""
    yield f"## {_kind(run)}etrics on the test part\n\nWith 95 % intervals over patients.\n"
    yield from head("", *(quantity.value for quantity in _RANKING), "ECGs", "positives")
    for scope in _scopes(run):
        found = {one.quantity: one for one in _of(run, scope) if one.quantity in _RANKING}
        seen = next(iter(found.values()), None)
        yield cells(
            _name(run, scope),
            *(_shown(found.get(quantity)) for quantity in _RANKING),
            *(("", "") if seen is None else (seen.n, seen.n_positives)),
        )
    macro = {one.quantity: one for one in run.measures if _is_macro(one)}
    if macro:
        yield cells("macro mean", *(_shown(macro.get(quantity)) for quantity in _RANKING), "", "")
    yield ""
    yield from _out_of_fold(run)
    groups = dict.fromkeys(
        one.group for one in run.measures if one.group != OVERALL and one.quantity is Quantity.AUROC
    )
    if not groups:
        return
    yield f"## {_kind(run)}etrics by subgroup, test part\n"
    yield from head(
        "",
        "subgroup",
        *(quantity.value for quantity in _RANKING),
        "sensitivity, low cut",
        "specificity, high cut",
        "ECGs",
        "positives",
    )
    for scope in _scopes(run):
        for group in groups:
            yield from _group(run, scope, group)
    yield ""


def _out_of_fold(run: FinishedRun) -> Iterator[str]:
    """What the fold models gave, where they were evaluated."""
    found = {
        (one.scope, one.quantity): one
        for one in run.out_of_fold
        if one.group == OVERALL and one.cut is None and one.stratum is None
    }
    if not found:
        return
    yield f"## {_kind(run)}etrics out of fold\n"
    yield "Every ECG under the fold model that has not seen it: of the recipe, not of the weights"
    yield "in this bundle.\n"
    yield from head("", *(quantity.value for quantity in _RANKING), "ECGs", "positives")
    scopes: tuple[Scope | Literal["macro"], ...] = (*_scopes(run), "macro")
    for scope in scopes:
        auroc = found.get((scope, Quantity.AUROC))
        if auroc is not None:
            name = "macro mean" if auroc.scope == "macro" else _name(run, auroc.scope)
            numbers = (_shown(found.get((scope, quantity))) for quantity in _RANKING)
            yield cells(name, *numbers, auroc.n, auroc.n_positives)
    yield ""


def _is_macro(one: Measure) -> bool:
    return one.scope == "macro" and one.group == OVERALL and one.quantity in _RANKING


def operating_points(run: FinishedRun) -> Iterator[str]:
    """Cuts with both intervals, how they hold, and the ties on them."""
    points = run.points
    yield "## Operating points\n"
    yield f"Set on {points.n_cut} index ECGs of the cut part, held: the same cut on the"
    yield f"{points.n_test} of the test part. The interval of a cut is that of the cut set anew on"
    yield f"resampled patients ({points.n_resamples} times).\n"
    yield from head(*HEAD, "positives", "ECGs on the cut")
    counts = [_counts(cut) for _, cuts in points.scopes() for cut in _both(cuts)]
    yield from (cells(*row, *count) for row, count in zip(rows(points), counts, strict=True))
    yield "\nECGs on a cut count as at or above it.\n"


def strata(run: FinishedRun) -> Iterator[str]:
    """Share, NPV and observed incidence per stratum; events after the ECG where known."""
    yield "## Strata on the test part\n"
    yield "Observed incidence: share of positives in the stratum. Low does not exclude disease.\n"
    yield from head("", "stratum", "share of ECGs", "observed incidence", "NPV")
    for scope, cuts in run.points.scopes():
        for stratum in Stratum if cuts is not None else ():
            one = stratum_entry(run, scope, stratum)
            of_all = "-" if one.share is None else f"{100 * one.share:.1f} %"
            npv = number(one.npv) if stratum is Stratum.LOW else ""
            yield cells(_name(run, scope), stratum, of_all, number(one.observed_incidence), npv)
    yield ""
    events = [
        one
        for one in run.measures
        if one.quantity is Quantity.CUMULATIVE_INCIDENCE and one.group == OVERALL
    ]
    if not events:
        return
    yield "Cumulative incidence of the event after the ECG:\n"
    yield from head("", "stratum", "day", "cumulative incidence", "ECGs")
    for event in events:
        day = "" if event.at is None else f"{event.at:g}"
        name = "macro" if event.scope == "macro" else _name(run, event.scope)
        yield cells(name, event.stratum or "all", day, _shown(event), event.n)
    yield ""


def calibration(run: FinishedRun) -> Iterator[str]:
    """How probabilities agree with frequencies on the test part."""
    yield "## Calibration on the test part\n"
    yield from head("", *(quantity.value for quantity in _CALIBRATION))
    for scope in _scopes(run):
        found = {one.quantity: one for one in _of(run, scope)}
        yield cells(_name(run, scope), *(_shown(found.get(quantity)) for quantity in _CALIBRATION))
    yield ""


def _group(run: FinishedRun, scope: Scope, group: str) -> Iterator[str]:
    found = {
        one.quantity: one
        for one in run.measures
        if one.scope == scope and one.group == group and one.quantity in _RANKING
    }
    if Quantity.AUROC not in found:
        return
    auroc = found[Quantity.AUROC]
    at_cut = {
        (one.quantity, one.cut): one
        for one in run.measures
        if one.scope == scope and one.group == group
    }
    yield cells(
        _name(run, scope),
        group,
        *(_shown(found.get(quantity)) for quantity in _RANKING),
        *(_shown(at_cut.get(pair)) for pair in _HELD),
        auroc.n,
        auroc.n_positives,
    )


def _of(run: FinishedRun, scope: Scope) -> Iterator[Measure]:
    """Overall, not at a cut and not in a stratum."""
    for one in run.measures:
        if one.scope == scope and one.group == OVERALL and one.cut is None and one.stratum is None:
            yield one


def _scopes(run: FinishedRun) -> Iterator[Scope]:
    for scope, _ in run.points.scopes():
        yield scope


def _both(cuts: SetCuts | None) -> tuple[SetCut | None, ...]:
    """As many as the scope has rows in the table."""
    return (None,) if cuts is None else (cuts.low, cuts.high)


def _counts(cut: SetCut | None) -> tuple[str, str]:
    if cut is None:
        return "", ""
    return str(cut.set_on.n_positives), str(cut.set_on.n_at_cut)


def _name(run: FinishedRun, scope: Scope) -> str:
    name = scope_name(scope)
    return f"{name} (experimental)" if scope in run.points.experimental else name


def _shown(measure: Measure | None) -> str:
    if measure is None:
        return "-"
    found = measure.estimate
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _kind(run: FinishedRun) -> str:
    return "Synthetic m" if run.is_drawn else "M"
