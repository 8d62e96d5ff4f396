"""The fourth set of views."""

from ecgbatch.store.views_0003 import views_0003


def views_0004(dialect: str) -> dict[str, str]:
    """In order of creation: name to CREATE VIEW, for `sqlite` or `postgresql`."""
    return views_0003(dialect)
