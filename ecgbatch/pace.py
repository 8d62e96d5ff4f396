"""How fast a worker is, and how long the rest will take if it goes on like that."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_S = 60.0
"""The rate is that of the last minute: what was hours ago says nothing of what is left."""
_LEAST_S = 5.0
_STEP_S = 0.5


@dataclass(frozen=True, slots=True)
class Reading:
    """What the pace is now.

    Attributes:
        done, expected: units; more may come while they are worked.
        per_second: None until it has been watched for long enough to mean something.
        remaining_s: at this rate; None while there is no rate, or nothing moves.
    """

    done: int
    expected: int
    per_second: float | None
    remaining_s: float | None


class Pace:
    """Watches how many units are done."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Args:
        clock: seconds that never go back.
        """
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, done: int, expected: int) -> Reading:
        """So many are done now; `done` never falls."""
        moment = self._clock()
        if not self._seen or moment - self._seen[-1][0] >= _STEP_S:
            self._seen.append((moment, done))
        while len(self._seen) > 2 and self._seen[1][0] <= moment - WINDOW_S:
            self._seen.popleft()
        since, before = self._seen[0]
        if moment - since < _LEAST_S:
            return Reading(done, expected, None, None)
        per_second = (done - before) / (moment - since)
        remaining_s = max(expected - done, 0) / per_second if per_second else None
        return Reading(done, expected, per_second, remaining_s)
