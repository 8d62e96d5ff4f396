"""What v_latest_risk showed in the hospital of the recipes, v_as_of says afterwards."""

from datetime import datetime

from sqlalchemy import Connection, column, select, table

from ecgbatch.store.columns import UtcTime
from tests.support.seeded_hospital import seed

LATEST = table("v_latest_risk", column("result_id"), column("is_current_bundle"))
AS_OF = table(
    "v_as_of",
    *(column("result_id"), column("is_current_bundle")),
    *(column("valid_from", UtcTime), column("valid_to", UtcTime)),
)


def test_as_of_says_what_was_shown_in_every_minute(connection: Connection) -> None:
    shown: dict[datetime, set[tuple[object, ...]]] = {}

    def write_down(moment: datetime) -> None:
        shown[moment] = {tuple(row) for row in connection.execute(select(LATEST))}

    seed(connection, write_down)

    spans = connection.execute(select(AS_OF)).all()
    for moment, then in shown.items():
        told = [
            (span.result_id, span.is_current_bundle)
            for span in spans
            if span.valid_from <= moment and (span.valid_to is None or span.valid_to > moment)
        ]
        assert sorted(told) == sorted(then), moment
    assert len({frozenset(then) for then in shown.values()}) > 20
