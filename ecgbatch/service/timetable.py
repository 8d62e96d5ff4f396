"""When a scan is due: cron fields read on a zone's wall clock, or a grid of equal steps in UTC."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from ecgbatch.errors import SetupFault
from ecgbatch.settings import Service, Settings
from ecgbatch.terms import ReasonCode

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NUMBER_OF_A_DAY = re.compile(r"(?<![/\w])[0-7](?!\w)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEP = timedelta(seconds=1)
_AROUND = timedelta(hours=3)
"""No clock is put forward or back by more than that."""
_LOOKS_BACK = tuple(timedelta(days=days) for days in (0.1, 1, 8, 32, 370))


class WallClockTrigger(BaseTrigger):  # type: ignore[misc] # APScheduler is not typed
    """Fires at every moment at which the zone's wall clock shows a time of the cron fields.

    A wall time that a clock change skips fires that much later, one that comes twice fires
    twice. APScheduler's own trigger loses runs there (see docs/why/0018).
    """

    def __init__(self, fields: str, zone: ZoneInfo) -> None:
        # Read in UTC, which has every minute once: its moments are wall times to us.
        self._matches = CronTrigger.from_crontab(fields, timezone=UTC)
        self._zone = zone

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        """The first moment (UTC) after `previous`, or at or after `now` if that is earlier."""
        start = now.astimezone(UTC)
        if previous is not None and previous.astimezone(UTC) <= start:
            start = previous.astimezone(UTC) + _STEP
        found: datetime | None = None
        for wall in self._later(start - _AROUND if self._changes_near(start) else start):
            # Around a change a later wall time can be the earlier moment.
            if found is not None and wall > _wall(found, self._zone) + _AROUND:
                return found
            for moment in _moments(wall, self._zone):
                if moment >= start and (found is None or moment < found):
                    found = moment
            if found is not None and not self._changes_near(found):
                return found
        return found

    def _later(self, moment: datetime) -> Iterator[datetime]:
        """Wall times of the fields from the one of `moment` on."""
        wall: datetime | None = _wall(moment, self._zone)
        while wall is not None:
            wall = self._matches.get_next_fire_time(None, wall)
            if wall is None:
                return
            yield wall
            wall += _STEP

    def _changes_near(self, moment: datetime) -> bool:
        before, after = (
            (moment + shift).astimezone(self._zone).utcoffset() for shift in (-_AROUND, _AROUND)
        )
        return before != after


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """What the zone's clock shows, dressed as UTC."""
    return moment.astimezone(zone).replace(tzinfo=UTC)


def _moments(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    """The moments (UTC) at which the clock shows it; where it never does, the one shifted on."""
    both = [wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    shown = [moment for moment in both if _wall(moment, zone) == wall.replace(fold=0)]
    return sorted(set(shown)) or both[:1]


def of_samples(settings: Settings) -> Service:
    """When samples of replays are due, as if it were for scans; in the time zone of the scans."""
    own = settings.verification
    return settings.service.model_copy(
        update={"schedule": own.schedule, "interval_s": own.interval_s}
    )


def trigger(service: Service, table: str = "service") -> BaseTrigger:
    """The trigger of the settings; two services with equal settings have equal due times.

    Args:
        table: of the settings, in which the fields stand.

    Raises:
        SetupFault: SETTINGS_INVALID, fields that are no cron fields or an unknown time zone.
    """
    if not service.schedule:
        return IntervalTrigger(seconds=service.interval_s, start_date=_EPOCH, timezone=UTC)
    try:
        zone = ZoneInfo(service.time_zone)
    except (LookupError, ValueError, OSError):
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "service.time_zone") from None
    try:
        return WallClockTrigger(_fields(service.schedule), zone)
    except ValueError:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, f"{table}.schedule") from None


def title(service: Service) -> str:
    """What the timetable is called in the database."""
    if not service.schedule:
        return f"every {service.interval_s} s"
    return f"{' '.join(_fields(service.schedule).split())} {service.time_zone}"


def last_due(timetable: BaseTrigger, now: datetime) -> datetime | None:
    """The newest due time up to `now`; None if none was within a year."""
    for span in _LOOKS_BACK:
        found: datetime | None = None
        due = timetable.get_next_fire_time(None, now - span)
        while due is not None and due <= now:
            found = due
            due = timetable.get_next_fire_time(due, due)
        if found is not None:
            return rounded(found)
    return None


def rounded(due: datetime) -> datetime:
    """The due time as the database holds it: UTC, whole seconds."""
    return due.astimezone(UTC).replace(microsecond=0)


def _fields(schedule: str) -> str:
    """The five fields with days of the week by name: APScheduler counts them from Monday.

    Raises:
        ValueError: not five fields, or both a day of the month and one of the week.
    """
    fields = schedule.split()
    if len(fields) != 5:
        raise ValueError("five fields")
    if fields[2] != "*" and fields[4] != "*":
        # Cron means "or", APScheduler "and".
        raise ValueError("one field for days")
    fields[4] = _NUMBER_OF_A_DAY.sub(lambda day: _DAYS[int(day[0]) % 7], fields[4])
    return " ".join(fields)
