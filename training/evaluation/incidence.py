"""New myocardial infarction after the ECG, by stratum: curves, fixed days, log-rank test."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
from lifelines.statistics import multivariate_logrank_test

from ecgbatch.bundle.operating_points import Scope
from ecgbatch.terms import Stratum
from training.evaluation import incidence_figures
from training.evaluation.competing import Curve, Ending, Endings, cumulative_incidence
from training.evaluation.follow_up import FollowUp, follow_up
from training.evaluation.section import Context, Findings, Picture, Table
from training.evaluation.style import named
from training.evaluation.wording import percent
from training.records import Array, Estimate, Measure, Rows
from training.settings.evaluation import IncidenceSettings
from training.statistics.any_vessel import SCOPES, task_of
from training.statistics.decisions import classes
from training.terms import Quantity

TITLE = "Events after the ECG"
_DATES = ("ecg_at", "event_at", "followed_until")


@dataclass(frozen=True, slots=True, eq=False)
class OfScope:
    """The strata of one scope that hold anyone.

    Attributes:
        log_rank: None with fewer than two strata or without an event.
    """

    scope: Scope
    name: str
    curves: dict[Stratum, Curve] = field(repr=False)
    log_rank: float | None


def examine(context: Context) -> Findings:
    """Cumulative incidence per stratum of each vessel and of any vessel.

    One row per patient: the first ECG. Aalen-Johansen where death competes, else Kaplan-Meier.
    """
    study, settings = context.study, context.settings.incidence
    if missing := [name for name in _DATES if not study.covariates[name].notna().any()]:
        return Findings(TITLE, notes=(f"Not examined: no {' and no '.join(missing)}.",))
    found = follow_up(study, settings)
    if not context.cuts or not found.rows.size:
        why = "there are no cuts" if not context.cuts else "nobody is followed past the landmark"
        return Findings(TITLE, tables=_left_out(found, settings), notes=(f"Not examined: {why}.",))
    scopes = [
        _of_scope(
            scope,
            named(scope, study.experimental),
            classes(task_of(study, scope).scores[found.rows], context.cuts[scope]),
            found,
        )
        for scope in SCOPES
        if scope in context.cuts
    ]
    return Findings(
        TITLE,
        measures=tuple(one for scope in scopes for one in _measures(scope, settings)),
        tables=(
            *(_table(scope, settings) for scope in scopes),
            _log_ranks(scopes),
            *_left_out(found, settings),
        ),
        pictures=_pictures(context, scopes),
        notes=_notes(found, settings, scopes),
    )


def _of_scope(scope: Scope, name: str, places: Rows, found: FollowUp) -> OfScope:
    curves = {
        stratum: cumulative_incidence(
            found.days[places == place],
            found.endings[places == place],
            death_competes=_competes(found),
        )
        for place, stratum in enumerate(Stratum)
        if (places == place).any()
    }
    return OfScope(scope, name, curves, log_rank(found.days, found.endings, places))


def _competes(found: FollowUp) -> bool:
    return bool((found.endings == Ending.DEATH).any())


def log_rank(days: Array, endings: Endings, groups: Rows) -> float | None:
    """p of the log-rank test across groups, cause-specific: a death is censored.

    Returns:
        None with fewer than two groups or without an event.
    """
    is_event = endings == Ending.EVENT
    if len(np.unique(groups)) < 2 or not is_event.any():
        return None
    return float(multivariate_logrank_test(days, groups, is_event).p_value)


def _measures(scope: OfScope, settings: IncidenceSettings) -> list[Measure]:
    found = [
        Measure(
            scope.scope,
            Quantity.CUMULATIVE_INCIDENCE,
            estimate,
            n=int(curve.observed.size),
            n_positives=curve.n_events(day),
            stratum=stratum,
            at=day,
        )
        for stratum, curve in scope.curves.items()
        for day in settings.bar_days
        if (estimate := curve.at(day)) is not None
    ]
    if scope.log_rank is not None:
        n = sum(curve.observed.size for curve in scope.curves.values())
        events = sum(curve.event_days.size for curve in scope.curves.values())
        p = Estimate(scope.log_rank, scope.log_rank, scope.log_rank)
        found.append(Measure(scope.scope, Quantity.LOG_RANK, p, n=n, n_positives=events))
    return found


def _table(scope: OfScope, settings: IncidenceSettings) -> Table:
    rows = []
    for stratum, curve in scope.curves.items():
        row: dict[str, object] = {
            "stratum": stratum.value,
            "patients": curve.observed.size,
            "events": curve.event_days.size,
        }
        for day in settings.bar_days:
            row[f"{day:g} days"] = percent(curve.at(day))
            row[f"at risk on day {day:g}"] = curve.n_at_risk(day)
        rows.append(row)
    title = f"Cumulative incidence of a new myocardial infarction: {scope.name}"
    return Table(title, pd.DataFrame(rows))


def _log_ranks(scopes: Sequence[OfScope]) -> Table:
    rows = [
        {"scope": one.name, "strata": len(one.curves), "p": incidence_figures.p_text(one.log_rank)}
        for one in scopes
    ]
    note = "Cause-specific: a death is censored. Not corrected for the number of scopes."
    return Table("Log-rank test across strata", pd.DataFrame(rows), note)


def _left_out(found: FollowUp, settings: IncidenceSettings) -> tuple[Table, ...]:
    counts = {
        "followed from the landmark": len(found.rows),
        f"of these with an event by day {settings.blanking_days:g}, which counts as none": (
            found.n_blanked
        ),
        "of these with an event or death after the end of observation, which does not count": (
            found.n_unobserved
        ),
        **{f"left out: {reason}": n for reason, n in found.left_out.items()},
    }
    frame = pd.DataFrame({"patients": list(counts), "n": list(counts.values())})
    tables = [Table("Who is followed", frame)]
    if len(found.faults):
        note = "Left out. Such a difference is an error in the dates; it is never made positive."
        tables.append(Table("Dates that contradict the ECG's", found.faults, note))
    return tuple(tables)


def _pictures(context: Context, scopes: Sequence[OfScope]) -> tuple[Picture, ...]:
    study, settings = context.study, context.settings.incidence
    span = (settings.blanking_days, settings.censor_days)
    curves = tuple(
        Picture(
            f"incidence_{one.scope}".lower(),
            f"Cumulative incidence of a new myocardial infarction by stratum, {one.name}, from "
            f"day {span[0]:g}; band: 95 %, pointwise; below: patients at risk.",
            partial(incidence_figures.curves, study, one.name, one.curves, span, one.log_rank),
        )
        for one in scopes
    )
    bars = Picture(
        "incidence_bars",
        "Cumulative incidence by stratum on fixed days after the ECG; lines: 95 %. "
        "No bar: nobody was followed that long.",
        partial(
            incidence_figures.bars,
            study,
            {one.name: one.curves for one in scopes},
            settings.bar_days,
            settings.blanking_days,
        ),
    )
    return (*curves, bars)


def _notes(
    found: FollowUp, settings: IncidenceSettings, scopes: Sequence[OfScope]
) -> tuple[str, ...]:
    day = f"{settings.blanking_days:g}"
    method = (
        "Death competes: Aalen-Johansen."
        if _competes(found)
        else "No death is stated, so that nothing competes: Kaplan-Meier."
        if not found.has_deaths
        else "Nobody died under observation: Kaplan-Meier."
    )
    notes = [
        "One row per patient: the first ECG that stands for a CCTA. Time zero is that ECG.",
        f"Landmark at day {day}: an event by then belongs to the ECG and counts as none, the "
        "patient is followed on; who died or left by then is not at risk. Incidence is among "
        f"those alive and under observation on day {day}.",
        f"Observation ends at day {settings.censor_days:g} at the latest; that is a limit, not "
        "a time that everybody reached.",
        method,
        "An infarction may have been treated because of the CCTA: incidence after the ECG is not "
        "what would have happened without it, and low does not exclude disease.",
    ]
    if few := [one.name for one in scopes if _n_events(one) < 10]:
        notes.append(f"Fewer than 10 events: {', '.join(few)}. Their curves say little.")
    return tuple(notes)


def _n_events(scope: OfScope) -> int:
    return sum(curve.event_days.size for curve in scope.curves.values())
