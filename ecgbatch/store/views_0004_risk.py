"""The risk of each ECG, as it is shown now and as it was shown at any moment.

Both are two halves: patients that were merged, and all others. Joined in one, a patient's key could
not be looked up by its index.
"""

from collections.abc import Mapping

_COLUMNS = """
r.recording_id, {patient_key} AS patient_key, r.accession, r.ecg_id,
  {ecg_date} AS ecg_date,
  CASE WHEN r.acquired_at IS NULL THEN 'first_seen_at' ELSE 'acquired_at' END AS ecg_date_source,
  r.device, r.site, r.age_years, r.sex, r.statement_normal, k.outside_intended_use,
  {of_scores},
  k.any_vessel_risk, k.any_vessel_stratum, k.created_at AS scored_at,
  c.name AS bundle_name, c.version AS bundle_version, c.is_clinical,
  {is_current} AS is_current_bundle,
  k.result_id, c.bundle_digest
"""

_VESSELS = ("rca", "lm", "lad", "lcx")
_OF_SCORES = (
    ("risk", "probability", "MAX"),
    ("stratum", "stratum", "MAX"),
    ("near_cut", "near_cut", "BOOL_OR"),
)
"""A view's columns without `_rca` and so on, the table's, and what picks one of the four scores."""

_LATERAL = """
LEFT JOIN LATERAL (
  SELECT {columns}
  FROM score v
  WHERE v.result_id = k.result_id
) v ON TRUE
"""
"""The four scores of a result by one look into their index; four joins take longer to plan than to
run. Outer, so that no score is read where no risk is asked for.
"""

_MERGED = "JOIN patient p ON p.patient_key = r.patient_key"
_NOT_MERGED = "NOT EXISTS (SELECT 1 FROM patient p WHERE p.patient_key = r.patient_key)"

CHAMPION = """
champion AS (
  SELECT b.bundle_digest, b.name, b.version, b.is_clinical,
    MAX(CASE WHEN a.to_at IS NULL THEN 1 ELSE 0 END) AS is_current,
    ROW_NUMBER() OVER (
      ORDER BY MAX(CASE WHEN a.to_at IS NULL THEN 1 ELSE 0 END) DESC, MAX(a.from_at) DESC,
        MAX(a.activation_id) DESC
    ) AS place
  FROM activation a
  JOIN bundle b ON b.bundle_digest = a.bundle_digest
  WHERE a.role = 'champion' AND b.is_clinical = (
    SELECT p.is_clinical
    FROM activation o
    JOIN bundle p ON p.bundle_digest = o.bundle_digest
    WHERE o.role = 'champion' AND o.to_at IS NULL
  )
  GROUP BY b.bundle_digest, b.name, b.version, b.is_clinical
)
"""
"""The bundles whose results may be shown: the champion is in place 1, the one before it in 2."""

NEWEST = """
NOT EXISTS (
  SELECT 1
  FROM result n
  JOIN champion o ON o.bundle_digest = n.bundle_digest
  WHERE n.recording_id = k.recording_id AND (
    o.place < c.place
    OR o.place = c.place AND (n.created_at, n.result_id) > (k.created_at, k.result_id)
  )
  LIMIT 1 OFFSET 0
)
"""
"""No result of the recording, of either outcome, comes before result k of bundle c.

OFFSET keeps PostgreSQL from making a join of it, for which it would read the results of all days.
"""

_LATEST_HALF = """
SELECT {columns}
FROM result k
JOIN champion c ON c.bundle_digest = k.bundle_digest
JOIN recording r ON r.recording_id = k.recording_id
{merged}
{scores}
WHERE k.outcome = 'scored' AND r.superseded_at IS NULL AND {newest}
"""

_SPANS = """
reign AS (
  SELECT a.activation_id, a.bundle_digest, b.name, b.version, b.is_clinical, a.from_at,
    COALESCE(LEAD(a.from_at) OVER (ORDER BY a.from_at, a.activation_id), a.to_at) AS to_at,
    ROW_NUMBER() OVER (ORDER BY a.from_at, a.activation_id) AS number
  FROM activation a
  JOIN bundle b ON b.bundle_digest = a.bundle_digest
  WHERE a.role = 'champion'
), champion AS (
  SELECT g.number, g.from_at, g.to_at, e.bundle_digest, e.name, e.version, e.is_clinical,
    CASE WHEN e.bundle_digest = g.bundle_digest THEN 1 ELSE 0 END AS is_current,
    g.number - MAX(e.number) AS place
  FROM reign g
  JOIN reign e ON e.number <= g.number AND e.is_clinical = g.is_clinical
  GROUP BY g.number, g.from_at, g.to_at, g.bundle_digest,
    e.bundle_digest, e.name, e.version, e.is_clinical
), part AS (
  SELECT 0 AS is_return UNION ALL SELECT 1
)
"""
"""Each reign of a champion and the bundles whose results it showed; the champion is in place 0.

One reign ends where the next begins.
"""

