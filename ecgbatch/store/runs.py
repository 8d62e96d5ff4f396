"""Sources and runs: where ECGs come from, and each pass over them."""

import json
from collections.abc import Mapping

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from ecgbatch.store.engine import now
from ecgbatch.store.events import head as events_head
from ecgbatch.store.tables import run, source

ACTIVATION = "activate"
"""Kind of the run of an activation before there was an audit row for one."""
CHALLENGER = "challenger"
"""Kind of the run in which a worker scores for a challenger, apart from the champion's."""
EXPORT = "export"
"""Kind of the run that an export is kept as."""
OPERATOR = "operator"
"""Kind of the short run that an operator's act opens for its events."""
SCAN = "scan"
"""Kind of a scan of a source that scores nothing."""
VERIFY = "verify"
"""Kind of a run that computes results again and writes none."""


def ensure_source(
    connection: Connection,
    name: str,
    *,
    kind: str,
    root: str,
    authority: str,
    time_zone: str | None,
) -> int:
    """The source of this name, made if new; where it lies is kept up to date.

    Args:
        kind: `folder` or `database`.
        root: what locators are relative to.
        authority: whose patient identifiers its files carry.
        time_zone: IANA name of the files' wall clock, or None.
    """
    facts = {"kind": kind, "root": root, "authority": authority, "time_zone": time_zone}
    named = select(source).where(source.c.name == name)
    known = connection.execute(named).mappings().first()
    if known is None:
        # Two services may meet a new source at once.
        dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
        made = dialect.insert(source).values(name=name, **facts)
        connection.execute(made.on_conflict_do_nothing(index_elements=["name"]))
        known = connection.execute(named).mappings().one()
    if any(known[column] != fact for column, fact in facts.items()):
        connection.execute(update(source).where(source.c.name == name).values(**facts))
    return int(known["source_id"])


def source_root(connection: Connection, source_id: int) -> str:
    """What the locators of a source are relative to."""
    root = select(source.c.root).where(source.c.source_id == source_id)
    return str(connection.execute(root).scalar_one())


def has_other_than_folders(connection: Connection) -> bool:
    """Whether some source cannot be opened by what the database knows of it."""
    other = select(source.c.source_id).where(source.c.kind != "folder").limit(1)
    return connection.execute(other).first() is not None


def start_run(connection: Connection, kind: str, source_id: int | None, worker: str) -> int:
    """A new run of one worker; events and results carry its number."""
    started = insert(run).values(
        kind=kind, source_id=source_id, worker=worker, started_at=now(connection)
    )
    return int(connection.execute(started.returning(run.c.run_id)).scalar_one())


def note_canary(connection: Connection, run_id: int, outcome: str) -> None:
    """Write down what became of the run's canary: the only trace that it leaves."""
    connection.execute(update(run).where(run.c.run_id == run_id).values(canary=outcome))


def end_run(
    connection: Connection,
    run_id: int,
    exit_code: int,
    counts: Mapping[str, int],
) -> None:
    """Close a run; the length and the last hash of its events show if any are cut off later.

    Args:
        counts: how many ECGs ended as what in this run; keys are dispositions.
    """
    events, head = events_head(connection, run_id)
    text = json.dumps(dict(counts), sort_keys=True, separators=(",", ":"))
    connection.execute(
        update(run)
        .where(run.c.run_id == run_id)
        .values(
            ended_at=now(connection),
            exit_code=exit_code,
            counts=text,
            events=events,
            chain_head=head,
        )
    )
