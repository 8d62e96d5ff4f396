"""The SQL of the views, in sets: a migration creates a set, and a set is never edited afterwards.

Columns and meaning are in docs/sql.md. Every view with a risk carries the bundle's name, version
and is_clinical.
"""

from collections.abc import Mapping

_DISPOSITION = """
CREATE VIEW v_disposition AS
SELECT i.item_id, i.source_id, i.locator, i.recording_id,
  CASE
    WHEN i.state = 'discovered' THEN 'waiting'
    WHEN i.state IN ('ignored', 'vanished') THEN i.state
    WHEN i.state = 'superseded' OR r.superseded_at IS NOT NULL THEN 'superseded'
    WHEN w.state IN ('ready', 'leased', 'retry_wait') THEN 'waiting'
    WHEN w.state = 'quarantined' AND w.reason_class = 'format' THEN 'unsupported'
    WHEN w.state = 'quarantined' THEN 'failed'
    ELSE w.state
  END AS disposition,
  CASE
    WHEN i.state <> 'admitted' THEN i.reason
    WHEN r.superseded_at IS NOT NULL THEN r.superseded_reason
    ELSE w.reason
  END AS reason,
  w.work_id, w.bundle_digest, w.request, w.stage, i.first_seen_at, i.last_seen_at, i.gone_at,
  i.acknowledged_at, i.acknowledged_by, i.acknowledged_why
FROM item i
LEFT JOIN recording r ON r.recording_id = i.recording_id
LEFT JOIN work w ON w.work_id = (
  SELECT c.work_id
  FROM work c
  LEFT JOIN (SELECT DISTINCT bundle_digest FROM activation WHERE role = 'champion') a
    ON a.bundle_digest = c.bundle_digest
  WHERE c.item_id = i.item_id
  ORDER BY
    CASE
      WHEN a.bundle_digest IS NULL THEN 2
      WHEN c.finished_at IS NULL OR c.state = 'quarantined' AND c.request <> 'new' THEN 1
      ELSE 0
    END,
    CASE WHEN c.state = 'quarantined' AND c.request <> 'new' THEN 1 ELSE 0 END,
    CASE WHEN c.finished_at IS NULL THEN 1 ELSE 0 END,
    c.finished_at DESC,
    c.work_id DESC
  LIMIT 1
)
"""

_FAILURES = """
CREATE VIEW v_failures AS
SELECT d.item_id, d.source_id, s.name AS source_name, d.locator, d.recording_id, d.work_id,
  d.request, d.disposition, d.reason, d.stage, d.first_seen_at, d.acknowledged_at,
  d.acknowledged_by, d.acknowledged_why
FROM v_disposition d
JOIN source s ON s.source_id = d.source_id
WHERE d.disposition IN ('failed', 'unsupported', 'vanished', 'rejected')
UNION ALL
SELECT i.item_id, i.source_id, s.name, i.locator, i.recording_id, w.work_id,
  w.request, CASE WHEN w.reason_class = 'format' THEN 'unsupported' ELSE 'failed' END, w.reason,
  w.stage, i.first_seen_at, i.acknowledged_at, i.acknowledged_by, i.acknowledged_why
FROM work w
JOIN item i ON i.item_id = w.item_id
JOIN source s ON s.source_id = i.source_id
JOIN v_disposition d ON d.item_id = i.item_id
WHERE w.state = 'quarantined' AND w.request <> 'new' AND d.work_id <> w.work_id
"""

