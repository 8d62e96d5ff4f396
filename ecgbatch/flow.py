"""The flow of one worker: claim -> read -> examine -> score -> write, bounded at every step.

One thread moves everything along; what takes long is elsewhere: examinations in the reader
processes, the net in as many threads as its runtime has streams. Nothing is claimed while enough
of what was claimed waits for its turn, so memory does not grow with the archive.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from ecgbatch import telemetry
from ecgbatch.bench import Bench
from ecgbatch.errors import InputFault, SetupFault, TransientFault
from ecgbatch.heartbeat import Heartbeat
from ecgbatch.net_threads import Threads
from ecgbatch.pipeline import Awaiting, Risks, after_net, before_net
from ecgbatch.records import Finish, Outcome, Quarantined, RecordingBytes, RetryLater, WorkUnit
from ecgbatch.store.finish_many import Ended
from ecgbatch.terms import ReasonCode

_WAIT_S = 0.1
"""So long at most for an answer, so that a wish to end is seen."""
_UNWRITTEN_S = 0.5
"""So long at most an outcome waits for others to be written with it."""
_AHEAD = 2
"""Batches beside those that are computed: ready, or on their way."""

_INNOCENT = (KeyboardInterrupt, SystemExit, SetupFault, TransientFault)
"""What no ECG at hand is to blame for."""

_Batch = list[tuple[WorkUnit, Awaiting]]
_Scores = list[Risks | InputFault]


@dataclass(frozen=True, slots=True)
class Steps:
    """What the flow asks of the ledger and of the sources.

    Attributes:
        claim: leases more work; its argument says whether the flow still holds some.
        read: the bytes of a unit.
        write: ends units, in one transaction; for each how it ended, None where its lease was lost.
        give_back: leases untouched.
        is_stopping: whether to end after what the net is computing.
        finished: called after every unit that was written.
    """

    claim: Callable[[bool], list[WorkUnit]]
    read: Callable[[WorkUnit], RecordingBytes]
    write: Callable[[Sequence[Ended]], Sequence[Finish | None]]
    give_back: Callable[[Sequence[WorkUnit]], None]
    is_stopping: Callable[[], bool]
    finished: Callable[[WorkUnit, Finish], None]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is claimed and written at once, and how long the net may take for a batch."""

    n_claimed: int
    n_written: int
    expire_s: float


@dataclass(frozen=True, slots=True)
class _Computed:
    """A batch that the net is asked about."""

    batch: _Batch
    since: float


@dataclass(slots=True)
class _Places:
    """Where the units are that were claimed and not yet written."""

    waiting: deque[WorkUnit] = field(default_factory=deque)
    reading: dict[int, tuple[WorkUnit, str]] = field(default_factory=dict)
    ready: _Batch = field(default_factory=list)
    scoring: dict["Future[_Scores]", _Computed] = field(default_factory=dict)
    ended: list[Ended] = field(default_factory=list)