_AS_OF_HALF = """
SELECT {columns},
  {greatest}(k.created_at, c.from_at, COALESCE(s.to_at, k.created_at)) AS valid_from,
  {least}(
    COALESCE(c.to_at, {never}),
    COALESCE((
      SELECT MIN(n.created_at)
      FROM result n
      JOIN champion o ON o.bundle_digest = n.bundle_digest AND o.number = c.number
      WHERE n.recording_id = k.recording_id AND (
        o.place < c.place
        OR o.place = c.place AND (n.created_at, n.result_id) > (k.created_at, k.result_id)
      )
    ), {never}),
    COALESCE((
      SELECT MIN(n.from_at)
      FROM supersession n
      WHERE n.recording_id = k.recording_id
        AND n.supersession_id > COALESCE(s.supersession_id, 0)
    ), {never})
  ) AS until
FROM result k
JOIN champion c ON c.bundle_digest = k.bundle_digest
JOIN recording r ON r.recording_id = k.recording_id
{merged}
CROSS JOIN part
LEFT JOIN supersession s
  ON part.is_return = 1 AND s.recording_id = k.recording_id AND s.to_at IS NOT NULL
{scores}
WHERE k.outcome = 'scored' AND (part.is_return = 0 OR s.to_at IS NOT NULL){and_not_merged}
"""

_SHOWN = (
    *("recording_id", "patient_key", "accession", "ecg_id", "ecg_date", "ecg_date_source"),
    *("device", "site", "age_years", "sex", "statement_normal", "outside_intended_use"),
    *("risk_rca", "risk_lm", "risk_lad", "risk_lcx"),
    *("stratum_rca", "stratum_lm", "stratum_lad", "stratum_lcx"),
    *("near_cut_rca", "near_cut_lm", "near_cut_lad", "near_cut_lcx"),
    *("any_vessel_risk", "any_vessel_stratum", "scored_at"),
    *("bundle_name", "bundle_version", "is_clinical", "is_current_bundle"),
    *("result_id", "bundle_digest"),
)

ECG_DATE: Mapping[str, str] = {
    "sqlite": "COALESCE(r.acquired_at, substr(r.first_seen_at, 1, 26))",
    "postgresql": "COALESCE(r.acquired_at, r.first_seen_at AT TIME ZONE 'UTC')",
}
_WORDS: Mapping[str, Mapping[str, str]] = {
    "sqlite": {
        "is_current": "c.is_current",
        "greatest": "MAX",
        "least": "MIN",
        "never": "'9999-12-31T23:59:59.999999Z'",
    },
    "postgresql": {
        "is_current": "(c.is_current = 1)",
        "greatest": "GREATEST",
        "least": "LEAST",
        "never": "CAST('infinity' AS timestamptz)",
    },
}


def risk_0004(dialect: str) -> dict[str, str]:
    """v_latest_risk and v_as_of."""
    return {"v_latest_risk": _latest_risk(dialect), "v_as_of": _as_of(dialect)}


def _latest_risk(dialect: str) -> str:
    halves = " UNION ALL\n".join(
        _LATEST_HALF.strip().format(
            columns=_columns(dialect, is_merged=is_merged),
            merged=_MERGED if is_merged else "",
            scores=_scores(dialect),
            newest=NEWEST.strip() if is_merged else f"{NEWEST.strip()} AND {_NOT_MERGED}",
        )
        for is_merged in (False, True)
    )
    # Around the halves: PostgreSQL leaves out what is not asked for, and its joins, of a query with
    # a FROM, not of a bare UNION.
    return (
        f"CREATE VIEW v_latest_risk AS\nWITH {CHAMPION.strip()}\n"
        f"SELECT {', '.join(_SHOWN)}\nFROM (\n{halves}\n) latest"
    )


def _as_of(dialect: str) -> str:
    words = _WORDS[dialect]
    halves = " UNION ALL\n".join(
        _AS_OF_HALF.strip().format(
            columns=_columns(dialect, is_merged=is_merged),
            merged=_MERGED if is_merged else "",
            scores=_scores(dialect),
            and_not_merged="" if is_merged else f" AND {_NOT_MERGED}",
            **words,
        )
        for is_merged in (False, True)
    )
    return (
        f"CREATE VIEW v_as_of AS\nWITH {_SPANS.strip()}\n"
        f"SELECT {', '.join(_SHOWN)}, valid_from, NULLIF(until, {words['never']}) AS valid_to\n"
        f"FROM (\n{halves}\n) spans\nWHERE valid_from < until"
    )


def _columns(dialect: str, *, is_merged: bool) -> str:
    patient_key = "p.current_key" if is_merged else "r.patient_key"
    return _COLUMNS.strip().format(
        patient_key=patient_key,
        ecg_date=ECG_DATE[dialect],
        of_scores=_of_scores(dialect),
        **_WORDS[dialect],
    )


def _of_scores(dialect: str) -> str:
    return ", ".join(
        f"{vessel}.{column} AS {name}_{vessel}" if dialect == "sqlite" else f"v.{name}_{vessel}"
        for name, column, _ in _OF_SCORES
        for vessel in _VESSELS
    )


def _scores(dialect: str) -> str:
    if dialect == "sqlite":
        return "\n".join(
            f"LEFT JOIN score {vessel}"
            f" ON {vessel}.result_id = k.result_id AND {vessel}.task = '{vessel.upper()}'"
            for vessel in _VESSELS
        )
    columns = ",\n    ".join(
        f"{only}({column}) FILTER (WHERE task = '{vessel.upper()}') AS {name}_{vessel}"
        for name, column, only in _OF_SCORES
        for vessel in _VESSELS
    )
    return _LATERAL.strip().format(columns=columns)
