"""Whether two ways of scoring give the same numbers: a CSV file against rows of the database."""

import csv
from pathlib import Path

from sqlalchemy import select

from ecgbatch.store.engine import open_engine
from ecgbatch.store.tables import item, result, score
from ecgbatch.terms import Vessel


def largest_difference(url: str, table: Path) -> float:
    """Between the probabilities of the published way and ours.

    Args:
        url: of our database.
        table: of the published way: a file's name, then one probability for each vessel, in order.

    Raises:
        RuntimeError: an ECG of the table has no row.
    """
    with table.open(encoding="utf-8", newline="") as opened:
        theirs = {row[0]: list(map(float, row[1:])) for row in csv.reader(opened)}
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            rows = connection.execute(
                select(item.c.locator, score.c.task, score.c.probability_raw)
                .join(result, result.c.recording_id == item.c.recording_id)
                .join(score, score.c.result_id == result.c.result_id)
            ).all()
    finally:
        engine.dispose()
    places = {vessel.value: place for place, vessel in enumerate(Vessel)}
    differences = [
        abs(theirs[name][places[task]] - probability)
        for locator, task, probability in rows
        if (name := locator.rpartition("/")[2]) in theirs
    ]
    if len(differences) != len(theirs) * len(Vessel):
        raise RuntimeError("an ECG of the published way has no row")
    return float(max(differences))
