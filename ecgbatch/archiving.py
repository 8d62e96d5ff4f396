"""What has its result goes into the archive, if the settings name one."""

from ecgbatch import telemetry
from ecgbatch.errors import TransientFault
from ecgbatch.looking import Looker
from ecgbatch.sources.source import Finished
from ecgbatch.store.archive import archived, to_archive
from ecgbatch.store.engine import transaction

_ENOUGH = 100
"""Failures after which a run archives no further: a share is gone, or a disk full."""


def put_away(looker: Looker) -> int:
    """Archive what is finished, also what an interrupted run left half done.

    A file lies in the archive before the ledger says so; the next run finds it there if this one
    ends in between. Call it before a look, which must not meet half a record, and after the work.

    Returns:
        How many could not be archived; the next run tries again.

    Raises:
        SetupFault: another scan has begun.
    """
    source, failed = looker.source, 0
    if not source.archives:
        return 0
    moves = source.archives == "move"
    for page in to_archive(looker.engine, looker.source_id, moves=moves):
        if failed >= _ENOUGH:
            break
        done: list[int] = []
        for row in page:
            try:
                if source.put_away(Finished(*row)):
                    done.append(row[0])
            except TransientFault as fault:
                failed += 1
                log = telemetry.logger().bind(run_id=looker.run_id, item_id=row[0])
                log.warning("not_archived", reason=fault.reason)
        if done:
            with transaction(looker.engine) as connection:
                archived(connection, done, looker.run_id, looker.held, moves=moves)
    return failed
