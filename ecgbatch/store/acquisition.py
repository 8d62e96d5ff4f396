"""Which exports show one acquisition, and which of them is current. No database here."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from ecgbatch.terms import ReasonCode

_Ordered = TypeVar("_Ordered", int, datetime, tuple[datetime, int])
_STATUS_ORDER = {"unconfirmed": 0, "confirmed": 1, "corrected": 2}


@dataclass(frozen=True, slots=True)
class Version:
    """One export of an acquisition, as far as linking and order go.

    Attributes:
        is_scored: no gate refused it.
        here: when its bytes last came to lie at the locator in question, with the item's number
            for what came at one moment; None where it lies elsewhere.
        is_in_conflict: it is not current, because of an identity conflict.
    """

    recording_id: int
    acquisition_key: str | None = field(default=None, repr=False)
    patient_key: str | None = field(default=None, repr=False)
    ecg_id: str | None = field(default=None, repr=False)
    signal_digest: str | None = None
    edit_at: datetime | None = None
    edit_status: str | None = None
    is_scored: bool = True
    here: tuple[datetime, int] | None = None
    is_in_conflict: bool = False


class Place(StrEnum):
    CURRENT = "current"
    SUPERSEDED = "superseded"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a new version stands.

    Attributes:
        current_id: the recording that is current now; None in a conflict.
        reason: why the new one is not current.
        superseded: recordings that give way to the current one, with the reason.
        conflicts: recordings that are no longer current because patients differ.
    """

    place: Place
    current_id: int | None
    reason: ReasonCode | None = None
    superseded: tuple[tuple[int, ReasonCode], ...] = ()
    conflicts: tuple[int, ...] = ()


def is_same_acquisition(one: Version, other: Version) -> bool:
    """Equal acquisition key, or ECG id, or signal that no gate refused; or, where neither names
    a patient, the same locator. A file name used again never links by itself.
    """
    if _equal(one.acquisition_key, other.acquisition_key) or _equal(one.ecg_id, other.ecg_id):
        return True
    if one.is_scored and other.is_scored and _equal(one.signal_digest, other.signal_digest):
        return True
    nameless = one.patient_key is None and other.patient_key is None
    return nameless and one.here is not None and other.here is not None


def order(one: Version, other: Version) -> int:
    """1 if `one` is the newer, -1 if the older, 0 if nothing says.

    By edit time, then by status (unconfirmed < confirmed < corrected), then, at one locator, by
    which bytes came later. What one of the two lacks does not decide.
    """
    return (
        _sign(_known_times(one, other))
        or _sign(_known_statuses(one, other))
        or _sign(_known_arrivals(one, other))
    )


def place(new: Version, others: Sequence[Version]) -> Verdict:
    """Place a version among those of its acquisition that are current or in conflict."""
    if conflicts := tuple(o.recording_id for o in others if _conflicts(new, o)):
        return Verdict(Place.CONFLICT, None, ReasonCode.IDENTITY_CONFLICT, conflicts=conflicts)
    # The oldest last, so that among equals the first stays.
    rivals = sorted(
        (other for other in others if not other.is_in_conflict),
        key=lambda other: other.recording_id,
        reverse=True,
    )
    current = new
    for other in rivals:
        if _gives_way(current, other):
            current = other
    superseded = tuple(
        (other.recording_id, _reason(current, other)) for other in rivals if other is not current
    )
    if current is new:
        return Verdict(Place.CURRENT, new.recording_id, superseded=superseded)
    return Verdict(Place.SUPERSEDED, current.recording_id, _reason(current, new), superseded)


def _conflicts(new: Version, other: Version) -> bool:
    if order(new, other) != 0:
        return other.is_in_conflict and order(new, other) < 0
    return other.is_in_conflict or _different_patients(new, other)


def _gives_way(current: Version, other: Version) -> bool:
    """In equal order what was there before stays, unless only the new one was scored."""
    comparison = order(current, other)
    if comparison != 0:
        return comparison < 0
    return other.is_scored or not current.is_scored


def _reason(current: Version, other: Version) -> ReasonCode:
    if _different_patients(current, other):
        return ReasonCode.PATIENT_CORRECTED
    return ReasonCode.SAME_ACQUISITION


def _different_patients(one: Version, other: Version) -> bool:
    named = one.patient_key is not None and other.patient_key is not None
    return named and one.patient_key != other.patient_key


def _equal(one: str | None, other: str | None) -> bool:
    return one is not None and one == other


def _known_times(one: Version, other: Version) -> tuple[datetime, datetime] | None:
    if one.edit_at is None or other.edit_at is None:
        return None
    return one.edit_at, other.edit_at


def _known_statuses(one: Version, other: Version) -> tuple[int, int] | None:
    ranks = (_STATUS_ORDER.get(one.edit_status or ""), _STATUS_ORDER.get(other.edit_status or ""))
    return None if ranks[0] is None or ranks[1] is None else (ranks[0], ranks[1])


def _known_arrivals(
    one: Version, other: Version
) -> tuple[tuple[datetime, int], tuple[datetime, int]] | None:
    if one.here is None or other.here is None:
        return None
    return one.here, other.here


def _sign(pair: tuple[_Ordered, _Ordered] | None) -> int:
    if pair is None or pair[0] == pair[1]:
        return 0
    return 1 if pair[0] > pair[1] else -1
