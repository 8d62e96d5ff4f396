"""Checks of items, work and leases: where each ECG stands, and who holds it."""

from ecgbatch.reasons import REASONS
from ecgbatch.store.checks_query import Check, listed, with_lists
from ecgbatch.terms import (
    FINISHED,
    Disposition,
    ItemState,
    ReasonClass,
    ReasonCode,
    ResultOutcome,
    Vessel,
    WorkState,
)

_REASON_OF_CLASS = " OR ".join(
    f"w.reason_class = '{kind}' AND w.reason IN"
    f" ({listed(code for code in ReasonCode if REASONS[code].reason_class is kind)})"
    for kind in ReasonClass
)

ITEMS = (
    Check(
        "I1a",
        "every item has a disposition",
        "item",
        """
        SELECT i.item_id FROM item i LEFT JOIN v_disposition d ON d.item_id = i.item_id
        WHERE d.disposition IS NULL
        """,
    ),
    Check(
        "I1b",
        "an item's state is one of the list",
        "item",
        with_lists("SELECT item_id FROM item WHERE state NOT IN (<states>)", states=ItemState),
    ),
    Check(
        "I1c",
        "the state of work is one of the list",
        "work",
        with_lists("SELECT work_id FROM work WHERE state NOT IN (<states>)", states=WorkState),
    ),
    Check(
        "I1d",
        "work is of an item and a bundle that are there",
        "work",
        """
        SELECT w.work_id FROM work w LEFT JOIN item i ON i.item_id = w.item_id
        LEFT JOIN bundle b ON b.bundle_digest = w.bundle_digest
        WHERE i.item_id IS NULL OR b.bundle_digest IS NULL
        """,
    ),
)

CONSISTENT = (
    Check(
        "I3a",
        "scored and rejected work has its result",
        "work",
        """
        SELECT w.work_id FROM work w JOIN item i ON i.item_id = w.item_id
        LEFT JOIN result r ON r.work_id = w.work_id AND r.outcome = w.state
        WHERE w.state IN ('scored', 'rejected') AND r.result_id IS NULL AND NOT EXISTS (
          SELECT 1 FROM result o WHERE o.recording_id = i.recording_id
          AND o.bundle_digest = w.bundle_digest AND o.outcome = w.state AND o.work_id IS NULL)
        """,
    ),
    Check(
        "I3b",
        "a result's work ended so, on that bundle and recording",
        "result",
        """
        SELECT r.result_id FROM result r LEFT JOIN work w ON w.work_id = r.work_id
        LEFT JOIN item i ON i.item_id = w.item_id
        WHERE r.work_id IS NOT NULL AND (
          w.work_id IS NULL OR w.state <> r.outcome OR w.bundle_digest <> r.bundle_digest
          OR i.recording_id <> r.recording_id AND NOT EXISTS (
            SELECT 1 FROM work l WHERE l.item_id = w.item_id AND l.finished_at > w.finished_at))
        """,
    ),
    Check(
        "I3c",
        "four scores where scored, none where rejected",
        "result",
        with_lists(
            """
            SELECT r.result_id FROM result r
            WHERE (SELECT COUNT(*) FROM score s WHERE s.result_id = r.result_id
                   AND s.task IN (<tasks>)) <> CASE r.outcome WHEN 'scored' THEN 4 ELSE 0 END
            """,
            tasks=Vessel,
        ),
    ),
    Check(
        "I3d",
        "finished work has its finishing event",
        "work",
        with_lists(
            """
            SELECT w.work_id FROM work w
            WHERE w.state IN (<finished>) AND NOT EXISTS (
              SELECT 1 FROM event e WHERE e.item_id = w.item_id AND e.work_id = w.work_id
              AND e.kind = 'finished' AND e.to_state = w.state)
            """,
            finished=FINISHED,
        ),
    ),
    Check(
        "I3e",
        "a duplicate's recording has a result",
        "item",
        """
        SELECT d.item_id FROM v_disposition d
        WHERE d.disposition = 'duplicate' AND NOT EXISTS (
          SELECT 1 FROM result r
          WHERE r.recording_id = d.recording_id AND r.bundle_digest = d.bundle_digest)
        """,
    ),
    Check(
        "I3f",
        "results and scores are of recordings, bundles and results that are there",
        "result",
        """
        SELECT r.result_id FROM result r
        LEFT JOIN recording c ON c.recording_id = r.recording_id
        LEFT JOIN bundle b ON b.bundle_digest = r.bundle_digest
        WHERE c.recording_id IS NULL OR b.bundle_digest IS NULL
        UNION ALL
        SELECT s.result_id FROM score s LEFT JOIN result r ON r.result_id = s.result_id
        WHERE r.result_id IS NULL
        """,
    ),
)

