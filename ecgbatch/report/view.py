"""From numbers to what the page says: every cell, sentence and figure, still without HTML."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from ecgbatch.provenance import code_version
from ecgbatch.reasons import advice
from ecgbatch.report import charts, spans, wording
from ecgbatch.report.charts import Chart, percent
from ecgbatch.report.numbers import Numbers
from ecgbatch.report.view_strata import BundleView, bundle_views
from ecgbatch.report.view_worklist import WorklistView, worklist_view
from ecgbatch.store.reporting import GateCount, ItemCount
from ecgbatch.terms import Disposition, ExitCode, ResultOutcome, counted

_NOT_FINISHED = (None, ExitCode.UNFIT, ExitCode.INTERNAL)
"""Ways of a run to end, or not, that somebody should look at."""
_WRITTEN = {ResultOutcome.SCORED: "scored", ResultOutcome.REJECTED: "rejected"}


@dataclass(frozen=True, slots=True)
class Card:
    """One number of the summary; `is_loud` asks for attention."""

    label: str
    value: str
    note: str
    is_loud: bool = False


@dataclass(frozen=True, slots=True)
class RunLine:
    """Runs of one kind that ended alike."""

    kind: str
    ending: str
    canary: str
    runs: str
    results: str
    duration: str
    longest: str
    per_hour: str


@dataclass(frozen=True, slots=True)
class NewestRun:
    run_id: int
    kind: str
    started: str
    duration: str
    ending: str
    canary: str
    results: str


@dataclass(frozen=True, slots=True)
class FileLine:
    """One disposition: files of the period, their share in per cent, all files."""

    name: Disposition
    meaning: str
    items: str
    share: str
    width: float
    all_items: str


@dataclass(frozen=True, slots=True)
class ReasonLine:
    disposition: Disposition
    reason: str
    items: str
    unacknowledged: str
    advice: str


@dataclass(frozen=True, slots=True)
class View:
    """The whole page."""

    days: str
    made_at: str
    version: str
    is_clinical: bool
    is_empty: bool
    cards: tuple[Card, ...]
    work: Chart
    run_lines: tuple[RunLine, ...]
    newest_runs: tuple[NewestRun, ...]
    file_lines: tuple[FileLine, ...]
    n_files: str
    n_all_files: str
    reasons: tuple[ReasonLine, ...]
    gates: tuple[GateCount, ...]
    bundles: tuple[BundleView, ...]
    worklist: WorklistView | None


def view_of(numbers: Numbers) -> View:
    """Pure: the same numbers give the same page."""
    bundles = bundle_views(numbers)
    return View(
        days=wording.days(numbers.period),
        made_at=wording.moment(numbers.made_at),
        version=code_version(),
        is_clinical=all(one.is_clinical for one in numbers.bundles),
        is_empty=not (numbers.hours or numbers.items or numbers.runs),
        cards=_cards(numbers, bundles),
        work=_work(numbers),
        run_lines=_run_lines(numbers),
        newest_runs=_newest_runs(numbers),
        file_lines=_file_lines(numbers),
        n_files=f"{_n_files(numbers):,}",
        n_all_files=f"{sum(numbers.balance.values()):,}",
        reasons=tuple(_reason_line(one) for one in numbers.items if one.reason is not None),
        gates=tuple(numbers.gates),
        bundles=bundles,
        worklist=None if numbers.worklist is None else worklist_view(numbers.worklist, bundles),
    )


def _cards(numbers: Numbers, bundles: tuple[BundleView, ...]) -> tuple[Card, ...]:
    written = Counter[ResultOutcome]()
    for hour in numbers.hours:
        written[hour.outcome] += hour.results
    files = Counter[Disposition]()
    for item in numbers.items:
        files[item.disposition] += item.items
    n_runs = sum(one.runs for one in numbers.runs)
    n_bad = sum(one.runs for one in numbers.runs if one.exit_code in _NOT_FINISHED)
    n_failed = files[Disposition.FAILED] + files[Disposition.UNSUPPORTED]
    return (
        Card("results: scored", f"{written[ResultOutcome.SCORED]:,}", _busiest(numbers)),
        *(
            Card("high, any vessel", bundle.n_high, _of(bundle.share_high, bundle.n_ecgs))
            for bundle in bundles[:1]
        ),
        Card(
            "results: rejected",
            f"{written[ResultOutcome.REJECTED]:,}",
            _of(
                percent(written[ResultOutcome.REJECTED], written.total()),
                counted(written.total(), "result"),
            ),
        ),
        Card(
            "failed or unsupported",
            f"{n_failed:,}",
            f"{numbers.attention:,} of any date not acknowledged",
            is_loud=numbers.attention > 0,
        ),
        Card("waiting", f"{files[Disposition.WAITING]:,}", "files seen in this period"),
        Card("runs", f"{n_runs:,}", _ended(n_runs, n_bad), is_loud=n_bad > 0),
    )


def _of(share: str, whole: str) -> str:
    return "none in this period" if whole.startswith("0 ") else f"{share} of {whole}"


def _busiest(numbers: Numbers) -> str:
    per_hour = Counter[datetime]()
    for hour in numbers.hours:
        per_hour[hour.hour] += hour.results
    if not per_hour:
        return "no result in this period"
    return f"busiest hour: {counted(max(per_hour.values()), 'result')}"


def _ended(n_runs: int, n_bad: int) -> str:
    if n_runs == 0:
        return "none in this period"
    return f"{n_bad:,} going on, killed or failed" if n_bad else "all ended"


def _work(numbers: Numbers) -> Chart:
    columns = spans.hourly(numbers.period)
    layers = {
        word: spans.sums(
            columns, [(one.hour, one.results) for one in numbers.hours if one.outcome is outcome]
        )
        for outcome, word in _WRITTEN.items()
    }
    return charts.stacked("Results written", columns, layers, "results")


def _run_lines(numbers: Numbers) -> tuple[RunLine, ...]:
    return tuple(
        RunLine(
            one.kind,
            wording.ending(one.exit_code),
            one.canary or wording.ABSENT,
            f"{one.runs:,}",
            f"{one.results:,}",
            wording.duration(one.duration_s or None),
            wording.duration(one.longest_s or None),
            f"{3600 * one.results / one.duration_s:,.0f}"
            if one.results and one.duration_s
            else wording.ABSENT,
        )
        for one in numbers.runs
    )


def _newest_runs(numbers: Numbers) -> tuple[NewestRun, ...]:
    return tuple(
        NewestRun(
            one.run_id,
            one.kind,
            wording.moment(one.started_at),
            wording.duration(one.duration_s),
            wording.ending(one.exit_code),
            one.canary or wording.ABSENT,
            f"{one.results_written:,}",
        )
        for one in numbers.newest_runs
    )


def _n_files(numbers: Numbers) -> int:
    return sum(one.items for one in numbers.items)


def _file_lines(numbers: Numbers) -> tuple[FileLine, ...]:
    whole = _n_files(numbers)
    found = Counter[Disposition]()
    for one in numbers.items:
        found[one.disposition] += one.items
    return tuple(
        FileLine(
            name,
            wording.MEANING[name],
            f"{found[name]:,}",
            percent(found[name], whole),
            100 * found[name] / max(1, whole),
            f"{numbers.balance[name]:,}",
        )
        for name in Disposition
        if found[name] or numbers.balance[name]
    )


def _reason_line(one: ItemCount) -> ReasonLine:
    waits = one.disposition in (Disposition.FAILED, Disposition.UNSUPPORTED)
    reason = one.reason or "other"
    return ReasonLine(
        one.disposition,
        reason,
        f"{one.items:,}",
        f"{one.unacknowledged:,}" if waits else wording.ABSENT,
        advice(reason),
    )
