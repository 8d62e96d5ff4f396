"""Figures without patients: strata and gates by day, bundles against each other."""

from collections.abc import Mapping

from ecgbatch.store.views_0004_risk import CHAMPION, NEWEST

_STRATA_DAILY = """
CREATE VIEW v_strata_daily AS
WITH {champion}
SELECT scored_on, bundle_digest, bundle_name, bundle_version, is_clinical, task, stratum,
  COUNT(*) AS n_ecgs, AVG(risk) AS mean_risk
FROM (
  SELECT {day} AS scored_on, c.bundle_digest, c.name AS bundle_name,
    c.version AS bundle_version, c.is_clinical, {task}
  FROM result k
  JOIN champion c ON c.bundle_digest = k.bundle_digest
  JOIN recording r ON r.recording_id = k.recording_id
  {tasks}
  WHERE k.outcome = 'scored' AND r.superseded_at IS NULL AND {newest}
) shown
GROUP BY scored_on, bundle_digest, bundle_name, bundle_version, is_clinical, task, stratum
"""

_TASK: Mapping[str, str] = {
    "sqlite": """t.task,
    CASE t.task WHEN 'any_vessel' THEN k.any_vessel_stratum ELSE s.stratum END AS stratum,
    CASE t.task WHEN 'any_vessel' THEN k.any_vessel_risk ELSE s.probability END AS risk""",
    "postgresql": "t.task, t.stratum, t.risk",
}
_TASKS: Mapping[str, str] = {
    "sqlite": """CROSS JOIN (
    SELECT 'RCA' AS task UNION ALL SELECT 'LM' UNION ALL SELECT 'LAD' UNION ALL SELECT 'LCX'
    UNION ALL SELECT 'any_vessel'
  ) t
  LEFT JOIN score s ON s.result_id = k.result_id AND s.task = t.task""",
    "postgresql": """CROSS JOIN LATERAL (
    SELECT s.task, s.stratum, s.probability AS risk FROM score s WHERE s.result_id = k.result_id
    UNION ALL SELECT 'any_vessel', k.any_vessel_stratum, k.any_vessel_risk
  ) t""",
}
"""The scores of a result and its any-vessel risk, by one look into the index of the scores."""

_GATE_RATES = """
CREATE VIEW v_gate_rates AS
WITH champion AS (
  SELECT DISTINCT bundle_digest FROM activation WHERE role = 'champion'
)
SELECT read_on, check_name, lead, reason, refuses, n_findings, n_results,
  CAST(n_findings AS double precision) / n_results AS share
FROM (
  SELECT read_on, check_name, lead, reason, refuses, COUNT(*) AS n_findings,
    CAST(SUM(CASE WHEN check_name IS NULL THEN COUNT(*) ELSE 0 END) OVER (PARTITION BY read_on)
      AS bigint) AS n_results
  FROM (
    SELECT {day} AS read_on, NULL AS check_name, NULL AS lead, NULL AS reason,
      {no_boolean} AS refuses
    FROM result k
    JOIN champion c ON c.bundle_digest = k.bundle_digest
    UNION ALL
    SELECT {day}, f.check_name, f.lead, f.reason, f.refuses
    FROM result k
    JOIN champion c ON c.bundle_digest = k.bundle_digest
    JOIN finding f ON f.recording_id = k.recording_id
      AND k.pipeline_id LIKE
        CAST(f.scoring_version AS text) || '-%-' || substr(f.settings_digest, 1, 16) || '-%'
  ) seen
  GROUP BY read_on, check_name, lead, reason, refuses
) counted
WHERE check_name IS NOT NULL
"""