_LATEST_RISK = """
CREATE VIEW v_latest_risk AS
WITH champion AS (
  SELECT bundle_digest, MAX(from_at) AS from_at,
    MAX(CASE WHEN to_at IS NULL THEN 1 ELSE 0 END) AS is_current
  FROM activation
  WHERE role = 'champion'
  GROUP BY bundle_digest
), ranked AS (
  SELECT t.result_id, t.recording_id, t.outcome, t.any_vessel_risk, t.any_vessel_stratum,
    t.outside_intended_use, t.created_at, b.name, b.version, b.is_clinical, c.is_current,
    ROW_NUMBER() OVER (
      PARTITION BY t.recording_id
      ORDER BY c.is_current DESC, c.from_at DESC, t.created_at DESC, t.result_id DESC
    ) AS place
  FROM result t
  JOIN champion c ON c.bundle_digest = t.bundle_digest
  JOIN bundle b ON b.bundle_digest = t.bundle_digest
  WHERE b.is_clinical = (
    SELECT p.is_clinical
    FROM bundle p
    JOIN champion o ON o.bundle_digest = p.bundle_digest
    WHERE o.is_current = 1
  )
)
SELECT r.recording_id, r.patient_key, r.accession, r.ecg_id,
  {ecg_date} AS ecg_date,
  CASE WHEN r.acquired_at IS NULL THEN 'first_seen_at' ELSE 'acquired_at' END AS ecg_date_source,
  r.device, r.site, r.age_years, r.sex, r.statement_normal, k.outside_intended_use,
  rca.probability AS risk_rca, lm.probability AS risk_lm,
  lad.probability AS risk_lad, lcx.probability AS risk_lcx,
  rca.stratum AS stratum_rca, lm.stratum AS stratum_lm,
  lad.stratum AS stratum_lad, lcx.stratum AS stratum_lcx,
  rca.near_cut AS near_cut_rca, lm.near_cut AS near_cut_lm,
  lad.near_cut AS near_cut_lad, lcx.near_cut AS near_cut_lcx,
  k.any_vessel_risk, k.any_vessel_stratum, k.created_at AS scored_at,
  k.name AS bundle_name, k.version AS bundle_version, k.is_clinical,
  {is_current} AS is_current_bundle
FROM ranked k
JOIN recording r ON r.recording_id = k.recording_id
JOIN score rca ON rca.result_id = k.result_id AND rca.task = 'RCA'
JOIN score lm ON lm.result_id = k.result_id AND lm.task = 'LM'
JOIN score lad ON lad.result_id = k.result_id AND lad.task = 'LAD'
JOIN score lcx ON lcx.result_id = k.result_id AND lcx.task = 'LCX'
WHERE k.place = 1 AND k.outcome = 'scored' AND r.superseded_at IS NULL
"""

_FIRST_SEEN = "(SELECT MIN(i.first_seen_at) FROM item i WHERE i.recording_id = r.recording_id)"

_RUN_HEALTH = """
CREATE VIEW v_run_health AS
SELECT n.run_id, n.kind, n.source_id, n.worker, n.started_at, n.ended_at,
  {duration_s} AS duration_s,
  n.exit_code, n.canary,
  (SELECT COUNT(*) FROM result t WHERE t.run_id = n.run_id) AS results_written,
  {counts}
FROM run n
"""

_COUNTED = ("scored", "rejected", "unsupported", "failed", "duplicate", "superseded", "waiting")

_ECG_DATE: Mapping[str, str] = {
    "sqlite": f"COALESCE(r.acquired_at, substr({_FIRST_SEEN}, 1, 26))",
    "postgresql": f"COALESCE(r.acquired_at, {_FIRST_SEEN} AT TIME ZONE 'UTC')",
}
_IS_CURRENT: Mapping[str, str] = {
    "sqlite": "k.is_current",
    "postgresql": "(k.is_current = 1)",
}
_DURATION_S: Mapping[str, str] = {
    "sqlite": "(julianday(n.ended_at) - julianday(n.started_at)) * 86400.0",
    "postgresql": "CAST(extract(epoch FROM (n.ended_at - n.started_at)) AS double precision)",
}
_COUNT: Mapping[str, str] = {
    "sqlite": "COALESCE(json_extract(n.counts, '$.{0}'), 0) AS {0}",
    "postgresql": "COALESCE(CAST(CAST(n.counts AS json) ->> '{0}' AS integer), 0) AS {0}",
}


def views_0001(dialect: str) -> dict[str, str]:
    """The first set, in order of creation: name to CREATE VIEW, for `sqlite` or `postgresql`."""
    counts = ",\n  ".join(_COUNT[dialect].format(name) for name in _COUNTED)
    return {
        "v_disposition": _DISPOSITION.strip(),
        "v_failures": _FAILURES.strip(),
        "v_latest_risk": _LATEST_RISK.strip().format(
            ecg_date=_ECG_DATE[dialect], is_current=_IS_CURRENT[dialect]
        ),
        "v_run_health": _RUN_HEALTH.strip().format(duration_s=_DURATION_S[dialect], counts=counts),
    }
