"""The top of the worklist as the page shows it: who is to be looked at first, and why."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

from ecgbatch.report import wording
from ecgbatch.report.numbers import Worklist
from ecgbatch.report.traces import Trace
from ecgbatch.report.view_strata import BundleView
from ecgbatch.store.reporting_worklist import Entry
from ecgbatch.terms import Stratum, counted


@dataclass(frozen=True, slots=True)
class VesselLine:
    """Risk and stratum of one vessel; None: an experimental one without cuts."""

    name: str
    risk: str
    width: float
    stratum: Stratum | None
    is_experimental: bool


@dataclass(frozen=True, slots=True)
class EntryView:
    """One ECG. `picture` is SVG in base64; without one `why_not` says why."""

    place: int
    recording_id: int
    facts: tuple[tuple[str, str], ...] = field(repr=False)
    risk: str
    high_vessels: str
    near_cut: bool
    vessels: tuple[VesselLine, ...]
    picture: str = field(repr=False)
    why_not: str
    alt: str


@dataclass(frozen=True, slots=True)
class WorklistView:
    entries: tuple[EntryView, ...]
    length: str
    is_cut: bool
    bundle: str


def worklist_view(worklist: Worklist, bundles: tuple[BundleView, ...]) -> WorklistView:
    champion = next((one for one in bundles if one.is_champion), None)
    experimental = (
        frozenset(one.task for one in champion.tasks if one.is_experimental)
        if champion
        else frozenset()
    )
    return WorklistView(
        tuple(
            _entry(place, one, worklist.traces, experimental)
            for place, one in enumerate(worklist.entries, 1)
        ),
        counted(worklist.length, "ECG"),
        0 < len(worklist.entries) < worklist.length,
        f"{champion.name} {champion.version}" if champion else "",
    )


def _entry(
    place: int, entry: Entry, traces: Mapping[int, Trace], experimental: frozenset[str]
) -> EntryView:
    trace = traces[entry.recording_id]
    picture = "" if trace.picture is None else b64encode(trace.picture).decode("ascii")
    return EntryView(
        place,
        entry.recording_id,
        tuple(_facts(entry)),
        f"{entry.any_vessel_risk:.3f}",
        entry.high_vessels,
        entry.near_cut,
        tuple(
            VesselLine(vessel, f"{risk:.3f}", 100 * risk, stratum, vessel in experimental)
            for vessel, (risk, stratum) in entry.vessels.items()
        ),
        picture,
        trace.why_not,
        f"12-lead ECG of recording {entry.recording_id}, first 10 seconds, 25 mm/s and 10 mm/mV.",
    )


def _facts(entry: Entry) -> list[tuple[str, str]]:
    dated = "ECG of" if entry.ecg_date_source == "acquired_at" else "ECG first seen"
    normal = {True: "yes", False: "no", None: wording.ABSENT}[entry.statement_normal]
    return [
        ("accession", entry.accession or wording.ABSENT),
        (dated, wording.moment(entry.ecg_date)),
        ("age", wording.ABSENT if entry.age_years is None else f"{entry.age_years:.0f} years"),
        ("sex", entry.sex or wording.ABSENT),
        ("read as normal", normal),
        ("earlier ECGs", _earlier(entry)),
    ]


def _earlier(entry: Entry) -> str:
    """The patient's earlier strata under the same bundle: listed, never subtracted."""
    if entry.earlier_strata is None:
        return "patient not named in the file"
    return entry.earlier_strata or "none"
