"""The report: one HTML file that needs no other, to read, print and hand on."""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from ecgbatch.terms import INTENDED_USE_NOTICE, Vessel
from training.evaluation import style
from training.evaluation.section import Context, Findings, Table
from training.evaluation.wording import NONE, interval, percent
from training.folder import write_whole
from training.records import Measure
from training.statistics.any_vessel import SCOPES
from training.terms import Quantity

MOST_ROWS = 120
"""A longer table is shown in part; all of it is in the folder `tables`."""
LIMITS = (
    INTENDED_USE_NOTICE,
    "In the published work the area under the ROC curve is about 0.7 per vessel (both revisions "
    "of it are in docs/evidence.md): many ECGs of patients with severe stenosis are not high, and "
    "most high ECGs are of patients without it.",
    "Labels exist only for patients who were sent to CCTA. Predictive values and the share of each "
    "stratum hold at their prevalence and not for other patients.",
    "Not for acute chest pain, paced rhythm, age under 18, or comparing one patient's ECGs over "
    "time.",
)
_LM = (
    "LM is experimental: at about 0.1 % prevalence nearly every alert is false. It is left out of "
    "any vessel.",
    "LM counts for any vessel here, against the default: at about 0.1 % prevalence nearly every "
    "alert for it is false.",
)
SYNTHETIC = (
    "Synthetic ECGs, or settings that do not call the data clinical (bundle.is_clinical): no "
    "number here is evidence."
)


_TOGETHER = re.compile(r"\([^()]{1,40}\)|\d %|: [\d.]+$")


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of what the report is about: `Bundle`, `demonstration 1 (3f2a...)`."""

    what: str
    value: str


def write_report(
    context: Context, found: Mapping[str, Findings], facts: Sequence[Fact], folder: Path
) -> Path:
    """`report.html` from the findings and the PNG files beside it.

    Raises:
        OSError: a figure is missing, or the folder cannot be written.
    """
    text = render(context, found, facts, _images(found, folder / "figures"))
    path = folder / "report.html"
    write_whole(path, lambda aside: aside.write_text(text, encoding="utf-8"))
    return path


def render(
    context: Context,
    found: Mapping[str, Findings],
    facts: Sequence[Fact],
    images: Mapping[str, bytes],
) -> str:
    """The whole page; every text is escaped. No script, nothing from elsewhere.

    Args:
        images: PNG by the picture's name.
    """
    environment = Environment(
        loader=PackageLoader("training.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    measures = [one for findings in found.values() for one in findings.measures]
    return environment.get_template("report.html.jinja").render(
        study=context.study,
        n_patients=len(set(context.study.patients)),
        facts=facts,
        limits=(*LIMITS, _LM[0 if Vessel.LM in context.study.experimental else 1]),
        synthetic=SYNTHETIC,
        summary=_summary(context, measures),
        sections=found,
        rows=_rows,
        cells=_cells,
        numeric=_numeric,
        images={name: b64encode(png).decode("ascii") for name, png in images.items()},
        shown=lambda table: (len(_frame(table)), len(table.frame)),
    )


def _images(found: Mapping[str, Findings], folder: Path) -> dict[str, bytes]:
    return {
        picture.name: (folder / f"{picture.name}.png").read_bytes()
        for findings in found.values()
        for picture in findings.pictures
    }


def _summary(context: Context, measures: Sequence[Measure]) -> list[tuple[str, ...]]:
    """Per scope: ECGs, positives, AUROC, sensitivity at the low cut, NPV, specificity, PPV."""
    rows = []
    for scope in SCOPES:
        area = _one(measures, scope, Quantity.AUROC)
        if area is None:
            continue
        rows.append(
            (
                style.named(scope, context.study.experimental),
                f"{area.n:,}",
                f"{area.n_positives:,}",
                _unbroken(interval(area.estimate)),
                *(
                    _share(_one(measures, scope, quantity, cut))
                    for cut, quantity in (
                        ("low", Quantity.SENSITIVITY),
                        ("low", Quantity.NPV),
                        ("high", Quantity.SPECIFICITY),
                        ("high", Quantity.PPV),
                    )
                ),
            )
        )
    return rows


def _one(
    measures: Sequence[Measure], scope: str, quantity: Quantity, cut: str | None = None
) -> Measure | None:
    wanted = (scope, quantity, cut, "overall", None, None)
    for one in measures:
        if (one.scope, one.quantity, one.cut, one.group, one.stratum, one.at) == wanted:
            return one
    return None


def _share(one: Measure | None) -> str:
    return NONE if one is None else _unbroken(percent(one.estimate))


def _frame(table: Table) -> pd.DataFrame:
    return (table.frame if table.thin is None else table.thin).head(MOST_ROWS)


def _rows(table: Table) -> list[list[object]]:
    return [list(row) for row in _frame(table).itertuples(index=False, name=None)]


def _numeric(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cells(value: object) -> str:
    """A cell as it is shown; numbers with at most four significant digits."""
    if value is None or value is pd.NA or (isinstance(value, float) and pd.isna(value)):
        return NONE
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{int(value):,}"
    return _unbroken(str(value))


def _unbroken(text: str) -> str:
    """A line breaks before an interval, never within it or before its per cent."""
    return _TOGETHER.sub(lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text)
