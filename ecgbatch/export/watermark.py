"""What of a growing table was read: everything up to a number, but for gaps. No database here.

Numbers come from a sequence, so they can be committed out of order, and a number that was rolled
back never comes. A gap is a number below the top that was not there yet (docs/why/0036).
"""

from collections.abc import Iterable
from dataclasses import dataclass

Ranges = tuple[tuple[int, int], ...]
"""Ascending, apart from each other, both ends included."""


@dataclass(frozen=True, slots=True)
class Mark:
    """All numbers up to `top` were read, but for those in `gaps`, which may still come."""

    top: int = 0
    gaps: Ranges = ()

    @property
    def n_open(self) -> int:
        """How many numbers may still come."""
        return sum(last - first + 1 for first, last in self.gaps)

    def unread(self, top: int) -> Ranges:
        """What has to be looked at up to a new top."""
        return (*self.gaps, (self.top + 1, top)) if top > self.top else self.gaps


@dataclass(frozen=True, slots=True)
class Writers:
    """The transactions that could write at one moment.

    Attributes:
        names: one for each; never used for a second one while the server runs.
        is_known: False where nobody can tell, as on a standby.
    """

    names: frozenset[str] = frozenset()
    is_known: bool = True

    @property
    def may_write(self) -> bool:
        return bool(self.names) or not self.is_known


def may_still_come(before: Writers, now: Writers) -> bool:
    """Whether a number that was a gap under the writers `before` can still appear.

    Whoever took such a number was among them, or had ended already. If none of them is left, what
    is not there now was rolled back.
    """
    if not (before.is_known and now.is_known):
        return True
    return not before.names.isdisjoint(now.names)


def advanced(mark: Mark, top: int, *, old_gaps: Ranges, new_gaps: Ranges) -> Mark:
    """The mark after everything up to `top` was read.

    Args:
        old_gaps: what of the mark's gaps may still come.
        new_gaps: what is missing above the mark's top and may still come.
    """
    return Mark(max(mark.top, top), joined((*old_gaps, *new_gaps)))


def without(ranges: Ranges, numbers: Iterable[int]) -> Ranges:
    """The ranges but for these numbers; those that are in no range change nothing."""
    left: list[tuple[int, int]] = []
    ahead = sorted(set(numbers), reverse=True)
    for start, last in ranges:
        first = start
        while ahead and ahead[-1] <= last:
            number = ahead.pop()
            if number < first:
                continue
            if number > first:
                left.append((first, number - 1))
            first = number + 1
        if first <= last:
            left.append((first, last))
    return tuple(left)


def joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sorted, and neighbours made one."""
    whole: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if whole and first <= whole[-1][1] + 1:
            whole[-1] = (whole[-1][0], max(last, whole[-1][1]))
        else:
            whole.append((first, last))
    return tuple(whole)
