"""Time on an axis: days in groups that stay legible, and which of them are labelled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from ecgbatch.store.reporting import Period

_MOST_COLUMNS = 62
_GROUPS_DAYS = (1, 7, 28, 91)
_MOST_LABELS = 5
_HOURLY_DAYS = 3
"""A period of at most so many days is shown hour by hour."""


@dataclass(frozen=True, slots=True)
class Span:
    """One column of a figure: from its start for so many hours.

    Attributes:
        name: in words, for a table or tooltip.
        tick: the same as short as an axis needs.
    """

    start: datetime
    hours: int
    name: str
    tick: str


@dataclass(frozen=True, slots=True)
class Spans:
    """All columns of a figure, without gaps; the first starts with the period."""

    columns: tuple[Span, ...]
    unit: str

    @property
    def hours(self) -> int:
        """Of each column but the last, which the period's end may cut."""
        return self.columns[0].hours

    def place(self, moment: datetime) -> int:
        """Number of the column in which a moment of the period lies."""
        passed = moment - self.columns[0].start
        return int(passed / timedelta(hours=self.hours))

    def labels(self) -> list[tuple[int, str]]:
        """At most five columns, evenly spaced, with their short names."""
        step = -(-len(self.columns) // _MOST_LABELS)
        if self.hours == 1:
            # Midnights and round hours: 6, 12, 24.
            step = next(hours for hours in (6, 12, 24) if len(self.columns) / hours <= _MOST_LABELS)
        places = range(0, len(self.columns), step)
        return [(place, self.columns[place].tick) for place in places]


def daily(period: Period) -> Spans:
    """Days, or groups of 7, 28, 91 or more days if there would be more than 62 columns."""
    n_days = next(
        (days for days in _GROUPS_DAYS if period.n_days <= days * _MOST_COLUMNS),
        -(-period.n_days // _MOST_COLUMNS),
    )
    starts = [period.since + timedelta(days=n) for n in range(0, period.n_days, n_days)]
    is_in_one_year = period.since.year == period.until.year
    columns = tuple(
        Span(
            _midnight(start, period),
            24 * n_days,
            _named(start, min(start + timedelta(days=n_days - 1), period.until)),
            _short(start, is_in_one_year=is_in_one_year),
        )
        for start in starts
    )
    return Spans(columns, "day" if n_days == 1 else f"{n_days} days")


def hourly(period: Period) -> Spans:
    """Hours of a period of at most three days, else as `daily`."""
    if period.n_days > _HOURLY_DAYS:
        return daily(period)
    starts = [period.from_at + timedelta(hours=n) for n in range(24 * period.n_days)]
    columns = tuple(Span(one, 1, f"{one:%Y-%m-%d %H:00}", _clock(one)) for one in starts)
    return Spans(columns, "hour")


def sums(spans: Spans, counted: Sequence[tuple[datetime, int]]) -> list[int]:
    """Numbers by moment, added up per column."""
    totals = [0] * len(spans.columns)
    for moment, number in counted:
        totals[spans.place(moment)] += number
    return totals


def _midnight(day: date, period: Period) -> datetime:
    return period.from_at + (day - period.since)


def _named(first: date, last: date) -> str:
    return f"{first}" if first == last else f"{first} to {last}"


def _short(day: date, *, is_in_one_year: bool) -> str:
    return f"{day.day} {day:%b}" if is_in_one_year else f"{day:%b %Y}"


def _clock(moment: datetime) -> str:
    return f"{moment.day} {moment:%b}" if moment.hour == 0 else f"{moment:%H}:00"
