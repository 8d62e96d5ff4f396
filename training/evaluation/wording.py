"""Numbers and counts as the report's tables show them."""

import numpy as np

from training.records import Estimate, Task

NONE = "–"
"""Where a number is undefined."""


def interval(estimate: Estimate | None, digits: int = 3) -> str:
    """`0.744 (0.712 to 0.776)`."""
    if estimate is None:
        return NONE
    value, low, high = (
        f"{number:.{digits}f}" for number in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} ({low} to {high})"


def percent(estimate: Estimate | None) -> str:
    """`12.3 % (11.0 to 13.8)`; two decimals below one per cent."""
    if estimate is None:
        return NONE
    digits = 2 if 0.0 < estimate.value < 0.01 else 1
    value, low, high = (
        f"{100 * number:.{digits}f}" for number in (estimate.value, estimate.low, estimate.high)
    )
    return f"{value} % ({low} to {high})"


def sizes(task: Task) -> tuple[int, int]:
    """ECGs with a label, and positives among them."""
    return int(np.isfinite(task.labels).sum()), int((task.labels == 1).sum())
