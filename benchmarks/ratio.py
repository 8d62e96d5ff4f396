"""What every benchmark prints: the ratio of two sides measured turn by turn."""

from collections.abc import Sequence

import numpy as np


def summary(slower: str, faster: str, pairs: Sequence[tuple[float, float]]) -> str:
    """Medians of both sides in ms, and the ratio: median and 5th to 95th percentile."""
    times = np.array(pairs)
    ratios = times[:, 0] / times[:, 1]
    low, median, high = np.percentile(ratios, [5, 50, 95])
    before, after = np.median(times, axis=0)
    return (
        f"{slower} {before:.3f} ms, {faster} {after:.3f} ms\n"
        f"ratio {median:.1f} [{low:.1f}, {high:.1f}]\n"
    )
