"""Whatever readers, net and ledger do, and whenever it ends: every unit has exactly one end."""

import select
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgbatch.errors import InputFault, SetupFault, TransientFault
from ecgbatch.flow import Bounds, Flow, Steps
from ecgbatch.identity import Pseudonymiser
from ecgbatch.isolation.examiners import Answer
from ecgbatch.records import (
    Examined,
    Finish,
    Member,
    ModelInput,
    Quarantined,
    RecordingBytes,
    RetryLater,
    Risk,
    Scored,
    Stated,
    WorkUnit,
)
from ecgbatch.store.finish_many import Ended
from ecgbatch.terms import Disposition, Numerics, ReasonCode, Vessel
from tests.support.bundles import small_manifest

MANIFEST = small_manifest()
KINDS = ("scored", "unreadable", "away", "crashes", "no number", "lost")


def _unit(number: int) -> WorkUnit:
    return WorkUnit(number, number, str(number), "", 1, "b", 1, "new")


class _Readers:
    """Answers in any order, as several processes do; an ECG's input is its number."""

    def __init__(self, world: "_World", room: int, chance: np.random.Generator) -> None:
        self._world, self._room, self._chance = world, room, chance
        self._given: dict[int, int] = {}

    @property
    def room(self) -> int:
        return self._room - len(self._given)

    def give(self, ticket: int, source: RecordingBytes) -> None:
        assert self.room > 0
        assert ticket not in self._given
        self._given[ticket] = int(source.members[0].name)

    def answers(self, wait_s: float, beside: int) -> list[tuple[int, Answer]]:
        if not self._given:
            select.select([beside], [], [], wait_s)
            return []
        tickets = self._chance.permutation(sorted(self._given))[: self._chance.integers(4)]
        return [(int(one), self._answer(self._given.pop(int(one)))) for one in tickets]

    def forget(self) -> None:
        self._given.clear()

    def _answer(self, number: int) -> Answer:
        if self._world.kinds[number] == "crashes":
            return InputFault(ReasonCode.READER_CRASHED)
        signal = np.full((1, 1), number, np.float32)
        stated = Stated(f"{number:064x}", "wfdb", 500.0, 5000, "wfdb", "1")
        return Examined(stated, (), None, ModelInput(signal, 0))


@dataclass
class _World:
    """A ledger, a net and readers that do as they are told, and a note of all that was done."""

    kinds: list[str]
    claim_size: int
    batch: int
    streams: int
    stop_after: int | None = None
    net_fails_on: int | None = None
    claimed: int = 0
    most_held: int = 0
    batches: list[int] = field(default_factory=list)
    finished: dict[int, Finish] = field(default_factory=dict)
    outcomes: dict[int, object] = field(default_factory=dict)
    given_back: list[int] = field(default_factory=list)
    held: set[int] = field(default_factory=set)

    def claim(self, is_holding: bool) -> list[WorkUnit]:
        assert is_holding == bool(self.held)
        units = [_unit(n) for n in range(self.claimed, len(self.kinds))[: self.claim_size]]
        self.claimed += len(units)
        self.held |= {unit.work_id for unit in units}
        self.most_held = max(self.most_held, len(self.held))
        return units

    def read(self, unit: WorkUnit) -> RecordingBytes:
        kind = self.kinds[unit.work_id]
        if kind == "unreadable":
            raise InputFault(ReasonCode.READ_FAILED)
        if kind == "away":
            raise TransientFault(ReasonCode.SOURCE_UNAVAILABLE)
        return RecordingBytes((Member(str(unit.work_id), b""),))

    def write(self, ended: Sequence[Ended]) -> list[Finish | None]:
        written: list[Finish | None] = []
        for one in ended:
            number = one.unit.work_id
            self.held.remove(number)
            self.outcomes[number] = one.outcome
            is_lost = self.kinds[number] == "lost"
            written.append(None if is_lost else Finish(Disposition.SCORED, None))
        return written

    def give_back(self, units: Sequence[WorkUnit]) -> None:
        self.given_back += [unit.work_id for unit in units]
        self.held -= {unit.work_id for unit in units}

    def is_stopping(self) -> bool:
        return self.stop_after is not None and len(self.outcomes) >= self.stop_after

    def finish(self, unit: WorkUnit, finish: Finish) -> None:
        assert unit.work_id not in self.finished
        self.finished[unit.work_id] = finish

    def score_each(self, inputs: Sequence[ModelInput]) -> list[tuple[Risk, ...] | InputFault]:
        numbers = [int(one.signal[0, 0]) for one in inputs]
        self.batches.append(len(numbers))
        if self.net_fails_on in numbers:
            raise ZeroDivisionError
        return [self._risks(number) for number in numbers]

    def _risks(self, number: int) -> tuple[Risk, ...] | InputFault:
        if self.kinds[number] == "no number":
            return InputFault(ReasonCode.RESULT_NOT_FINITE)
        probability = number % 997 / 1000
        return tuple(Risk(task, float(number), probability, probability) for task in Vessel)

    def run(self, seed: int = 0, max_claims: int | None = None) -> bool:
        bench: Any = SimpleNamespace(
            instruments=SimpleNamespace(
                manifest=MANIFEST,
                numerics=Numerics.FP32,
                pseudonymiser=Pseudonymiser(b"k" * 32, "MRN", frozenset()),
                time_zone="",
                keeps_identifiers=False,
            ),
            scorer=SimpleNamespace(
                batch=self.batch, streams=self.streams, score_each=self.score_each
            ),
            examiners=_Readers(self, 3, np.random.default_rng(seed)),
        )
        steps = Steps(
            self.claim, self.read, self.write, self.give_back, self.is_stopping, self.finish
        )
        bounds = Bounds(self.claim_size, 5, 60.0)
        return Flow(bench, _Heart(), steps, bounds).run(max_claims)  # type: ignore[arg-type]


