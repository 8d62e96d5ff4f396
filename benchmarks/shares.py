"""From samples to figures: rates, ratios, and the share of what the processors allow."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Cost:
    """One sample.

    Attributes:
        n: ECGs.
        seconds: by the clock.
        core_s: CPU seconds of all processes, the kernel's for them too.
        others: share of the machine that other processes took meanwhile.
    """

    n: int
    seconds: float
    core_s: float
    others: float = 0.0

    @property
    def ecg_per_s(self) -> float:
        return self.n / self.seconds

    @property
    def core_ms(self) -> float:
        """CPU milliseconds for an ECG."""
        return 1000.0 * self.core_s / self.n


def bound(cores: int, net_core_ms: float, other_core_ms: float) -> float:
    """ECGs a second that the cores can do: CPU times add, and nothing hides behind anything."""
    return 1000.0 * cores / (net_core_ms + other_core_ms)


def rates(samples: Sequence[Cost]) -> dict[str, object]:
    """Medians, with the range of the rate."""
    return {
        "ecg_per_s": spread(one.ecg_per_s for one in samples),
        "core_ms": round(median(one.core_ms for one in samples), 3),
        "others": round(max(one.others for one in samples), 3),
    }


def spread(values: Iterable[float]) -> dict[str, float]:
    """Median, smallest, largest."""
    ordered = sorted(values)
    return {
        "median": round(median(ordered), 3),
        "low": round(ordered[0], 3),
        "high": round(ordered[-1], 3),
    }


def ratio(ours: Sequence[Cost], theirs: Sequence[Cost]) -> dict[str, float]:
    """Of the rates, round by round."""
    return spread(one.ecg_per_s / other.ecg_per_s for one, other in zip(ours, theirs, strict=True))


def against_bound(
    ours: Sequence[Cost], nets: Sequence[Cost], rest: Sequence[Cost], cores: int
) -> dict[str, object]:
    """How close a runtime comes to the bound, round by round.

    Args:
        ours: end to end.
        nets: the net alone in the same runtime.
        rest: everything but the net, measured with the null scorer.
    """
    bounds = [
        bound(cores, net.core_ms, other.core_ms) for net, other in zip(nets, rest, strict=True)
    ]
    pairs = list(zip(ours, bounds, strict=True))
    return {
        "net_core_ms": round(median(one.core_ms for one in nets), 3),
        "total_minus_net_core_ms": round(
            median(one.core_ms - net.core_ms for one, net in zip(ours, nets, strict=True)), 3
        ),
        "bound_ecg_per_s": spread(bounds),
        "share_of_bound": spread(one.ecg_per_s / limit for one, limit in pairs),
        "share_of_bound_left_by_others": spread(
            one.ecg_per_s / (limit * (1.0 - one.others)) for one, limit in pairs
        ),
        "share_of_net_alone": spread(
            one.ecg_per_s / net.ecg_per_s for one, net in zip(ours, nets, strict=True)
        ),
    }
