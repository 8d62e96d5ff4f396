"""The ledger's own functions at stated moments: a clock that a test moves by hand."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pkgutil import iter_modules

import pytest
from sqlalchemy import Connection

from ecgbatch import store
from ecgbatch.store import engine

Watch = Callable[[datetime], None]
"""Is told of a moment when the clock leaves it."""


def nobody(moment: datetime) -> None:
    """Watches nothing."""


@dataclass(slots=True)
class Clock:
    """The moment at which the store believes to be."""

    moment: datetime
    watch: Watch

    def to(self, moment: datetime) -> None:
        self.watch(self.moment)
        self.moment = moment

    def at(self, moment: str) -> None:
        """Go on to `2026-03-01 08:00`, UTC."""
        self.to(datetime.fromisoformat(moment).replace(tzinfo=UTC))

    def tick(self) -> None:
        """A minute passes."""
        self.to(self.moment + timedelta(minutes=1))


@contextmanager
def stopped_clock(watch: Watch = nobody) -> Iterator[Clock]:
    """Every module of the store reads this clock in place of the database's."""
    clock = Clock(datetime(2026, 3, 1, tzinfo=UTC), watch)

    def now(_: Connection) -> datetime:
        return clock.moment

    real = engine.now
    # All of them are imported first: one that came later would keep this clock for ever.
    modules = [import_module(f"ecgbatch.store.{one.name}") for one in iter_modules(store.__path__)]
    with pytest.MonkeyPatch.context() as patch:
        for module in modules:
            if getattr(module, "now", None) is real:
                patch.setattr(module, "now", now)
        yield clock
