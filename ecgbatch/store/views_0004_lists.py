"""Lists for people: who to look at, and all ECGs of a patient."""

from collections.abc import Mapping

from ecgbatch.store.views_0004_risk import CHAMPION, ECG_DATE, NEWEST

_WORKLIST = """
CREATE VIEW v_worklist AS
WITH {champion}
SELECT l.result_id, l.recording_id, l.patient_key, l.accession, l.ecg_id, l.ecg_date,
  l.ecg_date_source, l.device, l.site, l.age_years, l.sex, l.statement_normal,
  l.any_vessel_risk, l.any_vessel_stratum,
  COALESCE((
    SELECT substr(
      MAX(CASE WHEN s.task = 'RCA' THEN ', RCA' ELSE '' END)
      || MAX(CASE WHEN s.task = 'LM' THEN ', LM' ELSE '' END)
      || MAX(CASE WHEN s.task = 'LAD' THEN ', LAD' ELSE '' END)
      || MAX(CASE WHEN s.task = 'LCX' THEN ', LCX' ELSE '' END), 3)
    FROM score s
    WHERE s.result_id = l.result_id AND s.stratum = 'high' AND NOT s.is_experimental
  ), '') AS high_vessels,
  l.risk_rca, l.risk_lm, l.risk_lad, l.risk_lcx,
  l.stratum_rca, l.stratum_lm, l.stratum_lad, l.stratum_lcx,
  (
    SELECT COUNT(*) FROM score s
    WHERE s.result_id = l.result_id AND s.near_cut AND NOT s.is_experimental
  ) > 0 AS near_cut,
  {n_earlier} AS n_earlier, {earlier_strata} AS earlier_strata,
  l.scored_at, l.bundle_name, l.bundle_version, l.is_clinical, l.is_current_bundle, l.bundle_digest
FROM v_latest_risk l
{lateral}
WHERE l.any_vessel_stratum = 'high' AND COALESCE(l.outside_intended_use, FALSE) = FALSE
"""

_EARLIER = """
FROM recording r
    CROSS JOIN result k
    JOIN champion c ON c.bundle_digest = k.bundle_digest
    WHERE r.patient_key IN (
      SELECT l.patient_key
      UNION ALL SELECT p.patient_key FROM patient p WHERE p.current_key = l.patient_key
    ) AND k.recording_id = r.recording_id AND k.bundle_digest = l.bundle_digest
      AND k.outcome = 'scored' AND r.superseded_at IS NULL
      AND ({ecg_date}, r.recording_id) < (l.ecg_date, l.recording_id)
      AND {newest}
"""
"""Of v_latest_risk what is earlier by the same patient and bundle, without the joins to scores.

CROSS and the plus of ORDER BY: SQLite begins with the patient's recordings, not with all results or
all dates, as it may after ANALYZE.
"""

_N_EARLIER: Mapping[str, str] = {
    "sqlite": "CASE WHEN l.patient_key IS NOT NULL THEN (SELECT COUNT(*) {earlier}) END",
    "postgresql": "CASE WHEN l.patient_key IS NOT NULL THEN e.number END",
}
_EARLIER_STRATA: Mapping[str, str] = {
    "sqlite": """CASE WHEN l.patient_key IS NOT NULL THEN COALESCE((
    SELECT group_concat(e.said, '; ')
    FROM (
      SELECT substr({ecg_date}, 1, 10) || ' ' || k.any_vessel_stratum AS said
      {earlier}
      ORDER BY +{ecg_date}, r.recording_id
    ) e
  ), '') END""",
    "postgresql": "CASE WHEN l.patient_key IS NOT NULL THEN COALESCE(e.strata, '') END",
}
_LATERAL: Mapping[str, str] = {
    "sqlite": "",
    "postgresql": """LEFT JOIN LATERAL (
    SELECT COUNT(*) AS number,
      string_agg(to_char({ecg_date}, 'YYYY-MM-DD') || ' ' || k.any_vessel_stratum, '; '
        ORDER BY {ecg_date}, r.recording_id) AS strata
    {earlier}
  ) e ON TRUE""",
}
"""Both columns from one look; SQLite cannot join what refers to another table."""

_PATIENT_HISTORY = """
CREATE VIEW v_patient_history AS
SELECT l.patient_key,
  ROW_NUMBER() OVER (PARTITION BY l.patient_key ORDER BY l.ecg_date, l.recording_id) AS ecg_number,
  COUNT(*) OVER (PARTITION BY l.patient_key) AS n_ecgs,
  l.recording_id, l.result_id, l.ecg_id, l.accession, l.ecg_date, l.ecg_date_source, l.device,
  l.site, l.age_years, l.sex, l.statement_normal, l.outside_intended_use,
  l.any_vessel_risk, l.any_vessel_stratum,
  l.stratum_rca, l.stratum_lm, l.stratum_lad, l.stratum_lcx,
  l.risk_rca, l.risk_lm, l.risk_lad, l.risk_lcx,
  l.scored_at, l.bundle_name, l.bundle_version, l.is_clinical, l.bundle_digest
FROM v_latest_risk l
WHERE l.patient_key IS NOT NULL
"""


def lists_0004(dialect: str) -> dict[str, str]:
    """v_worklist and v_patient_history."""
    ecg_date = ECG_DATE[dialect]
    earlier = _EARLIER.strip().format(ecg_date=ecg_date, newest=NEWEST.strip())
    n_earlier, strata, lateral = (
        one[dialect].format(ecg_date=ecg_date, earlier=earlier)
        for one in (_N_EARLIER, _EARLIER_STRATA, _LATERAL)
    )
    worklist = _WORKLIST.strip().format(
        champion=CHAMPION.strip(), n_earlier=n_earlier, earlier_strata=strata, lateral=lateral
    )
    return {"v_worklist": worklist, "v_patient_history": _PATIENT_HISTORY.strip()}
