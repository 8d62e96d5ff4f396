"""The rate is that of the last minute, and what it says of the rest comes true at that rate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgbatch.pace import WINDOW_S, Pace, Reading


def _run(rates: list[float], expected: int) -> list[tuple[float, Reading]]:
    """A reading at every unit; each rate holds for 100 units."""
    clock = [0.0]
    pace, done, readings = Pace(lambda: clock[0]), 0, []
    pace.note(0, expected)
    for rate in rates:
        for _ in range(100):
            clock[0] += 1 / rate
            done += 1
            readings.append((clock[0], pace.note(done, expected)))
    return readings


@given(st.floats(0.5, 500.0))
def test_a_steady_worker_ends_when_it_was_said(rate: float) -> None:
    readings = _run([rate] * 6, 600)
    end_s = readings[-1][0]
    for moment, reading in readings:
        if reading.remaining_s is not None and moment > 10.0:
            assert moment + reading.remaining_s == pytest.approx(end_s, abs=0.2 + 2 / rate)


def test_nothing_is_said_before_there_is_something_to_say() -> None:
    assert all(reading.per_second is None for moment, reading in _run([50.0], 600) if moment < 4.9)


def test_what_was_long_ago_does_not_count() -> None:
    """Ten times slower for more than a minute: the last rate alone is said."""
    _, last = _run([10.0] * 5 + [1.0], 1000)[-1]
    assert WINDOW_S < 100 / 1.0
    assert last.per_second == pytest.approx(1.0, rel=0.05)
    assert last.remaining_s == pytest.approx(400.0, rel=0.05)


def test_a_worker_that_stands_still_promises_nothing() -> None:
    clock = [0.0]
    pace = Pace(lambda: clock[0])
    pace.note(5, 10)
    clock[0] = 30.0
    assert pace.note(5, 10) == Reading(5, 10, 0.0, None)


def test_more_than_was_expected_is_no_negative_time() -> None:
    clock = [0.0]
    pace = Pace(lambda: clock[0])
    pace.note(0, 3)
    clock[0] = 10.0
    assert pace.note(20, 3).remaining_s == 0.0
