"""What the children of the fork server do: scan and work as the product does, or without one of
its protections, so that a test is known to see what the protection prevents."""

import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from sqlalchemy import Engine, event, update

import ecgbatch.bench
import ecgbatch.flow
import ecgbatch.isolation.examiners
import ecgbatch.working
from ecgbatch import telemetry
from ecgbatch.admission import bundle_for, load_scorer
from ecgbatch.errors import InputFault, Refusal
from ecgbatch.examination import Terms, examine
from ecgbatch.flow import Flow
from ecgbatch.isolation.examiners import Answer
from ecgbatch.isolation.here import decode_here
from ecgbatch.pipeline import Awaiting
from ecgbatch.records import (
    Examined,
    Finish,
    Outcome,
    Provenance,
    RecordingBytes,
    Scored,
    WorkUnit,
)
from ecgbatch.run import scan_once
from ecgbatch.settings import load_settings
from ecgbatch.stopping import stop_on_signals
from ecgbatch.store import claims, finish, finish_many, leases, recordings
from ecgbatch.store.batch import Entangled
from ecgbatch.store.endings import Held
from ecgbatch.store.engine import now, open_engine, transaction
from ecgbatch.store.finish_many import Ended
from ecgbatch.store.tables import item, work
from ecgbatch.terms import Disposition, WorkState
from ecgbatch.work import work as work_on
from ecgbatch.working import Desk, Reporter
from tests.faults import failing_calls, nightly_hooks

_MOMENTS = ("before_cursor_execute", "after_cursor_execute", "commit")
"""Before and after each statement, and before each COMMIT."""
_SILENT = Reporter(lambda line: None, lambda reading: None)


def scan(config: str) -> int:
    """One scan, as `ecgbatch serve` makes it."""
    _prepare(config)
    return scan_once(load_settings(Path(config)), _SILENT).exit_code


def worker(config: str, *, drain: bool = False, without: str = "", **how: Any) -> int:
    """`ecgbatch work`; `without` names the protection to take away."""
    stop = stop_on_signals(ends_at_once=True)
    _prepare(config)
    if without:
        _WITHOUT[without]()
    for name, value in how.items():
        _HOW[name](value)
    return work_on(load_settings(Path(config)), _SILENT, drain=drain, stop=stop).exit_code


def scan_and_work(config: str, without: str = "", **how: Any) -> int:
    """Both in one process, to the end."""
    _prepare(config)
    _decode_in_process(True)
    if without:
        _WITHOUT[without]()
    for name, value in how.items():
        _HOW[name](value)
    settings = load_settings(Path(config))
    scan_once(settings, _SILENT)
    return work_on(settings, _SILENT, drain=True, stop=threading.Event()).exit_code


def failing_worker(
    config: str, *, database: str, nth: int, error: int, answer: str, **how: Any
) -> int:
    """`ecgbatch work --drain` whose n-th system call on the database fails; 0 only counts them."""
    failing_calls.arm(database, nth, error)
    try:
        return worker(config, drain=True, in_process=True, **how)
    finally:
        Path(answer).write_text(str(failing_calls.n_calls()), encoding="ascii")


def count_moments(config: str, answer: str, without: str = "") -> int:
    """As `scan_and_work`; how many moments it has to die in is written into the file `answer`."""
    moments: list[None] = []
    for moment in _MOMENTS:
        event.listen(Engine, moment, lambda *_: moments.append(None))
    try:
        return scan_and_work(config, without)
    finally:
        Path(answer).write_text(str(len(moments)), encoding="ascii")


def warm(config: str) -> None:
    """In the server itself: children forked from now on have the net already, and proven."""
    settings = load_settings(Path(config))
    engine = open_engine(settings.database_url())
    champion, folder, _ = bundle_for(settings, engine)
    engine.dispose()
    # The reference: its one thread is forked with the rest, another runtime's would stay behind.
    scoring = settings.scoring.model_copy(update={"runtime": "torch"})
    scorer = load_scorer(settings.model_copy(update={"scoring": scoring}), champion, folder)
    ecgbatch.bench.load_scorer = lambda *_: scorer


def _prepare(config: str) -> None:
    torch.set_num_threads(1)
    telemetry.configure("info")


def _decode_in_process(_: object) -> None:
    """Without the reader process, which costs a third of a second per worker's life."""
    ecgbatch.isolation.examiners.Examiners = _Here  # type: ignore[misc, assignment]


class _Here:
    """Examines in this process, one recording when it is asked for its answer."""

    def __init__(self, _: object, terms: Terms, n_processes: int) -> None:
        self._terms = terms
        self._given: deque[tuple[int, RecordingBytes]] = deque()
        self.decode = decode_here

    def __enter__(self) -> "_Here":
        return self

    def __exit__(self, *_: object) -> None: ...

    def wait_until_ready(self) -> None: ...

    @property
    def room(self) -> int:
        return 4 - len(self._given)

    def give(self, ticket: int, source: RecordingBytes) -> None:
        self._given.append((ticket, source))

    def answers(self, wait_s: float, beside: int) -> list[tuple[int, Answer]]:
        if not self._given:
            select.select([beside], [], [], wait_s)
            return []
        ticket, source = self._given.popleft()
        try:
            return [(ticket, self.examine(source, self._terms))]
        except (InputFault, Refusal) as fault:
            return [(ticket, fault)]

    def forget(self) -> None:
        self._given.clear()

    def examine(self, source: RecordingBytes, terms: Terms) -> Examined:
        return examine(decode_here(source), terms)


