"""The wish to end: it comes by a signal, in the middle of whatever runs."""

import signal
import subprocess
import sys
import time

import pytest

from ecgbatch.stopping import Stop

_UNDER_FIRE = """
import sys, threading
{stop}
def interrupt(frame, event, argument):
    stop.set()  # as a signal's handler does, between any two lines of the wait
    return interrupt
sys.settrace(interrupt)
stop.wait(0.01)
sys.settrace(None)
print("through", end="")
"""


def under_fire(stop: str) -> str:
    """What a program says that is told to stop at every line of its wait."""
    ended = subprocess.run(
        [sys.executable, "-c", _UNDER_FIRE.format(stop=stop)],
        capture_output=True,
        text=True,
        timeout=5,
        check=False,
    )
    return ended.stdout


def test_signal_in_the_middle_of_a_wait_blocks_nothing() -> None:
    assert under_fire("from ecgbatch.stopping import Stop; stop = Stop()") == "through"
    with pytest.raises(subprocess.TimeoutExpired):  # control: what holds a lock waits for itself
        under_fire("stop = threading.Event()")


def test_wait_ends_with_the_wish_or_the_time() -> None:
    stop = Stop()
    began = time.monotonic()
    assert not stop.wait(0.2)
    assert 0.2 <= time.monotonic() - began < 1.0
    before = signal.signal(signal.SIGALRM, stop.wish)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        began = time.monotonic()
        assert stop.wait(30.0)
        assert time.monotonic() - began < 5.0
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not stop.is_urgent()


@pytest.mark.parametrize("ends_at_once", [True, False])
def test_second_wish_is_urgent(ends_at_once: bool) -> None:
    stop = Stop(ends_at_once)
    stop.wish(signal.SIGTERM, None)
    assert (stop.is_set(), stop.is_urgent()) == (True, False)
    if ends_at_once:
        with pytest.raises(KeyboardInterrupt):
            stop.wish(signal.SIGTERM, None)
    else:
        stop.wish(signal.SIGTERM, None)
    assert stop.is_urgent()