class Flow:
    """One worker's work with one bench; `run` may be called again."""

    def __init__(self, bench: Bench, heart: Heartbeat, steps: Steps, bounds: Bounds) -> None:
        self._instruments, self._scorer = bench.instruments, bench.scorer
        self._examiners = bench.examiners
        self._heart, self._steps, self._bounds = heart, steps, bounds
        self._capacity = self._scorer.batch * (self._scorer.streams + _AHEAD)
        self._places = _Places()
        self._held: dict[int, WorkUnit] = {}
        self._culprit: WorkUnit | None = None
        self._tickets = count(1)
        self._is_dry = False
        self._unwritten_since = 0.0

    def run(self, max_claims: int | None = None) -> bool:
        """Work until nothing more can be claimed, or it is to stop.

        Args:
            max_claims: so often at most something is claimed.

        Returns:
            Whether anything was claimed, and it is not to stop.
        """
        claims = 0
        with self._threads() as threads:
            while not self._steps.is_stopping():
                if self._wants_more() and claims != max_claims:
                    claims += self._claim()
                if not self._held:
                    if self._is_dry and claims != max_claims:
                        self._is_dry = False
                        continue
                    self._heart.end()
                    return claims > 0
                self._move(threads)
            self._stop()
            return False

    def _wants_more(self) -> bool:
        return not self._is_dry and len(self._places.waiting) <= self._bounds.n_claimed // 2

    def _claim(self) -> bool:
        """Lease more. What was lost before is leased alone, and then nothing beside it."""
        is_holding = bool(self._held)
        self._heart.end()
        units = self._steps.claim(is_holding)
        self._heart.hold(units)
        self._held |= {unit.work_id: unit for unit in units}
        self._places.waiting.extend(units)
        self._heart.moved()
        self._is_dry = is_holding if not units else (len(units) == 1 and not is_holding)
        return bool(units)

    def _move(self, threads: Threads) -> None:
        """Every step once."""
        has_moved = self._read()
        self._compute(threads)
        has_moved |= self._take(threads, wait_s=0.0 if has_moved else _WAIT_S)
        has_moved |= self._conclude()
        self._write()
        if has_moved and not self._is_stuck():
            self._heart.moved()

    def _read(self) -> bool:
        """Bytes to the reader processes, as long as they and the net have room."""
        places, has_read = self._places, False
        while places.waiting and self._examiners.room > 0 and self._has_capacity():
            unit = places.waiting.popleft()
            if not self._heart.is_ours(unit):
                self._lose(unit)
                continue
            has_read = True
            with self._blaming(unit):
                source = self._bytes_of(unit)
                if isinstance(source, RecordingBytes):
                    ticket, file_digest = next(self._tickets), source.file_digest
                    self._examiners.give(ticket, source)
                    places.reading[ticket] = (unit, file_digest)
                else:
                    self._end(unit, source)
        return has_read

    def _has_capacity(self) -> bool:
        return len(self._places.reading) + len(self._places.ready) < self._capacity

    def _bytes_of(self, unit: WorkUnit) -> RecordingBytes | Outcome:
        try:
            return self._steps.read(unit)
        except TransientFault as fault:
            return RetryLater(fault.reason, "read")
        except InputFault as fault:
            return Quarantined(None, fault.reason, "read")
        except MemoryError:
            return RetryLater(ReasonCode.OUT_OF_MEMORY, "read")

    def _take(self, threads: Threads, wait_s: float) -> bool:
        """Answers of the reader processes."""
        answers = self._examiners.answers(wait_s, threads.awake)
        threads.hear()
        for ticket, answer in answers:
            unit, file_digest = self._places.reading.pop(ticket)
            with self._blaming(unit):
                before = before_net(file_digest, answer, self._instruments)
                if isinstance(before, Awaiting):
                    self._places.ready.append((unit, before))
                else:
                    self._end(unit, before)
        return bool(answers)

    def _compute(self, threads: Threads) -> None:
        """Full batches to the net; the last ones as they are."""
        places, size = self._places, self._scorer.batch
        while places.ready and len(places.scoring) <= self._scorer.streams:
            if len(places.ready) < size and (places.reading or places.waiting):
                return
            batch, places.ready = places.ready[:size], places.ready[size:]
            inputs = [awaiting.prepared for _, awaiting in batch]
            future = threads.submit(partial(self._scorer.score_each, inputs))
            places.scoring[future] = _Computed(batch, time.monotonic())

    def _conclude(self) -> bool:
        """What the net has answered becomes outcomes."""
        done = [future for future in self._places.scoring if future.done()]
        for future in done:
            batch = self._places.scoring.pop(future).batch
            for (unit, awaiting), risks in zip(batch, self._scores(future, batch), strict=True):
                with self._blaming(unit):
                    if isinstance(risks, MemoryError):
                        self._end(unit, RetryLater(ReasonCode.OUT_OF_MEMORY, "assess"))
                    else:
                        self._end(unit, after_net(awaiting, risks, self._instruments))
        return bool(done)

    def _scores(
        self, future: "Future[_Scores]", batch: _Batch
    ) -> Sequence[Risks | InputFault | MemoryError]:
        """Of a batch that the net failed on, each by itself, to see which one it is."""
        try:
            return future.result()
        except MemoryError as fault:
            return [fault] * len(batch)
        except Exception:  # noqa: BLE001 - raised again below by the one that is to blame
            alone: list[Risks | InputFault | MemoryError] = []
            for unit, awaiting in batch:
                with self._blaming(unit):
                    alone += self._alone(awaiting)
            return alone

    def _alone(self, awaiting: Awaiting) -> Sequence[Risks | InputFault | MemoryError]:
        try:
            return self._scorer.score_each([awaiting.prepared])
        except MemoryError as fault:
            return [fault]

    def _end(self, unit: WorkUnit, outcome: Outcome) -> None:
        if not self._places.ended:
            self._unwritten_since = time.monotonic()
        self._places.ended.append(Ended(unit, outcome))

    def _write(self, *, is_last: bool = False) -> None:
        """Outcomes to the ledger, many in one transaction; all that is left when it is the last."""
        ended = self._places.ended
        is_due = is_last or len(ended) >= self._bounds.n_written or len(ended) == len(self._held)
        if not ended or not (is_due or time.monotonic() - self._unwritten_since >= _UNWRITTEN_S):
            return
        self._heart.end()
        while self._places.ended:
            part = self._places.ended[: self._bounds.n_written]
            for one, finish in zip(part, self._steps.write(part), strict=True):
                if finish is None:
                    self._lose(one.unit)
                else:
                    self._drop(one.unit)
                    self._steps.finished(one.unit, finish)
            del self._places.ended[: len(part)]
        self._heart.moved()

    def _stop(self) -> None:
        """The net ends what it computes, that is written, all else is given back."""
        self._examiners.forget()
        self._places.reading.clear()
        self._places.waiting.clear()
        self._places.ready.clear()
        while self._places.scoring:
            next(iter(self._places.scoring)).exception()
            self._conclude()
        self._write(is_last=True)
        self._give_back()

    def _give_back(self) -> None:
        units = [unit for unit in self._held.values() if unit is not self._culprit]
        self._heart.end()
        for unit in self._held.values():
            self._heart.drop(unit)
        self._held.clear()
        self._places = _Places()
        self._steps.give_back(units)

    def _lose(self, unit: WorkUnit) -> None:
        telemetry.logger().warning("lease_lost", item_id=unit.item_id, work_id=unit.work_id)
        self._drop(unit)

    def _drop(self, unit: WorkUnit) -> None:
        self._held.pop(unit.work_id, None)
        self._heart.drop(unit)

    def _is_stuck(self) -> bool:
        """Whether the net hangs over a batch while others still move."""
        oldest = min((one.since for one in self._places.scoring.values()), default=None)
        return oldest is not None and time.monotonic() - oldest > self._bounds.expire_s

    @contextmanager
    def _blaming(self, unit: WorkUnit) -> Iterator[None]:
        """Whatever is raised in the block, and is nobody's else, is the unit's.

        Then it is not given back: its lease runs out, it is claimed alone, and after a few workers
        it is set aside. Given back it would be the first again, and nothing behind it ever scored.
        """
        try:
            yield
        except _INNOCENT:
            raise
        except MemoryError:
            self._end(unit, RetryLater(ReasonCode.OUT_OF_MEMORY, "assess"))
        except BaseException:
            self._culprit = unit
            raise

    @contextmanager
    def _threads(self) -> Iterator[Threads]:
        """The net's threads; whatever ends the flow, what it holds is given back."""
        threads = Threads(self._scorer.streams)
        try:
            yield threads
        except BaseException:
            self._examiners.forget()
            self._give_back()
            raise
        finally:
            threads.close()