def _slowly(seconds: float) -> None:
    """Each ECG takes this much longer, so that there is time for a fault to hit."""
    before_net = ecgbatch.flow.before_net

    def slow(*arguments: Any) -> Awaiting | Outcome:
        time.sleep(seconds)
        return before_net(*arguments)

    ecgbatch.flow.before_net = slow


def _poisoned(digests: list[str]) -> None:
    """These recordings kill whoever assesses them."""
    before_net = ecgbatch.flow.before_net

    def poison(file_digest: str, *arguments: Any) -> Awaiting | Outcome:
        if file_digest in digests:
            os.kill(os.getpid(), signal.SIGKILL)
        return before_net(file_digest, *arguments)

    ecgbatch.flow.before_net = poison


def _failing_on(name: str) -> None:
    """This file meets a mistake in the program."""
    bytes_of = Flow._bytes_of

    def fail(flow: Flow, unit: WorkUnit) -> RecordingBytes | Outcome:
        if unit.locator == name:
            raise ZeroDivisionError
        return bytes_of(flow, unit)

    Flow._bytes_of = fail  # type: ignore[method-assign]


def _die_at(statement: int) -> None:
    """Killed at the n-th of the moments."""
    counted = 0

    def count(*_: Any) -> None:
        nonlocal counted
        counted += 1
        if counted == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    for moment in _MOMENTS:
        event.listen(Engine, moment, count)


_HOW: dict[str, Callable[[Any], None]] = {
    "in_process": _decode_in_process,
    "slowly_s": _slowly,
    "poison": _poisoned,
    "die_at": _die_at,
    "fails_on": _failing_on,
    **nightly_hooks.HOW,
}


def _without_one_transaction() -> None:
    """The result in one transaction, the state in the next; no look for an earlier result."""

    def in_two(
        desk: Desk, ended: Sequence[Ended], made_by: Provenance, _: object
    ) -> list[Finish | None]:
        return [one_in_two(desk, one.unit, one.outcome, made_by) for one in ended]

    def one_in_two(desk: Desk, unit: WorkUnit, outcome: Outcome, made_by: Provenance) -> Finish:
        assert isinstance(outcome, Scored)
        with transaction(desk.engine) as connection:
            recording_id = recordings.note_recording(connection, outcome.facts, now(connection))
            recordings.add_result(
                connection,
                recording_id,
                outcome,
                bundle_digest=unit.bundle_digest,
                work_id=unit.work_id,
                provenance=made_by,
                moment=now(connection),
            )
        time.sleep(0.002)
        with transaction(desk.engine) as connection:
            connection.execute(
                update(work)
                .where(work.c.work_id == unit.work_id)
                .values(
                    state=WorkState.SCORED,
                    reason=None,
                    reason_class=None,
                    lease_until=None,
                    finished_at=now(connection),
                )
            )
            connection.execute(
                update(item).where(item.c.item_id == unit.item_id).values(recording_id=recording_id)
            )
        return Finish(Disposition.SCORED, None)

    ecgbatch.working._written = in_two


def _without_fence() -> None:
    """Whoever comes to the end of a unit writes it, whoever has it meanwhile."""

    def unfenced(connection: Any, unit: WorkUnit, run_id: int) -> Held:
        token = work.c.token
        connection.execute(
            update(work)
            .where(work.c.work_id == unit.work_id)
            .values(
                state=WorkState.LEASED,
                worker="nobody",
                lease_until=now(connection),
                finished_at=None,
                reason="new",
                reason_class="environment",
            )
        )
        row = connection.execute(work.select().where(work.c.work_id == unit.work_id)).one()
        assert token is not None
        return held(connection, _with_token(unit, row.token), run_id)

    held = finish._hold
    finish._hold = unfenced
    finish_many.hold = lambda connection, ended: [Entangled(one.unit, one.outcome) for one in ended]
    # The worker drops what it knows to be lost; without the fence nobody tells it.
    leases.renew = lambda connection, units, lease_s: {unit.work_id for unit in units}
    ecgbatch.heartbeat.ledger.renew = leases.renew


def _with_token(unit: WorkUnit, token: int) -> WorkUnit:
    return WorkUnit(
        unit.work_id,
        unit.item_id,
        unit.locator,
        unit.fingerprint,
        token,
        unit.bundle_digest,
        unit.source_id,
        unit.request,
    )


def _without_isolation_of_suspects() -> None:
    """Lost leases come back in batches, and every one of them counts against its ECG."""
    one_by_one = claims._claimable
    lease = claims._lease

    def in_batches(condition: Any, limit: int) -> Any:
        return one_by_one(condition, 16 if limit == 1 else limit)

    def all_suspect(connection: Any, work_ids: Any, values: Any, *, is_alone: bool) -> None:
        lease(connection, work_ids, values, is_alone=is_alone)
        if work_ids:
            connection.execute(
                update(work).where(work.c.work_id.in_(work_ids)).values(is_alone=True)
            )

    claims._claimable = in_batches
    claims._lease = all_suspect


def _without_blame() -> None:
    """Every unit is given back, whatever ended the worker."""
    Flow._blaming = lambda flow, unit: nullcontext()  # type: ignore[method-assign, assignment, return-value]


def _without_giving_back() -> None:
    """A worker that is stopped keeps what it held."""
    ecgbatch.working._give_back = lambda desk, units: None


_WITHOUT: dict[str, Callable[[], None]] = {
    "one_transaction": _without_one_transaction,
    "blame": _without_blame,
    "fence": _without_fence,
    "giving_back": _without_giving_back,
    "isolation_of_suspects": _without_isolation_of_suspects,
    **nightly_hooks.WITHOUT,
}
