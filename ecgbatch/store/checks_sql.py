"""The queries of `ledger check`: each returns the numbers of the rows that break a promise.

They run as they stand on both databases. None may rely on the constraint or the index that
guards what it checks: an expression such as `recording_id + 0` keeps an index out of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ecgbatch.reasons import REASONS
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


@dataclass(frozen=True, slots=True)
class Check:
    """One query: its id (`I3` of the invariants, then a letter), what holds, and of which rows."""

    id: str
    title: str
    rows: str
    sql: str


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)


def _with(sql: str, **lists: Iterable[str]) -> str:
    """Put closed lists of words into a query; nothing from outside comes here."""
    for name, words in lists.items():
        sql = sql.replace(f"<{name}>", _listed(words))
    return sql


_REASON_OF_CLASS = " OR ".join(
    f"w.reason_class = '{kind}' AND w.reason IN"
    f" ({_listed(code for code in ReasonCode if REASONS[code].reason_class is kind)})"
    for kind in ReasonClass
)

_ITEMS = (
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
        _with("SELECT item_id FROM item WHERE state NOT IN (<states>)", states=ItemState),
    ),
    Check(
        "I1c",
        "the state of work is one of the list",
        "work",
        _with("SELECT work_id FROM work WHERE state NOT IN (<states>)", states=WorkState),
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

_ONCE = (
    Check(
        "I2a",
        "one result per recording, bundle and pipeline",
        "result",
        """
        SELECT MIN(result_id) FROM result
        GROUP BY recording_id + 0, bundle_digest || '', pipeline_id || '' HAVING COUNT(*) > 1
        """,
    ),
    Check(
        "I2b",
        "one recording per content",
        "recording",
        """
        SELECT MIN(recording_id) FROM recording GROUP BY file_digest || '' HAVING COUNT(*) > 1
        """,
    ),
    Check(
        "I2c",
        "one work per item, bundle and request",
        "work",
        """
        SELECT MIN(work_id) FROM work
        GROUP BY item_id + 0, bundle_digest || '', request || '' HAVING COUNT(*) > 1
        """,
    ),
)

_CONSISTENT = (
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
        _with(
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
        _with(
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

_LEASES = (
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
        _with(
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

_BYTES = (
    Check(
        "I8a",
        "a recording's digest is one",
        "recording",
        "SELECT recording_id FROM recording WHERE file_digest IS NULL OR length(file_digest) <> 64",
    ),
    Check(
        "I8b",
        "an item that was read through has its recording",
        "work",
        """
        SELECT w.work_id FROM work w JOIN item i ON i.item_id = w.item_id
        LEFT JOIN recording c ON c.recording_id = i.recording_id
        WHERE w.state IN ('scored', 'rejected', 'duplicate') AND c.recording_id IS NULL
        """,
    ),
    Check(
        "I9",
        "a result's bundle was active when its work was claimed",
        "result",
        """
        SELECT r.result_id FROM result r LEFT JOIN work w ON w.work_id = r.work_id
        WHERE NOT EXISTS (
          SELECT 1 FROM activation a
          WHERE a.bundle_digest = r.bundle_digest AND a.from_at <= r.created_at
          AND (a.to_at IS NULL OR a.to_at >= r.created_at OR a.to_at >= w.leased_at))
        """,
    ),
)

_VISIBLE = (
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
        _with(
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
        _with(
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
        _with(
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

_RISKS = (
    Check(
        "I11a",
        "risks are finite and between 0 and 1",
        "result",
        """
        SELECT result_id FROM score
        WHERE CASE WHEN probability >= 0 AND probability <= 1 AND probability_raw >= 0
          AND probability_raw <= 1 AND logit > -1e300 AND logit < 1e300 THEN 0 ELSE 1 END = 1
        UNION ALL
        SELECT result_id FROM result
        WHERE CASE WHEN outcome = 'scored'
          THEN CASE WHEN any_vessel_risk >= 0 AND any_vessel_risk <= 1 THEN 0 ELSE 1 END
          ELSE CASE WHEN any_vessel_risk IS NULL THEN 0 ELSE 1 END END = 1
        """,
    ),
    Check(
        "I11b",
        "a stratum follows from its risk and the bundle's cuts",
        "result",
        """
        SELECT s.result_id FROM score s JOIN result r ON r.result_id = s.result_id
        LEFT JOIN bundle_stratum b ON b.bundle_digest = r.bundle_digest AND b.task = s.task
          AND b.stratum = s.stratum
        WHERE s.stratum IS NULL AND NOT s.is_experimental
        OR s.stratum IS NOT NULL AND CASE WHEN s.probability >= b.cut_from
          AND (s.probability < b.cut_to OR b.cut_to = 1 AND s.probability <= 1)
          THEN 0 ELSE 1 END = 1
        """,
    ),
    Check(
        "I11c",
        "any vessel is the maximum over the tasks that are not experimental",
        "result",
        """
        SELECT r.result_id FROM result r WHERE r.outcome = 'scored' AND CASE
          WHEN r.any_vessel_risk = (SELECT MAX(s.probability) FROM score s
            WHERE s.result_id = r.result_id AND NOT s.is_experimental) THEN 0 ELSE 1 END = 1
        """,
    ),
    Check(
        "I11d",
        "any vessel's stratum follows from its risk and its own cuts",
        "result",
        """
        SELECT r.result_id FROM result r LEFT JOIN bundle_stratum b
          ON b.bundle_digest = r.bundle_digest AND b.task = 'any_vessel'
          AND b.stratum = r.any_vessel_stratum
        WHERE r.outcome = 'scored' AND CASE WHEN r.any_vessel_risk >= b.cut_from
          AND (r.any_vessel_risk < b.cut_to OR b.cut_to = 1 AND r.any_vessel_risk <= 1)
          THEN 0 ELSE 1 END = 1
        """,
    ),
)

_CURRENT = (
    Check(
        "C1",
        "a recording is superseded exactly while its span is open",
        "recording",
        """
        SELECT c.recording_id FROM recording c
        LEFT JOIN supersession s ON s.recording_id = c.recording_id AND s.to_at IS NULL
        WHERE (c.superseded_at IS NULL) <> (s.supersession_id IS NULL)
        OR s.superseded_by <> c.superseded_by OR s.reason <> c.superseded_reason
        OR s.from_at <> c.superseded_at
        """,
    ),
    Check(
        "C2",
        "at most one bundle is champion",
        "activation",
        """
        SELECT activation_id FROM activation WHERE role = 'champion' AND to_at IS NULL
        AND 1 < (SELECT COUNT(*) FROM activation WHERE role = 'champion' AND to_at IS NULL)
        """,
    ),
)

CHECKS = (
    *_ITEMS,
    *_ONCE,
    *_CONSISTENT,
    *_LEASES,
    *_BYTES,
    *_VISIBLE,
    *_RISKS,
    *_CURRENT,
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
