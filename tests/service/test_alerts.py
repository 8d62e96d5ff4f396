"""Which alarms hold, one case that raises each and the same without it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ecgbatch.service.alerts import ADVICE, Alarm, Facts, holding, judged
from ecgbatch.settings import load_settings
from ecgbatch.store.exports import ExportRow
from ecgbatch.store.health import Beat, Health
from ecgbatch.store.proofs import Proofs
from ecgbatch.terms import Disposition, ReasonCode, WorkState

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LIMITS = load_settings(None, None, {}).alerts
DAY = timedelta(days=1)

WELL = Facts(
    health=Health(
        moment=NOW,
        items=dict.fromkeys(Disposition, 0),
        unaccounted=0,
        failures={},
        oldest_waiting_at=NOW - timedelta(minutes=1),
        newest_item_at=NOW - timedelta(hours=2),
        queue=dict.fromkeys(WorkState, 0),
        results=5,
        last_scan=None,
        last_success_at=NOW,
        beats=(Beat("w", "work", NOW - DAY, NOW - timedelta(seconds=30)),),
        halted_at=None,
        champion=None,
        last_event=0,
    ),
    database_away_s=0.0,
    database_fault=None,
    started_at=NOW - 10 * DAY,
    scan_overdue_s=0.0,
    scan_fault=None,
    has_scanned=True,
    free_bytes=1 << 40,
    worker_silent_s=120.0,
)


def but(**changes: object) -> Facts:
    of_health = {key: value for key, value in changes.items() if hasattr(WELL.health, key)}
    own = {key: value for key, value in changes.items() if key not in of_health}
    assert WELL.health is not None
    return replace(WELL, **{"health": replace(WELL.health, **of_health), **own})  # type: ignore[arg-type]


def _export(at: datetime, exit_code: int) -> ExportRow:
    return ExportRow(9, at, at, exit_code, ReasonCode.DISK_FULL if exit_code else None)


CASES = {
    Alarm.DATABASE_AWAY: but(database_away_s=121.0, database_fault=ReasonCode.DISK_FULL),
    Alarm.SCAN_SILENCE: but(scan_overdue_s=3601.0),
    Alarm.SOURCE_UNAVAILABLE: but(scan_fault=ReasonCode.SOURCE_UNAVAILABLE),
    Alarm.SOURCE_SILENCE: but(newest_item_at=NOW - 4 * DAY),
    Alarm.WORKERS_GONE: but(beats=(Beat("w", "work", NOW - DAY, NOW - timedelta(seconds=130)),)),
    Alarm.QUEUE_OLD: but(oldest_waiting_at=NOW - timedelta(hours=5)),
    Alarm.FAILURES_OPEN: but(failures={ReasonCode.FORMAT_PDF: 2, ReasonCode.SIZE_MISMATCH: 1}),
    Alarm.LEDGER_UNBALANCED: but(unaccounted=1),
    Alarm.CANARY_DIFFERS: but(proofs=Proofs(unfit_machines=1)),
    Alarm.REPLAY_DIFFERS: but(proofs=Proofs(differing=2)),
    Alarm.EXPORT_FAILED: but(last_export=_export(NOW - timedelta(hours=3), 4)),
    Alarm.DISK_LOW: but(free_bytes=1000),
    Alarm.HALTED_LONG: but(halted_at=NOW - timedelta(hours=2)),
}


def test_nothing_holds_where_all_is_well() -> None:
    assert holding(WELL, LIMITS) == []


def test_every_alarm_has_a_case_and_an_advice() -> None:
    assert set(CASES) == set(Alarm) == set(ADVICE)


@pytest.mark.parametrize("alarm", Alarm)
def test_each_alarm_is_raised_alone(alarm: Alarm) -> None:
    assert [one.alarm for one in holding(CASES[alarm], LIMITS)] == [alarm]


def test_an_export_alarms_for_a_day_until_one_succeeds() -> None:
    (failed,) = holding(CASES[Alarm.EXPORT_FAILED], LIMITS)

    assert failed.reason is ReasonCode.DISK_FULL
    assert holding(but(last_export=_export(NOW - timedelta(hours=25), 4)), LIMITS) == []
    assert holding(but(last_export=_export(NOW, 0)), LIMITS) == []


def test_alarm_names_number_limit_and_reason() -> None:
    (open_failures,) = holding(CASES[Alarm.FAILURES_OPEN], LIMITS)

    assert (open_failures.value, open_failures.limit) == (3, 1)
    assert open_failures.reason is ReasonCode.FORMAT_PDF


def test_failures_alone_have_a_size_that_may_rise() -> None:
    sizes = {alarm: holding(CASES[alarm], LIMITS)[0].size for alarm in Alarm}

    assert sizes == dict.fromkeys(Alarm, 1) | {Alarm.FAILURES_OPEN: 3}


@pytest.mark.parametrize(
    ("key", "alarm"),
    [
        ("database_away_s", Alarm.DATABASE_AWAY),
        ("scan_silence_s", Alarm.SCAN_SILENCE),
        ("source_silence_s", Alarm.SOURCE_SILENCE),
        ("waiting_s", Alarm.QUEUE_OLD),
        ("failures", Alarm.FAILURES_OPEN),
        ("halted_s", Alarm.HALTED_LONG),
        ("free_bytes", Alarm.DISK_LOW),
    ],
)
def test_limit_of_zero_switches_its_alarm_off(key: str, alarm: Alarm) -> None:
    off = LIMITS.model_copy(update={key: 0})

    assert holding(CASES[alarm], off) == []
    assert alarm not in judged(WELL, off)


def test_without_the_database_only_its_absence_is_judged() -> None:
    away = but(database_away_s=500.0, newest_item_at=NOW - 9 * DAY)

    assert [one.alarm for one in holding(away, LIMITS)] == [Alarm.DATABASE_AWAY]
    assert judged(away, LIMITS) == {Alarm.DATABASE_AWAY}
    assert judged(WELL, LIMITS) == set(Alarm)


@pytest.mark.parametrize(
    ("fresh", "alarm"),
    [
        (but(has_scanned=False), Alarm.SOURCE_UNAVAILABLE),
        (but(scan_fault=ReasonCode.DATABASE_UNAVAILABLE), Alarm.SOURCE_UNAVAILABLE),
        (but(started_at=NOW - timedelta(seconds=5)), Alarm.WORKERS_GONE),
        (but(last_success_at=None), Alarm.SCAN_SILENCE),
        (but(newest_item_at=None, started_at=NOW - DAY), Alarm.SOURCE_SILENCE),
        (but(free_bytes=None), Alarm.DISK_LOW),
    ],
)
def test_what_a_new_service_cannot_know_ends_no_alarm(fresh: Facts, alarm: Alarm) -> None:
    assert judged(fresh, LIMITS) == set(Alarm) - {alarm}


@pytest.mark.parametrize("alarm", Alarm)
def test_what_holds_is_judged(alarm: Alarm) -> None:
    assert alarm in judged(CASES[alarm], LIMITS)


def test_new_service_is_given_time_for_its_workers_and_first_ecg() -> None:
    new = but(started_at=NOW - timedelta(seconds=60), beats=(), newest_item_at=None)

    assert holding(new, LIMITS) == []
