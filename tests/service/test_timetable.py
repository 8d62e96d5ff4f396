"""Due times: cron as operators know it, and no clock change that loses or repeats a run."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger

from ecgbatch.errors import SetupFault
from ecgbatch.service.timetable import last_due, title, trigger
from ecgbatch.settings import Service, load_settings
from ecgbatch.terms import ReasonCode

ZONES = (
    "Europe/Vienna",
    "America/New_York",
    "Australia/Lord_Howe",  # half an hour
    "Africa/Casablanca",  # back for Ramadan alone
    "Asia/Beirut",  # at midnight
    "Pacific/Chatham",  # at 2:45
)
YEAR = 2026


def service(schedule: str = "", zone: str = "UTC", interval_s: int = 300) -> Service:
    table = {"schedule": schedule, "time_zone": zone, "interval_s": interval_s}
    return load_settings(None, {"service": table}, {}).service


def year_of(timetable: BaseTrigger) -> list[datetime]:
    """All due times of a year, asked for one after another as the scheduler does."""
    found: list[datetime] = []
    previous, now = None, datetime(YEAR, 1, 1, tzinfo=UTC)
    while (due := timetable.get_next_fire_time(previous, now)).year == YEAR:
        found.append(due)
        previous, now = due, due + timedelta(milliseconds=3)
    return found


def days_without(found: list[datetime], zone: str) -> list[date]:
    days = {due.astimezone(ZoneInfo(zone)).date() for due in found}
    first = min(days)
    return [
        day for n in range((max(days) - first).days) if (day := first + timedelta(n)) not in days
    ]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("fields", ["30 2 * * *", "0 0 * * *", "15 1 * * *", "50 2 * * *"])
def test_nightly_scan_runs_on_every_day_of_the_year(zone: str, fields: str) -> None:
    found = year_of(trigger(service(fields, zone)))

    assert days_without(found, zone) == []
    assert all(earlier < later for earlier, later in pairwise(found))
    assert max(later - earlier for earlier, later in pairwise(found)) <= timedelta(hours=26)
    runs = Counter(due.astimezone(ZoneInfo(zone)).date() for due in found)
    assert sum(number > 1 for number in runs.values()) <= 1


@pytest.mark.parametrize("zone", ZONES)
def test_frequent_scan_has_no_gap_when_the_clock_changes(zone: str) -> None:
    quarters, changes = trigger(service("*/15 * * * *", zone)), days_of_change(zone)

    assert len(changes) >= 2
    for day in changes:
        previous, now, gaps = None, day - timedelta(days=1), set()
        while now < day + timedelta(days=2):
            due = quarters.get_next_fire_time(previous, now)
            gaps.add(due - (previous or due))
            previous, now = due, due + timedelta(milliseconds=3)
        assert gaps == {timedelta(0), timedelta(minutes=15)}


def days_of_change(zone: str) -> list[datetime]:
    days = [datetime(YEAR, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(365)]
    offsets = [day.astimezone(ZoneInfo(zone)).utcoffset() for day in days]
    return [day for day, (one, other) in zip(days, pairwise(offsets), strict=False) if one != other]


def test_control_the_schedulers_own_trigger_loses_a_night() -> None:
    own = CronTrigger.from_crontab("0 0 * * *", timezone=ZoneInfo("Europe/Vienna"))

    assert days_without(year_of(own), "Europe/Vienna") == [date(2026, 3, 30)]


def test_skipped_wall_time_fires_as_much_later_and_a_repeated_one_twice() -> None:
    nightly = trigger(service("30 2 * * *", "Europe/Vienna"))

    spring = nightly.get_next_fire_time(None, datetime(2026, 3, 29, tzinfo=UTC))
    assert spring == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)  # the clock shows 03:30
    autumn = nightly.get_next_fire_time(None, datetime(2026, 10, 25, tzinfo=UTC))
    assert autumn == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert nightly.get_next_fire_time(autumn, autumn) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "days"),
    [
        ("0 3 * * 0", {6}),
        ("0 3 * * 7", {6}),
        ("0 3 * * 1-5", {0, 1, 2, 3, 4}),
        ("0 3 * * sat", {5}),
    ],
)
def test_days_of_the_week_count_from_sunday_as_in_every_crontab(
    fields: str, days: set[int]
) -> None:
    assert {due.weekday() for due in year_of(trigger(service(fields)))} == days


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"schedule": "30 1 * *"}, "service.schedule"),
        ({"schedule": "61 1 * * *"}, "service.schedule"),
        ({"schedule": "0 1 1 * mon"}, "service.schedule"),  # cron: or; the scheduler: and
        ({"schedule": "nightly"}, "service.schedule"),
        ({"schedule": "0 1 * * *", "time_zone": "Mars/Olympus"}, "service.time_zone"),
        ({"schedule": "0 1 * * *", "time_zone": "../UTC"}, "service.time_zone"),
        ({"schedule": "0 1 * * *", "time_zone": ""}, "service.time_zone"),
    ],
)
def test_bad_timetable_is_refused_by_the_name_of_its_key(
    table: dict[str, object], named: str
) -> None:
    with pytest.raises(SetupFault) as caught:
        trigger(load_settings(None, {"service": table}, {}).service)

    assert caught.value.reason is ReasonCode.SETTINGS_INVALID
    assert caught.value.detail == named


def test_two_services_started_at_different_times_have_the_same_due_times() -> None:
    first = trigger(service(interval_s=420)).get_next_fire_time(
        None, datetime(2026, 5, 1, 12, 0, 1, 345, UTC)
    )
    second = trigger(service(interval_s=420)).get_next_fire_time(
        None, datetime(2026, 5, 1, 12, 1, 59, tzinfo=UTC)
    )

    assert first == second
    assert title(service(interval_s=420)) == "every 420 s"


@pytest.mark.parametrize(
    ("fields", "now", "due"),
    [
        ("30 1 * * *", "2026-05-01T01:29:59Z", "2026-04-30T01:30:00Z"),
        ("30 1 * * *", "2026-05-01T01:30:00Z", "2026-05-01T01:30:00Z"),
        ("* * * * *", "2026-05-01T01:30:59.9Z", "2026-05-01T01:30:00Z"),
        ("0 4 29 2 *", "2026-05-01T00:00:00Z", None),
    ],
)
def test_newest_time_that_has_passed_is_found(fields: str, now: str, due: str | None) -> None:
    found = last_due(trigger(service(fields)), datetime.fromisoformat(now))

    assert found == (None if due is None else datetime.fromisoformat(due))
