"""`serve`: the schedule, the workers, the monitor, and whoever asks after them; until a SIGTERM."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import gethostname

from ecgbatch import telemetry
from ecgbatch.admission import bundle_for
from ecgbatch.machine import cores
from ecgbatch.preparation import open_database, open_to_read, pseudonymiser_of
from ecgbatch.provenance import code_version
from ecgbatch.run import scan_once, source_number, source_of
from ecgbatch.service import notify, timetable
from ecgbatch.service.endpoints import Endpoints
from ecgbatch.service.mail import mail
from ecgbatch.service.metrics import Own, metrics
from ecgbatch.service.monitor import Monitor
from ecgbatch.service.outbox import Outbox, Send
from ecgbatch.service.sampler import Sampler
from ecgbatch.service.schedule import Schedule
from ecgbatch.service.webhook import webhook
from ecgbatch.service.workers import Workers
from ecgbatch.settings import Settings
from ecgbatch.stopping import Stop
from ecgbatch.store.engine import Engine, sqlite_path
from ecgbatch.terms import ReasonCode
from ecgbatch.worker_name import own_name
from ecgbatch.working import Reporter

_TURN_S = 1.0
_SCHEDULER_SILENT_S = 60.0
_MONITOR_SILENT_S = 300.0
_DATABASE_AWAY_S = 600.0
"""After that a new process may fare better than this one; until then it only waits."""
_LAST_MESSAGES_S = 5.0
_LAST_RESULT_S = 5.0


def serve(settings: Settings, config: Path, notice: Callable[[str], None], stop: Stop) -> None:
    """Scan when it is due, keep workers alive and tell how things are, until `stop`.

    Args:
        config: the file that the settings come from, for the workers.

    Raises:
        SetupFault: the set-up is unfit; nothing was started.
    """
    engine, notices = open_database(settings)
    reader = open_to_read(settings)
    try:
        # The key of a new SQLite database is made once, here, and not by several workers.
        _, made = pseudonymiser_of(settings, engine)
        bundle_for(settings, engine)
        for line in (*notices, *made):
            notice(line)
        _Service(settings, engine, reader, config, stop).run()
    finally:
        reader.dispose()
        engine.dispose()


class _Service:
    """All parts of one service, put together."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        reader: Engine,
        config: Path,
        stop: Stop,
    ) -> None:
        own = settings.service
        self._settings, self._stop = settings, stop
        source_id = source_number(engine, settings, source_of(settings))
        identity = own_name()
        self._schedule = Schedule(own, source_id, engine, identity, self._scan)
        self._outbox = Outbox(_ways(settings))
        self._monitor = Monitor(
            settings,
            reader,
            engine,
            identity=identity,
            source_id=source_id,
            host=gethostname(),
            timetable=timetable.trigger(own),
            schedule=self._schedule,
            outbox=self._outbox,
            database=sqlite_path(settings.database_url()),
        )
        worker = ("work", "--config", str(config))
        self._workers = Workers(own.workers, worker, _share(settings))
        self._sampler = Sampler(settings, config, identity, _share(settings))
        self._notifier = notify.Notifier(os.environ)
        self._beaten = 0.0

    def run(self) -> None:
        with ExitStack() as running:
            running.enter_context(self._asked())
            self._outbox.start()
            self._monitor.start()
            self._workers.tend()
            self._schedule.start()
            self._notifier.tell(notify.READY)
            telemetry.logger().info("service_started")
            while not self._stop.wait(_TURN_S):
                self._turn()
            self._end()
        if not self._schedule.is_idle(0.0):
            # A scan in the middle of a folder; what it wrote stands, the next one goes on. Its
            # thread would keep the process alive.
            telemetry.logger().warning("scan_left_behind")
            os._exit(0)

    def _turn(self) -> None:
        self._workers.tend()
        self._sampler.tend()
        self._schedule.watch_clock()
        beat_s = self._notifier.beat_s
        if beat_s is None or time.monotonic() - self._beaten < beat_s:
            return
        is_sound = self._unsound() is None and self._monitor.now.away_s < _DATABASE_AWAY_S
        if is_sound and self._notifier.tell(notify.ALIVE):
            self._beaten = time.monotonic()

    def _end(self) -> None:
        """No scan begins; workers and a scan end what they have in their hands."""
        until = time.monotonic() + self._settings.service.stop_s
        telemetry.logger().info("service_stopping")
        self._notifier.tell(notify.STOPPING)
        self._schedule.stop()
        self._sampler.stop(0.0 if self._stop.is_urgent() else _LAST_RESULT_S, self._stop.is_urgent)
        killed = self._workers.stop(self._settings.service.stop_s, self._stop.is_urgent)
        while not self._schedule.is_idle(0.1):
            if time.monotonic() >= until or self._stop.is_urgent():
                break
        self._monitor.stop()
        self._outbox.stop(0.0 if self._stop.is_urgent() else _LAST_MESSAGES_S)
        telemetry.logger().info("service_ended", counts={"killed": killed})

    def _scan(self) -> object:
        return scan_once(
            self._settings,
            Reporter(
                notice=lambda line: None,
                progress=lambda reading: None,
                pause=self._pause,
            ),
        )

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise KeyboardInterrupt

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Answer /healthz, /readyz and /metrics while the block runs."""
        own = self._settings.service
        if not own.host:
            yield
            return
        endpoints = Endpoints(
            own.host,
            own.port,
            health=self._unsound,
            readiness=lambda: self._unsound() or self._monitor.now.unready,
            metrics=lambda: metrics(self._monitor.now, self._own()),
        )
        endpoints.start()
        try:
            yield
        finally:
            endpoints.stop()

    def _unsound(self) -> ReasonCode | None:
        """Why this process should be started anew: one of its threads does not move."""
        is_sound = (
            self._schedule.age_s() < _SCHEDULER_SILENT_S
            and self._monitor.age_s() < _MONITOR_SILENT_S
        )
        return None if is_sound else ReasonCode.INTERNAL_FAULT

    def _own(self) -> Own:
        return Own(
            version=code_version(),
            processes=self._workers.alive(),
            restarts=self._workers.restarts,
            scheduler_age_s=self._schedule.age_s(),
            silent_s=self._settings.work.lease_s,
            messages=self._outbox.counts(),
        )


def _ways(settings: Settings) -> dict[str, Send]:
    ways = {"webhook": webhook(settings.alerts), "mail": mail(settings.alerts)}
    return {name: send for name, send in ways.items() if send is not None}


def _share(settings: Settings) -> dict[str, str]:
    """Processors for each worker: together what the machine has."""
    if settings.scoring.cores:
        return {}
    return {"ECGBATCH_SCORING__CORES": str(max(1, cores() // settings.service.workers))}
