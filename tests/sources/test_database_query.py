"""What a query may be, and how its moments are kept and compared."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgbatch.errors import SetupFault
from ecgbatch.sources.database_query import (
    Moment,
    Watermark,
    later,
    moment_of,
    one_select,
    text_of,
    watermark_of,
)
from ecgbatch.terms import ReasonCode

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT id, changed_at, content FROM ecg",
        "  select 1;  ",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "SELECT ';' AS a, \"b;\" FROM t -- ; comment\n WHERE x = 'it''s'",
        "/* first; */ SELECT a::text, $$ ; $$, $x$ ' $x$ FROM t",
    ],
)
def test_one_select_is_taken(query: str) -> None:
    assert one_select(query)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "DELETE FROM ecg",
        "UPDATE ecg SET id = 1",
        "SELECT 1; DELETE FROM ecg",
        "SELECT 1) q; DROP TABLE ecg --",
        "SELECT 1) q WHERE (1 = 1",
        "SELECT (1",
        "SELECT 'open",
        "SELECT 1 /* open",
        "SELECT id FROM ecg WHERE changed_at > :since",
        "selection",
    ],
)
def test_everything_else_is_refused(query: str) -> None:
    with pytest.raises(SetupFault) as caught:
        one_select(query)
    assert caught.value.reason is ReasonCode.SOURCE_QUERY_INVALID


def test_colon_in_a_text_is_no_parameter() -> None:
    assert one_select("SELECT ' :a', x::text") == "SELECT ' \\:a', x::text"


MOMENTS: list[Moment] = [
    datetime(2026, 2, 1, 7, 30, 1, 250000),  # noqa: DTZ001 - as a column without a zone gives it
    datetime(2026, 2, 1, 7, 30, tzinfo=UTC),
    date(2026, 2, 1),
    170_000,
    "2026-02-01T07:30:01.25Z",
    "2026-02-01 07:30",
    "2026-02-01",
]


@pytest.mark.parametrize("at", MOMENTS, ids=str)
def test_watermark_is_kept_as_it_was(at: Moment) -> None:
    mark = Watermark(at, "q")

    assert watermark_of(mark.to_text(), "q") == mark
    assert watermark_of(mark.to_text(), "another query") is None
    assert watermark_of(None, "q") is None


@pytest.mark.parametrize("at", MOMENTS, ids=str)
def test_a_look_begins_before_its_watermark(at: Moment) -> None:
    since = Watermark(at, "q").since(0)

    assert type(since) is type(at)
    assert since <= at  # type: ignore[operator]


@given(
    st.datetimes(datetime(2000, 1, 2), datetime(2100, 1, 1)),  # noqa: DTZ001
    st.integers(0, 10**6),
    st.sampled_from(["T", " "]),
    st.sampled_from(["minutes", "seconds", "milliseconds", "microseconds"]),
    st.sampled_from(["", "Z"]),
)
def test_text_within_the_overlap_sorts_after_the_begin(
    at: datetime, overlap_s: int, sep: str, spec: str, zone: str
) -> None:
    late = at - timedelta(seconds=overlap_s)
    texts = [one.isoformat(sep, spec) + zone for one in (at, late)]

    assert Watermark(texts[0], "q").since(overlap_s) <= texts[1]  # type: ignore[operator]


def test_a_row_of_the_future_moves_nothing() -> None:
    past, future = NOW - timedelta(hours=1), NOW + timedelta(seconds=1)

    assert later(past, future, NOW) == past
    assert later(None, "2999-01-01 00:00", NOW) is None
    assert later(None, date(2026, 3, 3), NOW) is None
    assert later(3, 9, NOW) == 9
    assert later(9, None, NOW) == 9


def test_moments_of_a_zone_are_compared_in_utc() -> None:
    vienna = datetime(2026, 3, 1, 1, tzinfo=timezone(timedelta(hours=1)))

    assert text_of(moment_of(vienna)) == "2026-03-01T00:00:00+00:00"
    assert moment_of(Decimal(7)) == 7
    assert text_of(moment_of(None)) == "-"


@pytest.mark.parametrize("value", [1.5, True, b"x", "yesterday", Decimal("1.5"), "12:30"])
def test_what_is_no_moment_is_refused(value: object) -> None:
    with pytest.raises(SetupFault):
        moment_of(value)


def test_moments_of_two_types_are_refused() -> None:
    with pytest.raises(SetupFault):
        later(1, "2026-01-01", NOW)
