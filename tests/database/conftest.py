"""The small hospital, on both databases."""

import pytest
from sqlalchemy import Connection

from tests.support.ledger import Site, site


@pytest.fixture
def inbox(connection: Connection) -> Site:
    return site(connection)
