"""The ledger: which ECG is where, and who holds it.

Every change of `item.state` and `work.state` is made by the functions named here (and by
`bundles.activate`, which hands unfinished work to a new champion).
"""

from sqlalchemy import Connection, text

from ecgbatch.errors import EcgbatchError
from ecgbatch.store.claims import admit, claim
from ecgbatch.store.discovery import Noted, mark_missing, note, present_items, unstable
from ecgbatch.store.engine import WHOLE_TABLES_S, now, take_time
from ecgbatch.store.finish import finish
from ecgbatch.store.finish_many import Ended, finish_many
from ecgbatch.store.leases import beat, bury, holders, leave, release, release_all, renew
from ecgbatch.store.runs import end_run, ensure_source, note_canary, start_run
from ecgbatch.terms import Disposition, ReasonCode

__all__ = [
    "Ended",
    "Noted",
    "admit",
    "balance",
    "beat",
    "bury",
    "claim",
    "end_run",
    "ensure_source",
    "finish",
    "finish_many",
    "holders",
    "leave",
    "mark_missing",
    "note",
    "note_canary",
    "now",
    "present_items",
    "release",
    "release_all",
    "renew",
    "start_run",
    "unstable",
]

_BY_DISPOSITION = text(
    "SELECT disposition, COUNT(*) AS items,"
    " SUM(CASE WHEN reason IS NULL AND disposition <> 'scored' THEN 1 ELSE 0 END) AS unexplained"
    " FROM v_disposition GROUP BY disposition"
    # In one statement: between two of them another scan may add items.
    " UNION ALL SELECT NULL, COUNT(*), NULL FROM item"
)


def balance(connection: Connection) -> dict[Disposition, int]:
    """Items by disposition; every disposition is there, 0 where there is none.

    The rest of the transaction may take its time, too.

    Raises:
        EcgbatchError: LEDGER_UNBALANCED, an item has no disposition, or one that is not scored
            has no reason, or the sum is not the number of items.
    """
    take_time(connection, WHOLE_TABLES_S)
    counts = dict.fromkeys(Disposition, 0)
    items = unexplained = 0
    for row in connection.execute(_BY_DISPOSITION):
        unexplained += row.unexplained or 0
        if row.disposition is None:
            items = max(items, row.items)
        elif row.disposition in counts:
            counts[Disposition(row.disposition)] = row.items
    missing = items - sum(counts.values())
    if missing or unexplained:
        detail = f"{missing} items without a disposition, {unexplained} without a reason"
        raise EcgbatchError(ReasonCode.LEDGER_UNBALANCED, detail)
    return counts
