"""The queries of `ledger check`: each returns the numbers of the rows that break a promise.

They run as they stand on both databases. None may rely on the constraint or the index that
guards what it checks: an expression such as `recording_id + 0` keeps an index out of it.
"""

from ecgbatch.store.checks_query import Check
from ecgbatch.store.checks_results import BYTES, CURRENT, ONCE, RISKS
from ecgbatch.store.checks_work import CONSISTENT, ITEMS, LEASES, VISIBLE

__all__ = ["CHEAP", "CHECKS", "Check"]

CHECKS = (
    *ITEMS,
    *ONCE,
    *CONSISTENT,
    *LEASES,
    *BYTES,
    *VISIBLE,
    *RISKS,
    *CURRENT,
)

CHEAP = (
    Check(
        "I2a",
        "one result per recording, bundle and pipeline",
        "result",
        """
        SELECT MIN(result_id) FROM result
        WHERE recording_id IN (SELECT recording_id FROM result WHERE run_id = :run_id)
        GROUP BY recording_id + 0, bundle_digest || '', pipeline_id || '' HAVING COUNT(*) > 1
        """,
    ),
    Check(
        "I3b",
        "each result of this run has its finishing event in this run",
        "run",
        """
        SELECT n.run_id FROM run n WHERE n.run_id = :run_id
        AND (SELECT COUNT(*) FROM result r WHERE r.run_id = n.run_id) <> (
          SELECT COUNT(*) FROM event e WHERE e.run_id = n.run_id AND e.kind = 'finished'
          AND e.to_state IN ('scored', 'rejected'))
        """,
    ),
    Check(
        "I5b",
        "a lease has a worker and an end, and nothing else has an end",
        "work",
        """
        SELECT work_id FROM work WHERE attempts > token
        OR (state = 'leased') <> (lease_until IS NOT NULL) OR state = 'leased' AND worker IS NULL
        """,
    ),
)
"""The subset that every run ends with; `:run_id` is the run. No join, so that no plan is slow."""
