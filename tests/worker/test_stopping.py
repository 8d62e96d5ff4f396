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


def test_wait_ends_with_the_time() -> None:
    began = time.monotonic()
    assert not Stop().wait(0.2)
    assert 0.2 <= time.monotonic() - began < 1.0


_WAITING = """
from ecgbatch.stopping import stop_on_signals
stop = stop_on_signals(ends_at_once=False)
print("ready", flush=True)
print(stop.wait(30.0), stop.is_urgent(), flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_wait_ends_with_the_wish(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _WAITING], stdout=subprocess.PIPE, text=True
    ) as waiting:
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "ready\n"
        began = time.monotonic()
        waiting.send_signal(number)
        assert waiting.stdout.readline() == "True False\n"
        assert time.monotonic() - began < 5.0
    assert waiting.returncode == 0


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
