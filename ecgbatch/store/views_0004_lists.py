"""Lists for people: who to look at, and all ECGs of a patient."""

from collections.abc import Mapping

_WORKLIST = """
CREATE VIEW v_worklist AS
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
  l.near_cut_rca OR l.near_cut_lm OR l.near_cut_lad OR l.near_cut_lcx AS near_cut,
  CASE WHEN l.patient_key IS NOT NULL THEN (
    SELECT COUNT(*) FROM v_latest_risk e WHERE {is_earlier}
  ) END AS n_earlier,
  CASE WHEN l.patient_key IS NOT NULL THEN COALESCE({earlier_strata}, '') END AS earlier_strata,
  l.scored_at, l.bundle_name, l.bundle_version, l.is_clinical, l.is_current_bundle, l.bundle_digest
FROM v_latest_risk l
WHERE l.any_vessel_stratum = 'high' AND COALESCE(l.outside_intended_use, FALSE) = FALSE
"""

_IS_EARLIER = """
e.patient_key = l.patient_key AND e.bundle_digest = l.bundle_digest
      AND (e.ecg_date, e.recording_id) < (l.ecg_date, l.recording_id)
"""

_EARLIER_STRATA: Mapping[str, str] = {
    "sqlite": """(
    SELECT group_concat(o.said, '; ')
    FROM (
      SELECT substr(e.ecg_date, 1, 10) || ' ' || e.any_vessel_stratum AS said
      FROM v_latest_risk e
      WHERE {is_earlier}
      ORDER BY e.ecg_date, e.recording_id
    ) o
  )""",
    "postgresql": """(
    SELECT string_agg(to_char(e.ecg_date, 'YYYY-MM-DD') || ' ' || e.any_vessel_stratum, '; '
      ORDER BY e.ecg_date, e.recording_id)
    FROM v_latest_risk e
    WHERE {is_earlier}
  )""",
}

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
    is_earlier = _IS_EARLIER.strip()
    worklist = _WORKLIST.strip().format(
        is_earlier=is_earlier, earlier_strata=_EARLIER_STRATA[dialect].format(is_earlier=is_earlier)
    )
    return {"v_worklist": worklist, "v_patient_history": _PATIENT_HISTORY.strip()}
