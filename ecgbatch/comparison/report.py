"""One comparison, from the database: who against whom, and what each task's flips are."""

from dataclasses import asdict, dataclass, field
from datetime import datetime

from ecgbatch.comparison.flips import Flips, flips
from ecgbatch.errors import SetupFault
from ecgbatch.store import bundles
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.engine import Engine, transaction
from ecgbatch.store.pairs import Pair, pairs
from ecgbatch.terms import DEMONSTRATION_NOTICE, INTENDED_USE_NOTICE, ReasonCode


@dataclass(frozen=True, slots=True)
class Comparison:
    """The champion and another bundle over the ECGs that both have scored.

    Attributes:
        since: only ECGs of this date (wall clock) or later; None: all.
        pairs: one per ECG and task, any vessel included.
    """

    champion: BundleRow
    challenger: BundleRow
    since: datetime | None
    flips: tuple[Flips, ...]
    pairs: tuple[Pair, ...] = field(repr=False)

    @property
    def is_clinical(self) -> bool:
        """Whether both bundles are."""
        return self.champion.is_clinical and self.challenger.is_clinical


def compare(engine: Engine, challenger: BundleRow, since: datetime | None = None) -> Comparison:
    """Read both bundles' results and count.

    Raises:
        SetupFault: BUNDLE_NOT_ACTIVE, the database has no champion.
    """
    with transaction(engine) as connection:
        champion = bundles.champion(connection)
        if champion is None:
            raise SetupFault(ReasonCode.BUNDLE_NOT_ACTIVE, "the database has no champion")
        found = tuple(pairs(connection, champion.digest, challenger.digest, since))
    return Comparison(champion, challenger, since, flips(found), found)


def summary(comparison: Comparison) -> dict[str, object]:
    """Who, since when, and every task's figures, as plain values for JSON."""
    notice = INTENDED_USE_NOTICE
    if not comparison.is_clinical:
        notice = f"{DEMONSTRATION_NOTICE}. {notice}"
    return {
        "champion": _named(comparison.champion),
        "challenger": _named(comparison.challenger),
        "since": None if comparison.since is None else comparison.since.date().isoformat(),
        "tasks": [asdict(one) for one in comparison.flips],
        "notice": notice,
    }


def _named(bundle: BundleRow) -> dict[str, object]:
    named = asdict(bundle)
    del named["location"]
    return named
