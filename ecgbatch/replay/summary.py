"""Many replays counted; what differs or is gone is named."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ecgbatch.replay.replayer import Replayed, Replayer
from ecgbatch.store.replays import KeptResult
from ecgbatch.terms import ReplayOutcome, ReplayStage

MOST_NAMED = 10_000
"""Of a database whose files are all gone, the rest are only counted."""


@dataclass(slots=True)
class Summary:
    """What came of the replays.

    Attributes:
        stages: of those that differ, by the first stage that does.
        named: the first MOST_NAMED that differ or are gone.
        all_clinical: every result is of a clinical bundle; True of none.
        is_complete: False where Ctrl-C ended it before the last result.
    """

    outcomes: Counter[ReplayOutcome] = field(default_factory=Counter)
    stages: Counter[ReplayStage] = field(default_factory=Counter)
    named: list[Replayed] = field(default_factory=list)
    all_clinical: bool = True
    is_complete: bool = True

    @property
    def n_results(self) -> int:
        return self.outcomes.total()

    @property
    def n_failed(self) -> int:
        """How many differ or are gone."""
        return self.outcomes[ReplayOutcome.DIFFERS] + self.outcomes[ReplayOutcome.GONE]

    def add(self, one: Replayed) -> None:
        self.outcomes[one.outcome] += 1
        self.all_clinical &= one.is_clinical
        if one.stage is not None:
            self.stages[one.stage] += 1
        is_failed = one.outcome in (ReplayOutcome.DIFFERS, ReplayOutcome.GONE)
        if is_failed and len(self.named) < MOST_NAMED:
            self.named.append(one)


def replay_all(
    replayer: Replayer, results: Iterable[KeptResult], progress: Callable[[int], None]
) -> Summary:
    """Replay them; Ctrl-C ends it with what was found until then.

    Args:
        progress: called with how many are done.

    Raises:
        SetupFault, TransientFault: as `Replayer.replay`.
    """
    summary = Summary()
    try:
        for replayed in replayer.replay(results):
            summary.add(replayed)
            progress(summary.n_results)
    except KeyboardInterrupt:
        summary.is_complete = False
    return summary
