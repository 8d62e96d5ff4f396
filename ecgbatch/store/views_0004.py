"""The fourth set of views: one for each question, and what was shown at any moment."""

from ecgbatch.store.views_0003 import views_0003
from ecgbatch.store.views_0004_figures import figures_0004
from ecgbatch.store.views_0004_lists import lists_0004
from ecgbatch.store.views_0004_risk import risk_0004

_EVER_CHAMPION = """
  LEFT JOIN (SELECT DISTINCT bundle_digest FROM activation WHERE role = 'champion') a
    ON a.bundle_digest = c.bundle_digest
"""
_REIGNED_UNTIL = """
  LEFT JOIN (
    SELECT bundle_digest, CASE WHEN COUNT(*) = COUNT(to_at) THEN MAX(to_at) END AS to_at
    FROM activation WHERE role = 'champion' GROUP BY bundle_digest
  ) a ON a.bundle_digest = c.bundle_digest
"""
_NEVER = "WHEN a.bundle_digest IS NULL THEN 2"
_BESIDE = """WHEN a.bundle_digest IS NULL THEN 2
      WHEN COALESCE(c.finished_at, a.to_at) >= a.to_at THEN 2"""
"""What a former champion has done since as a challenger shows no more than any challenger's."""


def views_0004(dialect: str) -> dict[str, str]:
    """In order of creation: name to CREATE VIEW, for `sqlite` or `postgresql`."""
    before = views_0003(dialect)
    disposition = before["v_disposition"].replace(_EVER_CHAMPION, _REIGNED_UNTIL)
    return {
        **before,
        "v_disposition": disposition.replace(_NEVER, _BESIDE),
        **risk_0004(dialect),
        **lists_0004(dialect),
        **figures_0004(dialect),
    }
