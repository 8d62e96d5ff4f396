"""The fourth set of views: one for each question, and what was shown at any moment."""

from ecgbatch.store.views_0003 import views_0003
from ecgbatch.store.views_0004_figures import figures_0004
from ecgbatch.store.views_0004_lists import lists_0004
from ecgbatch.store.views_0004_risk import risk_0004


def views_0004(dialect: str) -> dict[str, str]:
    """In order of creation: name to CREATE VIEW, for `sqlite` or `postgresql`."""
    return {
        **views_0003(dialect),
        **risk_0004(dialect),
        **lists_0004(dialect),
        **figures_0004(dialect),
    }
