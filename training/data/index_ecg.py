"""Which ECG stands for a CCTA: one per CCTA, near it, before it, before any revascularisation."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Literal

from training.data.cells import Moment

Mode = Literal["nearest_before", "nearest", "all"]

_DAY_S = 86400.0


class NotIndex(StrEnum):
    """Why an ECG is kept for repeatability alone."""

    UNDATED = "no date of the ECG or of its CCTA"
    ORDER_UNKNOWN = "an absolute gap cannot tell before from after"
    AFTER = "after its CCTA"
    TOO_FAR = "too far from its CCTA"
    REVASCULARISED = "not known to be before the revascularisation"
    ANOTHER = "another ECG is nearer to its CCTA"


@dataclass(frozen=True, slots=True)
class Gap:
    """CCTA minus ECG in days; whole days where one of them is known by its day alone.

    Attributes:
        is_ordered: False where `days` is a mere distance.
    """

    days: float
    is_ordered: bool = True


@dataclass(frozen=True, slots=True)
class Candidate:
    """One ECG of one CCTA.

    Attributes:
        ccta: what tells this CCTA from every other one, also of other patients.
        key: settles ties, whatever the order of the manifest.
    """

    ccta: Hashable = field(repr=False)
    key: str
    ecg_at: Moment | None
    gap: Gap | None
    revascularised_at: Moment | None


def gap_between(ecg_at: Moment | None, ccta_at: Moment | None) -> Gap | None:
    """None where one of them is not known. On one day, known by the day alone: 0, not after."""
    if ecg_at is None or ccta_at is None:
        return None
    if ecg_at.is_day or ccta_at.is_day:
        return Gap(float((ccta_at.at.date() - ecg_at.at.date()).days))
    return Gap((ccta_at.at - ecg_at.at).total_seconds() / _DAY_S)


def choose(
    candidates: Sequence[Candidate], mode: Mode, most_gap_days: float
) -> list[NotIndex | None]:
    """Per ECG None where it is an index ECG, else why not.

    `nearest_before` and `nearest` choose one ECG per CCTA. `all` keeps every ECG that is not
    known to be too far from its CCTA, and not after a revascularisation.
    """
    verdicts = [_verdict(one, mode, most_gap_days) for one in candidates]
    if mode == "all":
        return verdicts
    best: dict[Hashable, tuple[tuple[float, bool, str], int]] = {}
    for place, (one, verdict) in enumerate(zip(candidates, verdicts, strict=True)):
        if verdict is None and one.gap is not None:
            # Of two at the same distance the one before, then the smaller key.
            rank = (abs(one.gap.days), one.gap.days < 0, one.key)
            best[one.ccta] = min(best.get(one.ccta, (rank, place)), (rank, place))
    chosen = {place for _, place in best.values()}
    return [
        NotIndex.ANOTHER if verdict is None and place not in chosen else verdict
        for place, verdict in enumerate(verdicts)
    ]


def _verdict(one: Candidate, mode: Mode, most_gap_days: float) -> NotIndex | None:
    if one.gap is None:
        unfit = None if mode == "all" else NotIndex.UNDATED
    elif mode == "nearest_before" and not one.gap.is_ordered:
        unfit = NotIndex.ORDER_UNKNOWN
    elif mode == "nearest_before" and one.gap.days < 0:
        unfit = NotIndex.AFTER
    elif abs(one.gap.days) > most_gap_days:
        unfit = NotIndex.TOO_FAR
    else:
        unfit = None
    if unfit is None and not _is_before(one.ecg_at, one.revascularised_at):
        return NotIndex.REVASCULARISED
    return unfit


def _is_before(ecg_at: Moment | None, revascularised_at: Moment | None) -> bool:
    """Certainly before; by the day where one of them is known by its day alone."""
    if revascularised_at is None:
        return True
    if ecg_at is None:
        return False
    if ecg_at.is_day or revascularised_at.is_day:
        return ecg_at.at.date() < revascularised_at.at.date()
    return ecg_at.at < revascularised_at.at


def day_of_ccta(ecg_at: Moment | None, gap: Gap | None) -> date | None:
    """The day that an ordered gap says, where the CCTA itself is not dated."""
    if ecg_at is None or gap is None or not gap.is_ordered:
        return None
    return ecg_at.at.date() + timedelta(days=round(gap.days))
