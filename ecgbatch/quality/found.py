"""How a check states what it found: against its own settings."""

from ecgbatch.quality.of_settings import Switch
from ecgbatch.records import Finding
from ecgbatch.terms import ReasonCode


def found(
    check: str,
    reason: ReasonCode,
    setting: Switch,
    *,
    lead: str | None = None,
    value: float | None = None,
    limit: float | None = None,
) -> Finding:
    """A finding that refuses if the check's settings say so, with `limit` or the one they state."""
    if limit is None:
        limit = getattr(setting, "limit", None)
    return Finding(check, reason, lead, value, limit, setting.refuses)
