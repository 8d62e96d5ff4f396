"""The third set of views: a re-scoring that adds no result leaves its item as it was."""

from ecgbatch.store.views_0002 import views_0002

_BEFORE = "c.state = 'quarantined' AND c.request <> 'new'"
_AFTER = "c.state IN ('quarantined', 'duplicate') AND c.request <> 'new'"


def views_0003(dialect: str) -> dict[str, str]:
    """In order of creation: name to CREATE VIEW, for `sqlite` or `postgresql`."""
    views = views_0002(dialect)
    return {**views, "v_disposition": views["v_disposition"].replace(_BEFORE, _AFTER)}
