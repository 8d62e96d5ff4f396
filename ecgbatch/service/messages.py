"""What is told of an alarm: a closed set of fields, the same in JSON and in plain text."""

from dataclasses import dataclass
from datetime import datetime

from ecgbatch.service.alerts import ADVICE, Alarm
from ecgbatch.store.alarms import Phase
from ecgbatch.terms import ReasonCode

_UNITS: dict[Alarm, str] = {
    Alarm.FAILURES_OPEN: "ECGs",
    Alarm.LEDGER_UNBALANCED: "items",
    Alarm.CANARY_DIFFERS: "machines",
    Alarm.REPLAY_DIFFERS: "results",
    Alarm.DISK_LOW: "bytes",
    Alarm.WORKERS_GONE: "workers",
    Alarm.SOURCE_UNAVAILABLE: "",
}
_SECONDS = "s"


@dataclass(frozen=True, slots=True)
class Message:
    """One alarm that begins, rises, still holds or ends.

    Attributes:
        host: where the service runs that tells it.
        value, limit: what raised it; None at its end.
    """

    alarm: Alarm
    phase: Phase
    host: str
    version: str
    since_at: datetime
    value: float | None = None
    limit: float | None = None
    reason: ReasonCode | None = None

    def fields(self) -> dict[str, str | float | None]:
        """For a program."""
        return {
            "program": "ecgbatch",
            "version": self.version,
            "host": self.host,
            "alarm": self.alarm,
            "phase": self.phase,
            "since": self.since_at.isoformat(timespec="seconds"),
            "value": self.value,
            "limit": self.limit,
            "unit": _UNITS.get(self.alarm, _SECONDS),
            "reason": self.reason,
            "advice": ADVICE[self.alarm],
        }

    def subject(self) -> str:
        return f"ecgbatch on {self.host}: {self.alarm} {self.phase}"

    def text(self) -> str:
        """For a person."""
        unit = _UNITS.get(self.alarm, _SECONDS)
        lines = [self.subject(), f"since {self.since_at:%Y-%m-%d %H:%M:%S} UTC"]
        if self.value is not None and self.limit is not None:
            lines.append(f"value {self.value:.0f} {unit}, limit {self.limit:.0f} {unit}")
        if self.reason is not None:
            lines.append(f"reason {self.reason}")
        if self.phase is not Phase.ENDS:
            lines += ["", ADVICE[self.alarm]]
        return "\n".join(lines) + "\n"