_BUNDLE_COMPARISON = """
CREATE VIEW v_bundle_comparison AS
WITH pair AS (
  SELECT h.bundle_digest AS champion_digest, h.name AS champion_name,
    h.version AS champion_version, t.bundle_digest, t.name AS bundle_name,
    t.version AS bundle_version, t.is_clinical
  FROM activation a
  JOIN bundle h ON h.bundle_digest = a.bundle_digest
  JOIN bundle t ON t.bundle_digest <> h.bundle_digest
  WHERE a.role = 'champion' AND a.to_at IS NULL AND EXISTS (
    SELECT 1 FROM activation o WHERE o.bundle_digest = t.bundle_digest AND o.role = 'challenger'
  )
), both_scored AS (
  SELECT p.*, x.result_id AS champion_result, y.result_id AS challenger_result,
    x.any_vessel_risk AS risk_before, x.any_vessel_stratum AS stratum_before,
    y.any_vessel_risk AS risk_after, y.any_vessel_stratum AS stratum_after
  FROM pair p
  JOIN result x ON x.bundle_digest = p.champion_digest AND x.outcome = 'scored'
  JOIN result y ON y.bundle_digest = p.bundle_digest AND y.recording_id = x.recording_id
    AND y.outcome = 'scored'
  JOIN recording r ON r.recording_id = x.recording_id AND r.superseded_at IS NULL
  WHERE NOT EXISTS (
    SELECT 1 FROM result n
    WHERE n.recording_id = x.recording_id AND (
      n.bundle_digest = x.bundle_digest
        AND (n.created_at, n.result_id) > (x.created_at, x.result_id)
      OR n.bundle_digest = y.bundle_digest
        AND (n.created_at, n.result_id) > (y.created_at, y.result_id)
    )
  )
), compared AS (
  SELECT b.champion_digest, b.champion_name, b.champion_version, b.bundle_digest, b.bundle_name,
    b.bundle_version, b.is_clinical, s.task, t.probability - s.probability AS shift,
    {before} AS before, {after} AS after
  FROM both_scored b
  JOIN score s ON s.result_id = b.champion_result
  JOIN score t ON t.result_id = b.challenger_result AND t.task = s.task
  UNION ALL
  SELECT champion_digest, champion_name, champion_version, bundle_digest, bundle_name,
    bundle_version, is_clinical, 'any_vessel', risk_after - risk_before,
    {any_before}, {any_after}
  FROM both_scored
)
SELECT champion_digest, champion_name, champion_version, bundle_digest, bundle_name,
  bundle_version, is_clinical, task, COUNT(*) AS n_ecgs,
  COUNT(CASE WHEN after = before THEN 1 END) AS n_same_stratum,
  COUNT(CASE WHEN after > before THEN 1 END) AS n_up,
  COUNT(CASE WHEN after < before THEN 1 END) AS n_down,
  CAST(COUNT(CASE WHEN after = before THEN 1 END) AS double precision)
    / NULLIF(COUNT(after - before), 0) AS agreement,
  AVG(shift) AS mean_shift, AVG(ABS(shift)) AS mean_abs_shift
FROM compared
GROUP BY champion_digest, champion_name, champion_version, bundle_digest, bundle_name,
  bundle_version, is_clinical, task
"""

_RANK = "CASE {0} WHEN 'low' THEN 0 WHEN 'intermediate' THEN 1 WHEN 'high' THEN 2 END"

_BUNDLE_STRATUM = """
CREATE VIEW v_bundle_stratum AS
SELECT s.bundle_digest, b.name AS bundle_name, b.version AS bundle_version, b.is_clinical,
  s.task, s.stratum, s.cut_from, s.cut_to, s.share, s.npv, s.npv_from, s.npv_to,
  s.incidence, s.incidence_from, s.incidence_to, s.is_synthetic
FROM bundle_stratum s
JOIN bundle b ON b.bundle_digest = s.bundle_digest
"""

_DAY: Mapping[str, str] = {
    "sqlite": "substr(k.created_at, 1, 10)",
    "postgresql": "CAST(k.created_at AT TIME ZONE 'UTC' AS date)",
}
_NO_BOOLEAN: Mapping[str, str] = {"sqlite": "NULL", "postgresql": "CAST(NULL AS boolean)"}


def figures_0004(dialect: str) -> dict[str, str]:
    """v_strata_daily, v_gate_rates, v_bundle_comparison and v_bundle_stratum."""
    day = _DAY[dialect]
    strata = {
        "before": _RANK.format("s.stratum"),
        "after": _RANK.format("t.stratum"),
        "any_before": _RANK.format("stratum_before"),
        "any_after": _RANK.format("stratum_after"),
    }
    return {
        "v_strata_daily": _STRATA_DAILY.strip().format(
            champion=CHAMPION.strip(),
            newest=NEWEST.strip(),
            day=day,
            task=_TASK[dialect],
            tasks=_TASKS[dialect],
        ),
        "v_gate_rates": _GATE_RATES.strip().format(day=day, no_boolean=_NO_BOOLEAN[dialect]),
        "v_bundle_comparison": _BUNDLE_COMPARISON.strip().format(**strata),
        "v_bundle_stratum": _BUNDLE_STRATUM.strip(),
    }
