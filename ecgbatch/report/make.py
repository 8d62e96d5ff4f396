"""From a database to the file: read in one transaction, draw, render, put it in its place whole."""

import errno
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import NamedTemporaryFile

from ecgbatch.admission import find_bundle
from ecgbatch.bundle.digest import read_manifest
from ecgbatch.bundle.manifest import Manifest
from ecgbatch.errors import SetupFault, TransientFault
from ecgbatch.report.numbers import Numbers, Worklist
from ecgbatch.report.page import render
from ecgbatch.report.traces import traces
from ecgbatch.report.view import view_of
from ecgbatch.settings import Settings
from ecgbatch.store import ledger, queries, reporting, reporting_strata, reporting_worklist
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.engine import Connection, Engine, transaction
from ecgbatch.store.reporting import Period
from ecgbatch.store.reporting_strata import BundleFacts
from ecgbatch.store.reporting_worklist import Entry, Place
from ecgbatch.terms import ReasonCode, ResultOutcome

_NEWEST_RUNS = 12
_MODE = 0o640
"""Ages, dates and accessions are in it: nothing for every account of the machine."""


@dataclass(frozen=True, slots=True)
class Made:
    """A report that was written."""

    path: Path
    is_clinical: bool
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The entries of the worklist, and where their files lie."""

    entries: list[Entry]
    length: int
    places: dict[int, list[Place]]


def make(engine: Engine, settings: Settings, period: Period, out: Path, top: int | None) -> Made:
    """Write the report of a period.

    Args:
        out: the folder; the file's name is the period's, and an older one of this name is replaced.
        top: how many ECGs of the worklist; None: no ECG at all is named.

    Raises:
        EcgbatchError: LEDGER_UNBALANCED.
        SetupFault: OUTPUT_UNWRITABLE; the readers do not start.
        TransientFault: DISK_FULL, or the database failed.
    """
    with transaction(engine) as connection:
        numbers, chosen = _read(connection, settings, period, top)
    worklist = None
    if chosen is not None:
        worklist = Worklist(chosen.entries, chosen.length, traces(chosen.places, settings))
    numbers = replace(numbers, worklist=worklist)
    view = view_of(numbers)
    path = out / f"ecgbatch-report-{period.since}-{period.until}.html"
    write(path, render(view))
    return Made(path, view.is_clinical, counts_of(numbers))


def counts_of(numbers: Numbers) -> dict[str, int]:
    """The report in a few numbers, for a program; no ECG is named."""
    written = Counter[ResultOutcome]()
    for one in numbers.hours:
        written[one.outcome] += one.results
    worklist = numbers.worklist
    pages = worklist.traces.values() if worklist else ()
    return {
        "scored": written[ResultOutcome.SCORED],
        "rejected": written[ResultOutcome.REJECTED],
        "files": sum(one.items for one in numbers.items),
        "runs": sum(one.runs for one in numbers.runs),
        "attention": numbers.attention,
        "worklist": worklist.length if worklist else 0,
        "entries": len(worklist.entries) if worklist else 0,
        "pictures": sum(one.picture is not None for one in pages),
    }


def write(path: Path, page: str) -> None:
    """The file whole or not at all; its folder is made if it is not there.

    Raises:
        SetupFault: OUTPUT_UNWRITABLE.
        TransientFault: DISK_FULL.
    """
    aside: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(
            "w", dir=path.parent, prefix=".report-", encoding="utf-8", delete=False
        ) as opened:
            aside = Path(opened.name)
            opened.write(page)
            opened.flush()
            os.fsync(opened.fileno())
        aside.chmod(_MODE)
        aside.replace(path)
    except OSError as fault:
        if aside is not None:
            with suppress(OSError):
                aside.unlink()
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TransientFault(ReasonCode.DISK_FULL) from None
        raise SetupFault(ReasonCode.OUTPUT_UNWRITABLE, "--out") from None


def _read(
    connection: Connection, settings: Settings, period: Period, top: int | None
) -> tuple[Numbers, _Chosen | None]:
    # First: it also gives this transaction the time that whole tables take.
    balance = ledger.balance(connection)
    strata = reporting_strata.strata(connection, period)
    shown = reporting_strata.bundles(connection, {one.bundle_digest for one in strata})
    numbers = Numbers(
        period=period,
        made_at=ledger.now(connection),
        hours=reporting.hours(connection, period),
        runs=reporting.runs(connection, period),
        newest_runs=reporting.newest_runs(connection, period, _NEWEST_RUNS),
        items=reporting.items(connection, period),
        balance=balance,
        attention=queries.attention(connection),
        gates=reporting.gates(connection, period),
        strata=strata,
        bins=reporting_strata.bins(connection, period),
        bundles=shown,
        manifests=_manifests(settings, shown),
        worklist=None,
    )
    if top is None:
        return numbers, None
    entries = reporting_worklist.worklist(connection, period, top)
    length = reporting_worklist.length(connection, period)
    places = reporting_worklist.places(connection, [one.recording_id for one in entries])
    return numbers, _Chosen(entries, length, places)


def _manifests(settings: Settings, shown: list[BundleFacts]) -> dict[str, Manifest]:
    """What those bundles say of themselves that lie where they are expected, by digest."""
    found = {}
    for one in shown:
        row = BundleRow(one.digest, one.name, one.version, one.is_clinical, one.location)
        with suppress(SetupFault):
            found[one.digest] = read_manifest(find_bundle(settings, row))
    return found
