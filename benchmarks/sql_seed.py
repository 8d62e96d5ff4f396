"""A ledger of many results, written at once: two champions one after the other, merged patients."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import Connection

FIRST_DAY = datetime(2023, 1, 1, tzinfo=UTC)
N_DAYS = 1000
_CHAMPIONS = (("a" * 64, 0, 400), ("b" * 64, 400, None))
"""Digest, and first and last day of the reign; a reign has scored its last 90 days again."""
_SCORED_AGAIN = 90
_CHALLENGED = "c" * 64
"""A challenger of the last 30 days."""
_CHALLENGER_DAYS = 30
_SHARE = {"low": 0.5, "intermediate": 0.35, "high": 0.15}

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was written: patients to ask for, and how many scores."""

    patients: tuple[str, ...]
    merged: tuple[str, ...]
    n_scores: int


def fill(connection: Connection, n_results: int) -> Ledger:
    """Write about `n_results` scored results with all that they refer to, and a few rejected.

    Of the ECGs one in 50 has no date, one in 20 no patient, one in 33 is superseded, one in 50 was
    rejected. A patient has three on average; one in 100 was merged into another.
    """
    days = N_DAYS + _SCORED_AGAIN + _CHALLENGER_DAYS
    n_recordings = round(n_results / 0.98 * N_DAYS / days)
    random = Random(1)  # noqa: S311
    keys = [f"{random.getrandbits(256):064x}" for _ in range(n_recordings // 3)]
    merged = dict(zip(keys[::100], keys[1::100], strict=False))
    if connection.dialect.name == "postgresql":
        # No look-up of a foreign key for each of a million rows.
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
    _write_places(connection)
    write(connection, "recording", _recordings(random, n_recordings, keys))
    write(connection, "item", _items(n_recordings))
    write(connection, "supersession", _supersessions(n_recordings))
    write(connection, "patient", (_patient(key, into) for key, into in merged.items()))
    write(connection, "result", _results(random, n_recordings))
    write(connection, "finding", _findings(random, n_recordings))
    connection.exec_driver_sql(_SCORES)
    n_scores: int = connection.exec_driver_sql("SELECT COUNT(*) FROM score").scalar_one()
    return Ledger(tuple(keys), tuple(merged.values()), n_scores)


_SCORES = """
INSERT INTO score
SELECT result_id, task, any_vessel_risk, any_vessel_risk, 0.0,
  CASE WHEN task <> 'LM' THEN any_vessel_stratum END, FALSE, task = 'LM'
FROM result
CROSS JOIN (
  SELECT 'RCA' AS task UNION ALL SELECT 'LM' UNION ALL SELECT 'LAD' UNION ALL SELECT 'LCX'
) tasks
WHERE outcome = 'scored'
ORDER BY result_id
"""


def write(connection: Connection, table: str, rows: Iterable[Row]) -> None:
    """By COPY on PostgreSQL; all rows have the same columns."""
    ahead = iter(rows)
    first = next(ahead)
    columns = ", ".join(first)
    raw: Any = connection.connection.driver_connection
    values = (tuple(row.values()) for row in (_chain(first, ahead)))
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(first))
        raw.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", values)  # noqa: S608
        return
    with raw.cursor().copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
        for row in values:
            copy.write_row(row)


def _chain(first: Row, rest: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rest


def utc(day: float) -> str:
    """A moment so many days after the first, as the tables have it on both databases."""
    return f"{FIRST_DAY + timedelta(days=day):%Y-%m-%dT%H:%M:%S.%fZ}"


def _write_places(connection: Connection) -> None:
    bundles = [(digest, True) for digest, *_ in _CHAMPIONS] + [(_CHALLENGED, True)]
    write(
        connection,
        "bundle",
        (
            {"bundle_digest": digest, "name": digest[:1], "version": "1", "is_clinical": clinical}
            for digest, clinical in bundles
        ),
    )
    reigns = [("champion", *reign) for reign in _CHAMPIONS]
    reigns.append(("challenger", _CHALLENGED, N_DAYS - _CHALLENGER_DAYS, None))
    write(
        connection,
        "activation",
        (
            {
                "bundle_digest": digest,
                "role": role,
                "from_at": utc(start),
                "to_at": None if end is None else utc(end),
                "by": "operator",
                "why": "benchmark",
            }
            for role, digest, start, end in reigns
        ),
    )
    place = {"source_id": 1, "name": "s", "kind": "folder", "root": "/", "authority": ""}
    write(connection, "source", [place])
    write(connection, "run", [{"run_id": 1, "kind": "work", "worker": "w", "started_at": utc(0)}])


def _day(number: int, n_recordings: int) -> float:
    return number * N_DAYS / (n_recordings + 1)


def _is_superseded(number: int) -> bool:
    return number % 33 == 0


def _recordings(random: Random, n_recordings: int, keys: list[str]) -> Iterator[Row]:
    for number in range(1, n_recordings + 1):
        day = _day(number, n_recordings)
        is_gone = _is_superseded(number)
        yield {
            "recording_id": number,
            "file_digest": f"{random.getrandbits(256):064x}",
            "signal_digest": f"{random.getrandbits(256):064x}",
            "acquisition_key": f"{random.getrandbits(256):064x}",
            "patient_key": None if number % 20 == 0 else random.choice(keys),
            "first_seen_at": utc(day),
            "acquired_at": None if number % 50 == 0 else utc(day)[:19],
            "age_years": random.randint(18, 95),
            "sex": random.choice("FM"),
            "device": f"cart {number % 40}",
            "site": f"ward {number % 12}",
            "ecg_id": f"{number:012}",
            "statement_normal": random.choice((True, False, None)),
            "format": "muse",
            "sampling_frequency": 500.0,
            "n_samples": 5000,
            "superseded_by": 1 if is_gone else None,
            "superseded_at": utc(day + 1) if is_gone else None,
            "superseded_reason": "same_acquisition" if is_gone else None,
        }


def _items(n_recordings: int) -> Iterator[Row]:
    for number in range(1, n_recordings + 1):
        seen = utc(_day(number, n_recordings))
        yield {
            "source_id": 1,
            "locator": f"{number // 1000}/{number}.xml",
            "fingerprint": f"{number}",
            "state": "admitted",
            "recording_id": number,
            "first_seen_at": seen,
            "changed_at": seen,
            "last_seen_at": seen,
        }


def _supersessions(n_recordings: int) -> Iterator[Row]:
    for number in filter(_is_superseded, range(1, n_recordings + 1)):
        yield {
            "recording_id": number,
            "superseded_by": 1,
            "reason": "same_acquisition",
            "from_at": utc(_day(number, n_recordings) + 1),
        }


def _patient(key: str, into: str) -> Row:
    return {"patient_key": key, "current_key": into, "merged_into": into, "is_merged": True}


def _readings(number: int, n_recordings: int) -> Iterator[tuple[str, float]]:
    """Bundle and day of each result of an ECG."""
    day = _day(number, n_recordings)
    for digest, start, end in _CHAMPIONS:
        if start - _SCORED_AGAIN <= day < (N_DAYS + 1 if end is None else end):
            yield digest, max(start, day) + 0.01
    if day > N_DAYS - _CHALLENGER_DAYS:
        yield _CHALLENGED, day + 0.02


def _results(random: Random, n_recordings: int) -> Iterator[Row]:
    strata, weights = [*_SHARE], [*_SHARE.values()]
    fixed: Mapping[str, object] = {
        "pipeline_id": "1-prep-settings-fp32",
        "preprocessing_digest": "d" * 64,
        "runtime": "eager",
        "precision": "fp32",
        "code_version": "1",
        "library_versions": '{"numpy": "2", "torch": "2"}',
        "run_id": 1,
        "worker": "w",
    }
    for number in range(1, n_recordings + 1):
        is_scored = number % 50 != 1
        for digest, day in _readings(number, n_recordings):
            (stratum,) = random.choices(strata, weights)
            yield {
                **fixed,
                "recording_id": number,
                "bundle_digest": digest,
                "outcome": "scored" if is_scored else "rejected",
                "reason": None if is_scored else "lead_flat",
                "any_vessel_risk": random.random() if is_scored else None,
                "any_vessel_stratum": stratum if is_scored else None,
                "outside_intended_use": random.random() < 0.02,
                "created_at": utc(day),
            }


def _findings(random: Random, n_recordings: int) -> Iterator[Row]:
    """An ECG in three has one; a rejected one always has the one that refused it."""
    for number in range(1, n_recordings + 1):
        refuses = number % 50 == 1
        if refuses or number % 3 == 0:
            yield {
                "recording_id": number,
                "scoring_version": 1,
                "settings_digest": "settings",
                "check_name": "flat" if refuses else random.choice(("noise", "leads", "pacing")),
                "lead": random.choice(("I", "II", "V1", "V6")),
                "value": 0.5,
                "limit_value": 0.4,
                "reason": "lead_flat" if refuses else "noise",
                "refuses": refuses,
            }
