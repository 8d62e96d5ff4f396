"""What a sighting means for the items already known. No database here."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ecgbatch.records import Sighting
from ecgbatch.terms import ItemState, ReasonCode


@dataclass(frozen=True, slots=True)
class KnownItem:
    """An item as the ledger has it.

    Attributes:
        is_read: some work on it has finished.
        has_result: one of these ended scored, rejected or as a duplicate.
    """

    item_id: int
    locator: str
    fingerprint: str
    state: ItemState
    reason: str | None
    is_read: bool
    has_result: bool
    changed_at: datetime
    recording_id: int | None
    members: str | None = None

    @property
    def is_unread(self) -> bool:
        waiting = {ItemState.DISCOVERED, ItemState.ADMITTED, ItemState.VANISHED}
        return self.state in waiting and not self.is_read

    @property
    def is_open(self) -> bool:
        """Waiting or quarantined: what a newer version at its place replaces."""
        waiting = {ItemState.DISCOVERED, ItemState.ADMITTED}
        return self.state in waiting and not self.has_result


@dataclass(frozen=True, slots=True)
class Moved:
    """New values of an item; `is_changed` restarts its clock."""

    item_id: int
    locator: str
    fingerprint: str
    state: ItemState
    reason: ReasonCode | None
    is_changed: bool
    members: str | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """What to write for one batch of sightings."""

    seen: tuple[int, ...] = ()
    moved: tuple[Moved, ...] = ()
    new: tuple[Sighting, ...] = ()
    superseded: tuple[KnownItem, ...] = ()
    returned: tuple[KnownItem, ...] = ()
    """What lies there again after other bytes did, and has its result already."""
    learned: tuple[tuple[int, str], ...] = ()
    """Members of items that were noted before members were."""


def plan(sightings: Sequence[Sighting], known: Iterable[KnownItem]) -> Changes:
    """Compare what was seen with what is known.

    Until an item has been read, a change updates it; afterwards a change makes a new item, and
    the old one is superseded unless it has a result. A signal file seen without its header is
    taken over by the record that names it.

    Args:
        known: the items at the locators of all members of `sightings`.
    """
    at_locator: dict[str, list[KnownItem]] = defaultdict(list)
    for one in sorted(known, key=lambda k: k.item_id):
        at_locator[one.locator].append(one)
    seen: list[int] = []
    moved: list[Moved] = []
    new: list[Sighting] = []
    superseded: list[KnownItem] = []
    returned: list[KnownItem] = []
    learned: list[tuple[int, str]] = []
    for sighting in sightings:
        orphans = [
            part
            for locator in sighting.members
            if locator != sighting.locator
            for part in at_locator.pop(locator, [])
            if part.is_open
        ]
        step = _step(sighting, at_locator[sighting.locator], orphans)
        seen.extend(step.seen)
        moved.extend(step.moved)
        new.extend(step.new)
        superseded.extend(step.superseded)
        returned.extend(step.returned)
        learned.extend(step.learned)
    return Changes(
        tuple(seen),
        tuple(moved),
        tuple(new),
        tuple(superseded),
        tuple(returned),
        tuple(learned),
    )


def members_text(sighting: Sighting) -> str | None:
    """Names of all members but the first, as `item.members` keeps them; None for a single file."""
    names = [locator.rpartition("/")[2] for locator in sighting.members[1:]]
    return json.dumps(names, separators=(",", ":")) if names else None


def reason_to_wait(sighting: Sighting) -> ReasonCode:
    return ReasonCode.NEW if sighting.is_whole else ReasonCode.INCOMPLETE


def _step(sighting: Sighting, here: Sequence[KnownItem], orphans: Sequence[KnownItem]) -> Changes:
    same = next((k for k in here if k.fingerprint == sighting.fingerprint), None)
    if same is not None:
        if same.has_result and same is not max(here, key=_arrival):
            replaced = tuple(k for k in here if k.is_open)
            return Changes(superseded=(*orphans, *replaced), returned=(same,))
        step = _seen_again(sighting, same)
        return replace(step, superseded=tuple(orphans))
    unread = next((k for k in reversed(here) if k.is_unread), None)
    if unread is None and not here:
        unread = next((k for k in orphans if k.is_unread), None)
    if unread is not None:
        rest = tuple(k for k in orphans if k is not unread)
        return Changes(moved=(_updated(sighting, unread),), superseded=rest)
    replaced = tuple(k for k in here if k.is_open)
    return Changes(new=(sighting,), superseded=(*orphans, *replaced))


def _arrival(known: KnownItem) -> tuple[datetime, int]:
    return known.changed_at, known.item_id


def _seen_again(sighting: Sighting, known: KnownItem) -> Changes:
    if known.state in {ItemState.VANISHED, ItemState.SUPERSEDED}:
        return Changes(moved=(_returned(sighting, known),))
    reason = reason_to_wait(sighting)
    if known.state is ItemState.DISCOVERED and known.reason != reason:
        return Changes(moved=(_moved(sighting, known, ItemState.DISCOVERED, reason, False),))
    members = members_text(sighting)
    learned = () if members is None or known.members else ((known.item_id, members),)
    return Changes(seen=(known.item_id,), learned=learned)


def _updated(sighting: Sighting, known: KnownItem) -> Moved:
    return _moved(sighting, known, ItemState.DISCOVERED, reason_to_wait(sighting), True)


def _returned(sighting: Sighting, known: KnownItem) -> Moved:
    if known.is_read:
        return _moved(sighting, known, ItemState.ADMITTED, None, True)
    return _updated(sighting, known)


def _moved(
    sighting: Sighting,
    known: KnownItem,
    state: ItemState,
    reason: ReasonCode | None,
    is_changed: bool,
) -> Moved:
    return Moved(
        known.item_id,
        sighting.locator,
        sighting.fingerprint,
        state,
        reason,
        is_changed,
        members_text(sighting),
    )
