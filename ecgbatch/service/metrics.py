"""What /metrics shows: numbers by disposition, state and reason, never of a source or an ECG."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ecgbatch.service.alerts import Alarm
from ecgbatch.service.exposition import Metric, many, one
from ecgbatch.service.monitor import Snapshot
from ecgbatch.store.health import Health


@dataclass(frozen=True, slots=True)
class Own:
    """What the service knows of itself.

    Attributes:
        processes: workers that run, and how often one was replaced.
        scheduler_age_s: since its last sign of life.
        silent_s: a worker not seen for so long counts as gone.
        messages: by way: sent, failed, waiting.
    """

    version: str
    processes: int
    restarts: int
    scheduler_age_s: float
    silent_s: float
    messages: Mapping[str, tuple[int, int, int]]


def metrics(snapshot: Snapshot, own: Own) -> list[Metric]:
    """All of them; what the database has not told yet is left out."""
    found = [
        one("build_info", "Version of the program.", 1, {"version": own.version}),
        one("database_up", "Whether the database answered the last look.", snapshot.fault is None),
        one("worker_processes", "Workers of this service that run.", own.processes),
        one("worker_restarts_total", "Workers of this service that died.", own.restarts),
        one("scheduler_age_seconds", "Since the scheduler's last tick.", own.scheduler_age_s),
        one("lost_leases_total", "Leases that ran out, since the start.", snapshot.lost_leases),
        many("alarm", "Whether an alarm holds.", "alarm", _alarms(snapshot)),
        *_messages(own),
    ]
    if snapshot.health is not None:
        found += _of_the_database(snapshot, snapshot.health, own)
    return found


def _of_the_database(snapshot: Snapshot, health: Health, own: Own) -> list[Metric]:
    waiting, newest = _age(health, health.oldest_waiting_at), _age(health, health.newest_item_at)
    success, scan = _age(health, health.last_success_at), health.last_scan
    scan_age = None if scan is None else _age(health, scan.started_at)
    exit_code = None if scan is None else scan.exit_code
    return [
        one("snapshot_age_seconds", "Age of what follows.", time.monotonic() - snapshot.taken),
        one("snapshot_seconds", "How long it took to ask for it.", snapshot.took_s),
        many("items", "Items by disposition.", "disposition", health.items),
        one("unaccounted_items", "Items that the ledger cannot explain.", health.unaccounted),
        many("failures_open", "Not acknowledged, by reason.", "reason", health.failures),
        many("work_units", "Work that is not finished, by state.", "state", health.queue),
        one("oldest_waiting_seconds", "Age of the ECG that waits longest.", waiting or 0.0),
        one("newest_item_age_seconds", "Since the newest ECG was first seen.", newest),
        one("results_total", "Results in the database.", health.results),
        one("results_per_second", "Over five minutes.", snapshot.results_per_second),
        one("last_success_age_seconds", "Since a scan last saw everything.", success),
        one("last_scan_age_seconds", "Since the newest scan began.", scan_age),
        one("last_scan_exit_code", "0 and 1: it saw everything.", exit_code),
        *_export(health),
        one("workers", "Workers of all services that live.", health.alive("work", own.silent_s)),
        many("heartbeat_age_seconds", "Newest sign of life, by kind.", "kind", _beats(health)),
        one("halted", "Whether an operator has halted all claims.", health.halted_at is not None),
        *_proofs(health),
        _bundle(health),
    ]


def _bundle(health: Health) -> Metric:
    champion, text = health.champion, "The bundle that scores."
    if champion is None:
        return one("bundle_info", text, None)
    labels = {
        "digest": champion.digest,
        "version": champion.version,
        "is_clinical": str(champion.is_clinical).lower(),
    }
    return one("bundle_info", text, 1, labels)


def _proofs(health: Health) -> list[Metric]:
    proofs = health.proofs
    age = _age(health, proofs.verified_at)
    return [
        one("unfit_machines", "Machines whose newest canary differs.", proofs.unfit_machines),
        many("verified_results", "By newest replay.", "outcome", proofs.verified),
        one("differing_results", "Current, and another when replayed.", proofs.differing),
        one("last_verification_age_seconds", "Since a result was last replayed.", age),
    ]


def _export(health: Health) -> list[Metric]:
    last = health.last_export
    age = None if last is None else _age(health, last.started_at)
    exit_code = None if last is None else last.exit_code
    return [
        one("last_export_age_seconds", "Since the newest export began.", age),
        one("last_export_exit_code", "0: it brought its folder up to date.", exit_code),
    ]


def _beats(health: Health) -> dict[str, float]:
    ages: dict[str, float] = {}
    for beat in health.beats:  # newest first
        ages.setdefault(beat.kind, _age(health, beat.seen_at) or 0.0)
    return ages


def _alarms(snapshot: Snapshot) -> dict[str, float]:
    holding = {one.alarm for one in snapshot.holding}
    return {alarm: float(alarm in holding) for alarm in Alarm}


def _messages(own: Own) -> list[Metric]:
    sent, failed, waiting = (
        {way: float(counts[place]) for way, counts in own.messages.items()} for place in range(3)
    )
    return [
        many("alarm_messages_sent_total", "Messages that were taken.", "way", sent),
        many("alarm_messages_failed_total", "Tries that failed.", "way", failed),
        many("alarm_messages_waiting", "Messages to be sent yet.", "way", waiting),
    ]


def _age(health: Health, moment: datetime | None) -> float | None:
    return None if moment is None else (health.moment - moment).total_seconds()