class _Heart:
    """No lease is ever known to be lost."""

    def hold(self, units: object) -> None: ...

    def drop(self, unit: object) -> None: ...

    def moved(self) -> None: ...

    def end(self) -> None: ...

    def is_ours(self, unit: object) -> bool:
        return True


worlds = st.builds(
    _World,
    kinds=st.lists(st.sampled_from(KINDS + ("scored",) * 6), max_size=60),
    claim_size=st.integers(1, 20),
    batch=st.integers(1, 8),
    streams=st.integers(1, 3),
)


@settings(deadline=None, max_examples=60)
@given(worlds, st.integers(0, 999))
def test_every_unit_ends_once_and_with_its_own_outcome(world: _World, seed: int) -> None:
    claimed_any = world.run(seed)

    assert claimed_any == bool(world.kinds)
    assert sorted(world.outcomes) == list(range(len(world.kinds)))
    assert world.given_back == []
    assert all(size <= world.batch for size in world.batches)
    expected: dict[str, Callable[[Any], bool]] = {
        "unreadable": lambda one: one == Quarantined(None, ReasonCode.READ_FAILED, "read"),
        "away": lambda one: one == RetryLater(ReasonCode.SOURCE_UNAVAILABLE, "read"),
        "crashes": lambda one: one.reason is ReasonCode.READER_CRASHED,
        "no number": lambda one: one.reason is ReasonCode.RESULT_NOT_FINITE,
    }
    for number, kind in enumerate(world.kinds):
        outcome: Any = world.outcomes[number]
        if kind in expected:
            assert expected[kind](outcome)
        else:
            assert isinstance(outcome, Scored)
            assert outcome.facts.signal_digest == f"{number:064x}"
            assert [one.risk.logit for one in outcome.assessment.tasks] == [float(number)] * 4
        assert (number in world.finished) == (kind != "lost")


@settings(deadline=None, max_examples=40)
@given(worlds, st.integers(0, 30), st.integers(0, 999))
def test_a_stop_gives_back_whatever_has_no_outcome(
    world: _World, stop_after: int, seed: int
) -> None:
    world.stop_after = stop_after
    world.run(seed)

    ended, back = set(world.outcomes), set(world.given_back)
    assert len(back) == len(world.given_back)
    assert not ended & back
    assert ended | back == set(range(world.claimed))
    assert world.held == set()


def test_what_is_held_does_not_grow_with_the_archive() -> None:
    """Waiting: a claim and a half. Read or ready: 4 batches. Computed: 3. Unwritten: 5, a batch."""
    world = _World(["scored"] * 1500, claim_size=16, batch=4, streams=2)
    world.run()
    assert world.most_held <= 24 + 4 * 4 + 3 * 4 + 5 + 4


def test_the_last_batch_is_the_only_one_that_is_not_full() -> None:
    world = _World(["scored"] * 45, claim_size=16, batch=4, streams=1)
    world.run()
    assert sorted(world.batches, reverse=True) == [4] * 11 + [1]


def test_of_a_batch_on_which_the_net_fails_only_the_one_to_blame_is_kept() -> None:
    world = _World(["scored"] * 20, claim_size=20, batch=8, streams=1, net_fails_on=3)
    with pytest.raises(ZeroDivisionError):
        world.run()
    assert world.held == {3}
    assert set(world.outcomes) | set(world.given_back) == set(range(20)) - {3}


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), SetupFault(ReasonCode.SETTINGS_INVALID)])
def test_what_no_ecg_is_to_blame_for_gives_everything_back(fault: BaseException) -> None:
    world = _World(["scored"] * 20, claim_size=20, batch=8, streams=1)

    def read(unit: WorkUnit) -> RecordingBytes:
        if unit.work_id == 10:
            raise fault
        return _World.read(world, unit)

    world.read = read  # type: ignore[method-assign]
    with pytest.raises(type(fault)):
        world.run()
    assert world.held == set()
    assert set(world.outcomes) | set(world.given_back) == set(range(20))


def test_what_was_claimed_alone_is_worked_alone() -> None:
    """The ledger leases alone what may kill its worker: nothing else may be held beside it."""
    world = _World(["scored"] * 6, claim_size=1, batch=8, streams=2)
    world.run()
    assert world.most_held == 1


def test_one_claim_at_most_is_one_claim() -> None:
    world = _World(["scored"] * 20, claim_size=6, batch=4, streams=1)
    assert world.run(max_claims=1)
    assert sorted(world.outcomes) == list(range(6))


def test_too_little_memory_blames_nothing() -> None:
    world = _World(["scored"] * 3, claim_size=3, batch=2, streams=1)

    def score_each(_: object) -> list[tuple[Risk, ...] | InputFault]:
        raise MemoryError

    world.score_each = score_each  # type: ignore[assignment, method-assign]
    world.run()
    assert set(world.outcomes.values()) == {RetryLater(ReasonCode.OUT_OF_MEMORY, "assess")}
