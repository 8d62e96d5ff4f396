"""How much is tried by the tests that could go on for hours."""

import os

FULL = os.environ.get("ECGBATCH_TEST_EFFORT") == "full"
"""At night and before a release, `make fault-nightly`."""


def effort(full: int, *, with_every_change: int) -> int:
    """The plan's number, or the smaller one that a change can wait for."""
    return full if FULL else with_every_change
