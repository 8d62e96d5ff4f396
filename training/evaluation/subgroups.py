"""Ranking, cuts and calibration by subgroup: normal ECG, sex, age band, device and site."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from training.evaluation import at_cuts, calibration, style
from training.evaluation.discrimination import Ranking, measures, rankings, shown
from training.evaluation.section import Context, Findings, Picture, Table
from training.evaluation.wording import NONE, interval, percent
from training.records import Measure, Rows, Study
from training.statistics.any_vessel import SCOPES
from training.terms import Quantity

NORMAL = (
    "An ECG is normal where the statement of the device or of the reader calls it so (column "
    "statement_normal of the manifest, else the ECG's own header); where neither says anything it "
    "is in neither group."
)


@dataclass(frozen=True, slots=True)
class Group:
    """A subgroup: `sex: female`, and the ECGs in it."""

    name: str
    rows: Rows = field(repr=False)


def examine(context: Context) -> Findings:
    """Ranking, the cuts and calibration in each subgroup with at least `fewest_in_group` ECGs."""
    study, fewest = context.study, context.settings.fewest_in_group
    found: dict[str, tuple[Ranking, ...]] = {}
    others: list[Measure] = []
    notes = [NORMAL, *_missing(study)]
    for group in groups(study, context.settings.age_bands):
        if len(group.rows) < fewest:
            notes.append(
                f"{group.name}: {len(group.rows)} ECGs, fewer than {fewest}; not evaluated."
            )
            continue
        part = study.at(group.rows)
        found[group.name] = rankings(part, context.bootstrap)
        others += at_cuts.in_group(context, group.name, part)
        others += calibration.in_group(context, group.name, part)
    notes.append(
        "Subgroups were not tested against each other; with many of them some differ by chance."
    )
    return Findings(
        title="Subgroups",
        measures=(
            *(one for name, ranks in found.items() for one in measures(ranks, name)),
            *others,
        ),
        tables=_tables(study, found, others) if found else (),
        pictures=(_forest_picture(context, found),) if found else (),
        notes=tuple(notes),
    )


def groups(study: Study, age_bands: tuple[float, ...]) -> Iterator[Group]:
    """Every subgroup in the order of the report; an ECG without the covariate is in none."""
    columns = study.covariates
    normal = columns["statement_normal"]
    yield from _split("normal ECG", normal.map({True: "yes", False: "no"}), ["yes", "no"])
    yield from _split("sex", columns["sex"], ["female", "male"])
    bands = _bands(age_bands)
    yield from _split("age", _banded(columns["age_years"], age_bands, bands), bands)
    for name in ("device", "site"):
        yield from _split(name, columns[name], sorted(columns[name].dropna().unique()))


def _split(name: str, words: "pd.Series[str]", order: list[str]) -> Iterator[Group]:
    text = words.astype("string")
    for word in order:
        belongs = text.eq(word).fillna(value=False).to_numpy(dtype=bool)
        if belongs.any():
            yield Group(f"{name}: {word}", np.flatnonzero(belongs))


def _bands(edges: tuple[float, ...]) -> list[str]:
    between = [f"{low:g} to under {high:g}" for low, high in pairwise(edges)]
    return [f"under {edges[0]:g}", *between, f"{edges[-1]:g} and over"] if edges else ["all"]


def _banded(
    ages: "pd.Series[float]", edges: tuple[float, ...], bands: list[str]
) -> "pd.Series[str]":
    places = np.searchsorted(np.asarray(edges, dtype=np.float64), ages.to_numpy(), side="right")
    known = ages.notna().to_numpy()
    words = [
        bands[place] if is_known else None for place, is_known in zip(places, known, strict=True)
    ]
    return pd.Series(words, dtype="string")


def _missing(study: Study) -> list[str]:
    """Which covariates are not known of how many ECGs."""
    found = []
    for name in ("statement_normal", "sex", "age_years", "device", "site"):
        n = int(study.covariates[name].isna().sum())
        if n == len(study):
            found.append(f"{name}: not known of any ECG; no subgroups by it.")
        elif n:
            found.append(f"{name}: not known of {n:,} of {len(study):,} ECGs, left out there.")
    return found


def _tables(
    study: Study, found: dict[str, tuple[Ranking, ...]], others: Sequence[Measure]
) -> tuple[Table, ...]:
    by_place: dict[tuple[str, str], list[Measure]] = {}
    for one in others:
        by_place.setdefault((one.group, one.scope), []).append(one)
    rows = [
        {
            "subgroup": group,
            "": shown(scope, study),
            **{head: _cell(mine, *wanted) for head, wanted in _HEADS.items()},
        }
        for group in found
        for scope in SCOPES
        if (mine := by_place.get((group, scope))) is not None
    ]
    if not rows:
        return (_table(study, found),)
    note = (
        "The cuts are those of all ECGs, so that sensitivity and specificity may differ between "
        "subgroups; PPV and NPV follow the prevalence too. Calibration only with 10 ECGs of each "
        "class. Low does not exclude disease."
    )
    second = Table(style.titled(study, "At the cuts by subgroup"), pd.DataFrame(rows), note)
    return _table(study, found), second


_HEADS: dict[str, tuple[Quantity, Literal["low", "high"] | None]] = {
    "low cut: sensitivity": (Quantity.SENSITIVITY, "low"),
    "below it: NPV": (Quantity.NPV, "low"),
    "high cut: specificity": (Quantity.SPECIFICITY, "high"),
    "at or above it: PPV": (Quantity.PPV, "high"),
    "calibration slope": (Quantity.CALIBRATION_SLOPE, None),
    "intercept": (Quantity.CALIBRATION_INTERCEPT, None),
}


def _cell(found: Sequence[Measure], quantity: Quantity, cut: Literal["low", "high"] | None) -> str:
    for one in found:
        if (one.quantity, one.cut, one.stratum) == (quantity, cut, None):
            return interval(one.estimate, 2) if cut is None else percent(one.estimate)
    return NONE


def _table(study: Study, found: dict[str, tuple[Ranking, ...]]) -> Table:
    rows = [
        {
            "subgroup": name,
            "": shown(one.scope, study),
            "n": f"{one.n:,}",
            "positive": f"{one.n_positives:,}",
            "prevalence": percent(one.prevalence),
            "AUROC": interval(one.auroc),
            "AUPRC": interval(one.auprc),
        }
        for name, ranks in found.items()
        for one in ranks
    ]
    note = (
        "AUPRC depends on the prevalence: it cannot be compared between subgroups. The macro mean "
        "is over the vessels with both classes in the subgroup."
    )
    return Table(style.titled(study, "By subgroup"), pd.DataFrame(rows), note)


def _forest_picture(context: Context, found: dict[str, tuple[Ranking, ...]]) -> Picture:
    caption = (
        "AUROC by subgroup with 95 % intervals over resampled patients; beside each name the ECGs. "
        "Dotted: 0.5, no better than chance. Solid: all ECGs. A missing mark: one class is absent."
    )
    return Picture("subgroups", caption, lambda: _forest(context, found))


@style.styled
def _forest(context: Context, found: dict[str, tuple[Ranking, ...]]) -> Figure:
    study = context.study
    overall = {one.scope: one.auroc for one in rankings(study, context.bootstrap)}
    figure, panels = style.sheet(
        study, "AUROC by subgroup", 1, len(SCOPES), height=1.3 + 0.24 * len(found)
    )
    places = np.arange(len(found))[::-1]
    for panel, scope in zip(panels, SCOPES, strict=True):
        colour = style.SCOPE_COLOURS[scope]
        for place, ranks in zip(places, found.values(), strict=True):
            area = next(one.auroc for one in ranks if one.scope == scope)
            if area is not None:
                panel.plot([area.low, area.high], [place, place], color=colour)
                panel.plot(area.value, place, "s", color=colour, markersize=4)
        whole = overall[scope]
        if whole is not None:
            panel.axvline(whole.value, color=style.GREY, linewidth=0.9)
        panel.axvline(0.5, color=style.GREY, linewidth=0.9, linestyle=":")
        panel.set_title(style.named(scope, study.experimental).replace(" (", "\n("), fontsize=8)
        panel.set_xlim(0.25, 1.02)
        panel.set_xticks([0.5, 0.75, 1.0], ["0.5", "0.75", "1"])
        panel.set_ylim(-0.7, len(found) - 0.3)
        panel.set_yticks(places, [])
    panels[0].set_yticks(
        places, [f"{name} ({ranks[-1].n:,})" for name, ranks in found.items()], fontsize=7.5
    )
    figure.supxlabel("AUROC", fontsize=9)
    return figure
