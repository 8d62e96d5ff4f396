"""v_as_of at any moment is what v_latest_risk showed then: histories replayed step by step.

What v_latest_risk has to show is computed here from the contract's words, without SQL.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import Connection, Row, Table, column, insert, select, table, update

from ecgbatch.store.columns import UtcTime
from ecgbatch.store.tables import activation, bundle, recording, result, run, score
from ecgbatch.store.tables_ledger import supersession
from ecgbatch.terms import Vessel

START = datetime(2026, 1, 1, tzinfo=UTC)
BUNDLES = {"a" * 64: False, "b" * 64: False, "c" * 64: False, "d" * 64: True, "e" * 64: True}
"""Digest to is_clinical; all can become champion."""
N_RECORDINGS, N_STEPS = 5, 100
WHAT = ("recording_id", "result_id", "bundle_digest", "is_current_bundle", "any_vessel_risk")
AS_OF = table(
    "v_as_of",
    *map(column, WHAT),
    column("valid_from", UtcTime),
    column("valid_to", UtcTime),
)

Shown = set[tuple[object, ...]]


class History:
    """A ledger that is moved by hand; every step has a moment of its own, a second apart."""

    def __init__(self, connection: Connection, seed: int) -> None:
        self.connection, self.random, self.moment = connection, Random(seed), START  # noqa: S311
        self.champions: list[str] = []
        self.results: list[tuple[int, int, str, float | None]] = []
        self.superseded: set[int] = set()
        for digest, is_clinical in BUNDLES.items():
            self.insert(
                bundle, bundle_digest=digest, name=digest[:1], version="1", is_clinical=is_clinical
            )
        for number in range(1, N_RECORDINGS + 1):
            self.insert(recording, recording_id=number, file_digest=f"{number:064}")
        self.insert(run, run_id=1, kind="test", worker="w", started_at=START)

    def insert(self, into: Table, **values: object) -> None:
        self.connection.execute(insert(into).values(values))

    def step(self) -> None:
        self.moment += timedelta(seconds=1)
        acts: tuple[Callable[[], None], ...] = (self.activate, self.supersede, self.score)
        (act,) = self.random.choices(acts, (2, 3, 7))
        act()

    def activate(self) -> None:
        (digest,) = self.random.choices([*BUNDLES], (6, 6, 3, 1, 1))
        if digest in self.champions[-1:]:
            return
        self.connection.execute(
            update(activation).where(activation.c.to_at.is_(None)).values(to_at=self.moment)
        )
        self.champions.append(digest)
        self.insert(
            activation,
            bundle_digest=digest,
            role="champion",
            from_at=self.moment,
            by="op",
            why="test",
        )

    def supersede(self) -> None:
        """Or bring back what was superseded."""
        one = self.random.randint(1, N_RECORDINGS)
        changed = update(recording).where(recording.c.recording_id == one)
        if one in self.superseded:
            self.superseded.remove(one)
            is_open = supersession.c.to_at.is_(None)
            self.connection.execute(
                update(supersession)
                .where(supersession.c.recording_id == one, is_open)
                .values(to_at=self.moment)
            )
            self.connection.execute(
                changed.values(superseded_by=None, superseded_at=None, superseded_reason=None)
            )
            return
        self.superseded.add(one)
        by, why = one % N_RECORDINGS + 1, "same_acquisition"
        self.insert(
            supersession, recording_id=one, superseded_by=by, reason=why, from_at=self.moment
        )
        self.connection.execute(
            changed.values(superseded_by=by, superseded_at=self.moment, superseded_reason=why)
        )

    def score(self) -> None:
        """A result of either outcome, by any bundle, also one that is not champion (yet)."""
        result_id, of = len(self.results) + 1, self.random.randint(1, N_RECORDINGS)
        (digest,) = self.random.choices([*BUNDLES], (3, 3, 3, 1, 1))
        is_scored = self.random.random() < 0.75
        risk = result_id / 1000 if is_scored else None
        self.results.append((result_id, of, digest, risk))
        self.insert(
            result,
            result_id=result_id,
            recording_id=of,
            bundle_digest=digest,
            pipeline_id=str(result_id),
            outcome="scored" if is_scored else "rejected",
            reason=None if is_scored else "lead_flat",
            any_vessel_risk=risk,
            any_vessel_stratum="low" if is_scored else None,
            **dict.fromkeys(("preprocessing_digest", "runtime", "code_version"), "x"),
            precision="fp32",
            library_versions="{}",
            run_id=1,
            worker="w",
            created_at=self.moment,
        )
        for vessel in Vessel if is_scored else ():
            self.insert(
                score,
                result_id=result_id,
                task=vessel,
                probability=risk,
                probability_raw=risk,
                logit=0.0,
                stratum="low",
                near_cut=False,
                is_experimental=False,
            )

    def shown(self) -> Shown:
        rows = self.connection.execute(
            select(*map(column, WHAT)).select_from(table("v_latest_risk"))
        )
        shown = {tuple(row) for row in rows}
        assert shown == self.expected()
        return shown

    def expected(self) -> Shown:
        """The newest result under the champion, else under the one before it, if it is scored."""
        shown: Shown = set()
        for one in {*range(1, N_RECORDINGS + 1)} - self.superseded:
            own = [row for row in reversed(self.results) if row[1] == one]
            for digest in reversed(self.champions):
                if BUNDLES[digest] is not BUNDLES[self.champions[-1]]:
                    continue
                newest = next((row for row in own if row[2] == digest), None)
                if newest is None:
                    continue
                result_id, _, _, risk = newest
                if risk is not None:
                    shown.add((one, result_id, digest, digest == self.champions[-1], risk))
                break
        return shown


@pytest.mark.parametrize("seed", range(3))
def test_as_of_is_what_was_shown_at_every_moment(connection: Connection, seed: int) -> None:
    history = History(connection, seed)
    seen: list[tuple[datetime, Shown]] = [(history.moment, history.shown())]
    for _ in range(N_STEPS):
        history.step()
        seen.append((history.moment, history.shown()))

    spans = connection.execute(select(AS_OF)).all()

    for moment, shown in seen:
        assert at(spans, moment) == shown, moment - START
        assert at(spans, moment + timedelta(seconds=0.5)) == shown, moment - START
    assert max(len(shown) for _, shown in seen) > N_RECORDINGS // 2
    assert len({frozenset(shown) for _, shown in seen}) > N_STEPS // 6
    assert at(spans, START - timedelta(seconds=1)) == set()


def at(spans: Sequence[Row[tuple[object, ...]]], moment: datetime) -> Shown:
    return {
        tuple(row[: len(WHAT)])
        for row in spans
        if row.valid_from <= moment and (row.valid_to is None or row.valid_to > moment)
    }
