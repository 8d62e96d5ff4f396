"""Checks of recordings and results: once, of known bytes and bundles, with sound risks."""

from ecgbatch.store.checks_query import Check

ONCE = (
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

BYTES = (
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

RISKS = (
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

CURRENT = (
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
