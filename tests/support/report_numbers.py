"""Numbers of an invented fortnight for the report's tests: no database, every part filled."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from ecgbatch.report.numbers import Numbers, Worklist
from ecgbatch.report.traces import GONE, Trace
from ecgbatch.store.queries import RunRow
from ecgbatch.store.reporting import GateCount, HourCount, ItemCount, Period, RunCount
from ecgbatch.store.reporting_strata import Bin, BundleFacts, DayStratum, StratumFacts
from ecgbatch.store.reporting_worklist import Entry
from ecgbatch.terms import (
    ANY_VESSEL,
    Disposition,
    ReasonCode,
    ResultOutcome,
    Stratum,
    Vessel,
)

SINCE = date(2026, 11, 16)
DIGEST = "c" * 64
SQUARE = b'<svg xmlns="http://www.w3.org/2000/svg" width="297" height="210"><rect/></svg>'


def numbers(*, is_clinical: bool = False) -> Numbers:
    """14 days with 10 low, 6 intermediate and 4 high a day in every task; LM without cuts."""
    days = [SINCE + timedelta(days=n) for n in range(14)]
    morning = datetime(2026, 11, 16, 2, tzinfo=UTC)
    tasks = [ANY_VESSEL, *(vessel.value for vessel in Vessel if vessel is not Vessel.LM)]
    counts = {Stratum.LOW: 10, Stratum.INTERMEDIATE: 6, Stratum.HIGH: 4}
    strata = [
        DayStratum(day, DIGEST, task, stratum, number)
        for day in days
        for task in tasks
        for stratum, number in counts.items()
    ]
    strata += [DayStratum(day, DIGEST, Vessel.LM, None, 20) for day in days]
    return Numbers(
        period=Period(days[0], days[-1]),
        made_at=datetime(2026, 11, 30, 6, 30, tzinfo=UTC),
        hours=[
            HourCount(morning + timedelta(days=n), outcome, number)
            for n in range(14)
            for outcome, number in ((ResultOutcome.SCORED, 20), (ResultOutcome.REJECTED, 2))
        ],
        runs=[
            RunCount("run-once", 0, None, 12, 264, 480.0, 61.0),
            RunCount("run-once", 1, None, 2, 44, 80.0, 41.0),
        ],
        newest_runs=[
            RunRow(9, "run-once", 1, "w", morning, morning, 41.0, 1, None, 22),
        ],
        items=[
            ItemCount(Disposition.SCORED, None, 280, 280),
            ItemCount(Disposition.REJECTED, ReasonCode.LEAD_FLAT, 28, 28),
            ItemCount(Disposition.UNSUPPORTED, ReasonCode.FORMAT_PDF, 3, 2),
        ],
        balance={
            **dict.fromkeys(Disposition, 0),
            Disposition.SCORED: 1280,
            Disposition.REJECTED: 128,
            Disposition.UNSUPPORTED: 3,
        },
        attention=2,
        gates=[GateCount("flat", ReasonCode.LEAD_FLAT, True, 30)],
        strata=strata,
        bins=[
            Bin(DIGEST, task, place, 14 * (20 - place) // 10)
            for task in (*tasks, Vessel.LM.value)
            for place in range(20)
        ],
        bundles=[_bundle(tasks, is_clinical=is_clinical)],
        manifests={},
        worklist=Worklist([entry(1), entry(2)], 56, {1: Trace(SQUARE, ""), 2: Trace(None, GONE)}),
    )


def _bundle(tasks: list[str], *, is_clinical: bool) -> BundleFacts:
    cuts = {Stratum.LOW: (0.0, 0.1), Stratum.INTERMEDIATE: (0.1, 0.6), Stratum.HIGH: (0.6, 1.0)}
    return BundleFacts(
        DIGEST,
        "coronary" if is_clinical else "demonstration",
        "3",
        is_clinical,
        True,
        datetime(2026, 11, 19, 7, 5, tzinfo=UTC),
        None,
        frozenset({Vessel.LM.value}),
        {
            (task, stratum): StratumFacts(
                task,
                stratum,
                *edges,
                0.3,
                (0.961, 0.94, 0.975) if stratum is Stratum.LOW else None,
                (0.039, 0.025, 0.06),
                is_synthetic=not is_clinical,
            )
            for task in tasks
            for stratum, edges in cuts.items()
        },
    )


def entry(recording_id: int) -> Entry:
    return Entry(
        recording_id,
        f"ACC-{recording_id}",
        datetime(2026, 11, 20, 9, 5),  # noqa: DTZ001 - the cart's wall clock
        "acquired_at",
        67.0,
        "female",
        True,
        0.91,
        "LAD",
        True,
        1,
        "2025-02-01 low",
        datetime(2026, 11, 21, 2, tzinfo=UTC),
        {
            Vessel.RCA: (0.2, Stratum.INTERMEDIATE),
            Vessel.LM: (0.3, None),
            Vessel.LAD: (0.91, Stratum.HIGH),
            Vessel.LCX: (0.05, Stratum.LOW),
        },
    )


def nothing() -> Numbers:
    """A quiet period of a database with a champion."""
    full = numbers()
    return replace(
        full,
        hours=[],
        runs=[],
        newest_runs=[],
        items=[],
        balance=dict.fromkeys(Disposition, 0),
        attention=0,
        gates=[],
        strata=[],
        bins=[],
        worklist=Worklist([], 0, {}),
    )
