"""Everything that the report is made of, read once: no query and no file after this."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ecgbatch.bundle.manifest import Manifest
from ecgbatch.report.traces import Trace
from ecgbatch.store.queries import RunRow
from ecgbatch.store.reporting import GateCount, HourCount, ItemCount, Period, RunCount
from ecgbatch.store.reporting_strata import Bin, BundleFacts, DayStratum
from ecgbatch.store.reporting_worklist import Entry
from ecgbatch.terms import Disposition


@dataclass(frozen=True, slots=True)
class Worklist:
    """Its first entries, how many there are, and the page of each by recording_id."""

    entries: Sequence[Entry] = field(repr=False)
    length: int
    traces: Mapping[int, Trace] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Numbers:
    """A period of a database at `made_at` (its own clock).

    Attributes:
        items: files first seen in the period; `balance`: all files there are.
        attention: failed and unsupported files of any time that nobody has acknowledged.
        manifests: by digest, of the bundles whose folders were found.
        worklist: None where the report is for readers without clinical rights.
    """

    period: Period
    made_at: datetime
    hours: Sequence[HourCount]
    runs: Sequence[RunCount]
    newest_runs: Sequence[RunRow]
    items: Sequence[ItemCount]
    balance: Mapping[Disposition, int]
    attention: int
    gates: Sequence[GateCount]
    strata: Sequence[DayStratum]
    bins: Sequence[Bin]
    bundles: Sequence[BundleFacts]
    manifests: Mapping[str, Manifest] = field(repr=False)
    worklist: Worklist | None