LEASES = (
    Check(
        "I4a",
        "no more attempts than the fence has counted",
        "work",
        "SELECT work_id FROM work WHERE attempts < 0 OR attempts > token",
    ),
    Check(
        "I5a",
        "what waits to be tried again says when, and nothing else does",
        "work",
        "SELECT work_id FROM work WHERE (state = 'retry_wait') <> (next_at IS NOT NULL)",
    ),
    Check(
        "I5b",
        "a lease has a worker and an end, and nothing else has an end",
        "work",
        """
        SELECT work_id FROM work WHERE (state = 'leased') <> (lease_until IS NOT NULL)
        OR state = 'leased' AND worker IS NULL
        """,
    ),
    Check(
        "I5c",
        "no lease is overdue",
        "work",
        "SELECT work_id FROM work WHERE state = 'leased' AND lease_until < :overdue",
    ),
    Check(
        "I5d",
        "finished work says when, and nothing else does",
        "work",
        with_lists(
            "SELECT work_id FROM work WHERE (state IN (<finished>)) <> (finished_at IS NOT NULL)",
            finished=FINISHED,
        ),
    ),
    Check(
        "I6",
        "a crash loop was seen with the ECG claimed alone, each time",
        "work",
        """
        SELECT w.work_id FROM work w
        WHERE w.state = 'quarantined' AND w.reason = 'crash_loop' AND (w.losses < 1 OR w.losses > (
          SELECT COUNT(*) FROM event e WHERE e.item_id = w.item_id AND e.work_id = w.work_id
          AND e.kind = 'lost_alone'))
        """,
    ),
)

VISIBLE = (
    Check(
        "I10a",
        "work that is not scored has a reason of the list, with its class",
        "work",
        f"""
        SELECT w.work_id FROM work w
        WHERE (w.state = 'scored') <> (w.reason IS NULL)
        OR (w.reason IS NULL) <> (w.reason_class IS NULL)
        OR w.reason IS NOT NULL AND w.reason_class IS NOT NULL AND NOT ({_REASON_OF_CLASS})
        """,  # noqa: S608 - closed lists of our own
    ),
    Check(
        "I10b",
        "an item that is not admitted has a reason of the list",
        "item",
        with_lists(
            """
            SELECT item_id FROM item
            WHERE state <> 'admitted' AND reason IS NULL OR reason NOT IN (<reasons>)
            """,
            reasons=ReasonCode,
        ),
    ),
    Check(
        "I10c",
        "a rejection has a reason of the list",
        "result",
        with_lists(
            """
            SELECT result_id FROM result WHERE outcome NOT IN (<outcomes>)
            OR (outcome = 'rejected') <> (reason IS NOT NULL) OR reason NOT IN (<reasons>)
            """,
            outcomes=ResultOutcome,
            reasons=ReasonCode,
        ),
    ),
    Check(
        "I10d",
        "what failed is shown in v_failures",
        "work",
        with_lists(
            """
            SELECT w.work_id FROM work w JOIN v_disposition d ON d.item_id = w.item_id
            LEFT JOIN v_failures f ON f.work_id = w.work_id
            WHERE w.state = 'quarantined' AND f.work_id IS NULL
            AND (d.work_id = w.work_id OR w.request <> 'new') AND d.disposition NOT IN (<hidden>)
            """,
            hidden=(Disposition.SUPERSEDED, Disposition.IGNORED, Disposition.VANISHED),
        ),
    ),
)
