"""The mark against brute force, and against transactions that commit in any order."""

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ecgbatch.export.watermark import (
    Mark,
    Ranges,
    Writers,
    advanced,
    joined,
    may_still_come,
    without,
)

RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4))).map(
    lambda pairs: [(first, first + more) for first, more in pairs]
)


def numbers(ranges: Ranges) -> set[int]:
    return {one for first, last in ranges for one in range(first, last + 1)}


@given(RANGES)
def test_joined_ranges_hold_the_same_numbers_and_do_not_touch(ranges: Ranges) -> None:
    found = joined(ranges)

    assert numbers(found) == numbers(ranges)
    assert all(one[1] + 1 < two[0] for one, two in pairwise(found))


@given(RANGES.map(joined), st.lists(st.integers(-2, 40)))
def test_numbers_are_taken_out_of_ranges(ranges: Ranges, taken: list[int]) -> None:
    found = without(ranges, taken)

    assert numbers(found) == numbers(ranges) - set(taken)
    assert found == joined(found)


def test_where_writers_cannot_be_seen_everything_may_still_come() -> None:
    nobody, unseen = Writers(), Writers(is_known=False)

    assert may_still_come(unseen, nobody)
    assert may_still_come(nobody, unseen)
    assert unseen.may_write
    assert not may_still_come(nobody, nobody)


class Table:
    """A table that transactions write to, and an export of it; commits come between its looks."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - the same course every time
        self.next_number, self.next_name = 1, 1
        self.open: dict[str, list[int]] = {}
        self.committed: set[int] = set()
        self.exported: list[int] = []
        self.mark, self.writers = Mark(), Writers()
        self.is_quiet = False

    def act(self) -> None:
        """One transaction begins, takes a number, commits or rolls back."""
        kind = self.random.randrange(4)
        if kind == 0 and len(self.open) < 4:
            self.open[f"1/{self.next_name}"] = []
            self.next_name += 1
        elif kind < 3 and self.open:
            self.open[self.random.choice(sorted(self.open))].append(self.next_number)
            self.next_number += 1
        elif self.open:
            taken = self.open.pop(self.random.choice(sorted(self.open)))
            self.committed |= set(taken) if self.random.random() < 0.7 else set()

    def acts(self) -> None:
        for _ in range(0 if self.is_quiet else self.random.randrange(8)):
            self.act()

    def export(self) -> None:
        top = max(self.committed, default=0)
        self.acts()
        writers = Writers(frozenset(self.open))
        self.acts()
        self.exported += numbers(self.mark.unread(top)) & self.committed
        above = set(range(self.mark.top + 1, top + 1)) - self.committed
        left = without(self.mark.gaps, self.committed)
        self.mark = advanced(
            self.mark,
            top,
            old_gaps=left if may_still_come(self.writers, writers) else (),
            new_gaps=joined((one, one) for one in above) if writers.may_write else (),
        )
        self.writers = writers


def test_every_committed_number_is_read_once_in_whatever_order_it_comes() -> None:
    n_late = 0
    for seed in range(200):
        table = Table(seed)
        for _ in range(40):
            table.acts()
            table.export()
        n_late += sum(one > two for one, two in pairwise(table.exported))
        while table.open:
            table.act()
        table.is_quiet = True
        table.export()

        assert len(table.exported) == len(set(table.exported))
        assert set(table.exported) == table.committed
    assert n_late > 1000, "numbers that came late are what this is about"


def test_a_number_rolled_back_is_forgotten_with_its_writer() -> None:
    table = Table(0)
    table.open = {"1/1": [1], "1/2": [2]}
    table.committed = {3}
    table.is_quiet = True
    table.export()
    assert table.mark == Mark(3, ((1, 2),))

    del table.open["1/1"]
    table.export()
    assert table.mark == Mark(3, ((1, 2),)), "the other one may have either"

    del table.open["1/2"]
    table.export()
    assert table.mark == Mark(3)
