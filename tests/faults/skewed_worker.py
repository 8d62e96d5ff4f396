"""A worker whose machine's clock is wrong: claims, renews and finishes until nothing is left.

Prints how many units it finished and how many were no longer its own.
"""

import datetime as clock
import json
import sys
import time

SKEW_S = float(sys.argv[2])
_real_time = time.time
_Real = clock.datetime


class _Kind(type):
    """What a driver makes is a datetime too."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, _Real)


class Skewed(_Real, metaclass=_Kind):
    """`now` as this machine sees it."""

    @classmethod
    def now(cls, tz: clock.tzinfo | None = None) -> "Skewed":
        return cls.fromtimestamp(_real_time() + SKEW_S, tz)


clock.datetime = Skewed  # type: ignore[misc]
time.time = lambda: _real_time() + SKEW_S

from sqlalchemy import Connection, func, select  # noqa: E402

from ecgbatch.errors import LeaseLost  # noqa: E402
from ecgbatch.store import claims, finish, leases, ledger  # noqa: E402
from ecgbatch.store.engine import Engine, open_engine, transaction  # noqa: E402
from ecgbatch.store.tables import work  # noqa: E402
from ecgbatch.terms import FINISHED  # noqa: E402
from tests.support.ledger import CHAMPION, PIPELINE, facts, provenance, scored  # noqa: E402

LEASE_S = 30.0


def own_clock(_: Connection) -> clock.datetime:
    return Skewed.now(clock.UTC)


def main(url: str, name: str, whose_clock: str) -> None:
    assert abs((clock.datetime.now(clock.UTC).timestamp() - _real_time()) - SKEW_S) < 1.0
    if whose_clock == "its own":
        for module in (claims, leases, finish):
            module.now = own_clock  # type: ignore[attr-defined]
    engine = open_engine(url)
    with transaction(engine) as connection:
        run_id = ledger.start_run(connection, "run-once", None, name)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    finished = lost = 0
    until = time.monotonic() + 60
    while _is_unfinished(engine):
        assert time.monotonic() < until
        done, gone = _round(engine, name, run_id)
        finished, lost = finished + done, lost + gone
        if not done and not gone:
            time.sleep(0.05)
    engine.dispose()
    sys.stdout.write(json.dumps({"finished": finished, "lost": lost}))


def _is_unfinished(engine: Engine) -> bool:
    left = select(func.count()).where(work.c.state.not_in(FINISHED))
    with transaction(engine) as connection:
        return bool(connection.execute(left).scalar_one())


def _round(engine: Engine, name: str, run_id: int) -> tuple[int, int]:
    finished = lost = 0
    with transaction(engine) as connection:
        units = ledger.claim(
            connection,
            None,
            CHAMPION,
            pipeline_id=PIPELINE,
            worker=name,
            limit=4,
            lease_s=LEASE_S,
            run_id=run_id,
        )
    for unit in units:
        time.sleep(0.03)
        try:
            with transaction(engine) as connection:
                ledger.renew(connection, units, LEASE_S)
                outcome = scored(facts(unit.locator))
                ledger.finish(connection, unit, outcome, provenance(run_id), 0.0)
            finished += 1
        except LeaseLost:
            lost += 1
    return finished, lost


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[3], sys.argv[4])
