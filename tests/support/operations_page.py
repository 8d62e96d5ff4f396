"""Writes the tables of docs/operations.md from the code, between their markers: `make docs`."""

import re
from datetime import UTC, datetime
from pathlib import Path

from ecgbatch.service.alerts import ADVICE, Alarm
from ecgbatch.service.metrics import Own, metrics
from ecgbatch.service.monitor import Snapshot
from ecgbatch.settings import load_settings
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.exports import ExportRow
from ecgbatch.store.health import Health
from ecgbatch.store.proofs import Proofs
from ecgbatch.terms import Disposition, ReplayOutcome, WorkState

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"

_RAISED_BY = {
    Alarm.DATABASE_AWAY: "database_away_s",
    Alarm.SCAN_SILENCE: "scan_silence_s",
    Alarm.SOURCE_SILENCE: "source_silence_s",
    Alarm.QUEUE_OLD: "waiting_s",
    Alarm.FAILURES_OPEN: "failures",
    Alarm.DISK_LOW: "free_bytes",
    Alarm.HALTED_LONG: "halted_s",
}
_ALWAYS = {
    Alarm.SOURCE_UNAVAILABLE: "the newest scan did not find the source",
    Alarm.WORKERS_GONE: "no worker was seen for `work.lease_s`",
    Alarm.LEDGER_UNBALANCED: "any item that the ledger cannot explain",
    Alarm.CANARY_DIFFERS: "the newest canary of a machine, within a day, differs",
    Alarm.EXPORT_FAILED: "the newest export, begun within a day, ended with 4 or 70",
    Alarm.REPLAY_DIFFERS: "the newest replay of any current result differs",
}


def text() -> str:
    """The page as it should be."""
    page = PAGE.read_text(encoding="utf-8")
    for name, table in (("alarms", _alarms()), ("metrics", _metrics())):
        between = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        page = re.sub(between, lambda m, t=table: m[1] + t + m[2], page, flags=re.DOTALL)
    return page


def _alarms() -> str:
    limits = load_settings(None, None, {}).alerts
    rows = ["| alarm | raised by (default) | what to do |", "|---|---|---|"]
    for alarm in Alarm:
        key = _RAISED_BY.get(alarm)
        raised = _ALWAYS.get(alarm) or f"`alerts.{key}` ({getattr(limits, str(key)):.15g})"
        rows.append(f"| `{alarm}` | {raised} | {ADVICE[alarm]} |")
    return "\n".join(rows) + "\n"


def _metrics() -> str:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    health = Health(
        moment=moment,
        items=dict.fromkeys(Disposition, 0),
        unaccounted=0,
        failures={},
        oldest_waiting_at=moment,
        newest_item_at=moment,
        queue=dict.fromkeys(WorkState, 0),
        results=0,
        last_scan=None,
        last_success_at=moment,
        beats=(),
        halted_at=None,
        champion=BundleRow("0", "n", "1", is_clinical=False),
        last_event=0,
        last_export=ExportRow(1, moment, moment, 0, None),
        proofs=Proofs(verified=dict.fromkeys(ReplayOutcome, 0), verified_at=moment),
    )
    own = Own("0", 1, 0, 0.0, 1.0, {})
    rows = ["| metric | meaning |", "|---|---|"]
    shown = metrics(Snapshot(health=health), own)
    rows += [f"| `ecgbatch_{metric.name}` | {metric.help} |" for metric in shown]
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
