"""What `doctor` looks at of the service: its timetable, and the ways of its alarms."""

from collections.abc import Callable
from datetime import UTC, datetime

from ecgbatch.service import timetable
from ecgbatch.service.mail import mail
from ecgbatch.service.webhook import webhook
from ecgbatch.settings import Service, Settings


def looks(settings: Settings) -> dict[str, Callable[[], str]]:
    """By name: what tells how it is, or raises SetupFault. Nothing is sent."""
    return {
        "timetable": lambda: _timetable(settings.service),
        "verification": lambda: _verification(settings),
        "alarms": lambda: _ways(settings),
    }


def _verification(settings: Settings) -> str:
    number = settings.verification.sample
    found = _timetable(timetable.of_samples(settings), "verification")
    return f"{number} results computed again, {found}" if number else "switched off"


def _timetable(service: Service, table: str = "service") -> str:
    due = timetable.trigger(service, table).get_next_fire_time(None, datetime.now(UTC))
    found = timetable.title(service)
    return found if due is None else f"{found}; next {due.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _ways(settings: Settings) -> str:
    ways = {"webhook": webhook(settings.alerts), "e-mail": mail(settings.alerts)}
    stated = [name for name, send in ways.items() if send is not None]
    return f"by {' and '.join(stated)}" if stated else "sent to nobody"
