"""How fast the views answer on 1,000,000 score rows: a patient, a day, a worklist, figures by date.

Prints for each question the median and 95th percentile over different patients and days and the
plan of one, on PostgreSQL (a scratch server) and SQLite (a scratch file); questions to the whole
table are asked once. JSON on the last line.
Run with `python -m benchmarks.sql [N_RESULTS [DATABASE...]]`.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from random import Random

import numpy as np
from sqlalchemy import Connection, Engine, text

from benchmarks.sql_seed import FIRST_DAY, N_DAYS, Ledger, fill
from ecgbatch.store.engine import owner_engine
from ecgbatch.store.migrate import migrate
from tests.support.postgres import find_binaries, postgres_server

N_RESULTS = 250_000
N_TRIES = 20
N_TRIES_WHOLE = 1

BOUNDED: Mapping[str, str] = {
    "ECGs of a patient": "SELECT * FROM v_patient_history WHERE patient_key = :patient",
    "ECGs of a merged patient": "SELECT * FROM v_patient_history WHERE patient_key = :merged",
    "latest risks of a patient": "SELECT * FROM v_latest_risk WHERE patient_key = :patient",
    "what was shown of a patient":
        "SELECT * FROM v_as_of WHERE patient_key = :patient AND valid_from <= :day"
        " AND (valid_to IS NULL OR valid_to > :day)",
    "ECGs of a day":
        "SELECT * FROM v_latest_risk WHERE ecg_date >= :day AND ecg_date < :next_day",
    "ECGs scored on a day":
        "SELECT * FROM v_latest_risk WHERE scored_at >= :scored AND scored_at < :next_scored",
    "newest 20 ECGs of a week":
        "SELECT * FROM v_latest_risk WHERE ecg_date >= :last_days ORDER BY ecg_date DESC LIMIT 20",
    "worklist of a week of ECGs":
        "SELECT * FROM v_worklist WHERE ecg_date >= :day AND ecg_date < :next_week"
        " ORDER BY any_vessel_risk DESC",
    "worklist of the ECGs scored since a week":
        "SELECT * FROM v_worklist WHERE scored_at >= :last_week ORDER BY any_vessel_risk DESC",
    "high though read as normal, of a week":
        "SELECT * FROM v_worklist WHERE ecg_date >= :day AND ecg_date < :next_week"
        " AND statement_normal ORDER BY any_vessel_risk DESC",
    "strata of a day": "SELECT * FROM v_strata_daily WHERE scored_on = :scored_on",
    "strata by day, 30 days":
        "SELECT * FROM v_strata_daily WHERE scored_on >= :scored_on AND scored_on < :next_month",
    "gates by day, 30 days":
        "SELECT * FROM v_gate_rates WHERE read_on >= :scored_on AND read_on < :next_month",
}  # fmt: skip
WHOLE: Mapping[str, str] = {
    "newest 20 ECGs, without a date": "SELECT * FROM v_latest_risk ORDER BY ecg_date DESC LIMIT 20",
    "all latest risks by stratum":
        "SELECT any_vessel_stratum, COUNT(*) FROM v_latest_risk GROUP BY any_vessel_stratum",
    "all strata by day": "SELECT COUNT(*) FROM v_strata_daily",
    "all that was shown at a moment":
        "SELECT COUNT(*) FROM v_as_of WHERE valid_from <= :day"
        " AND (valid_to IS NULL OR valid_to > :day)",
    "bundles compared": "SELECT * FROM v_bundle_comparison",
}  # fmt: skip


def main() -> None:
    n_results = int(sys.argv[1]) if len(sys.argv) > 1 else N_RESULTS
    home = Path(tempfile.mkdtemp(prefix="sql-"))
    binaries = find_binaries()
    if binaries is None:
        raise SystemExit("no PostgreSQL binaries: install the test extra")
    on = sys.argv[2:] or ["postgresql", "sqlite"]
    answer = {}
    try:
        if "postgresql" in on:
            with postgres_server(binaries) as server:
                answer["postgresql"] = measured(server.url(server.create()), n_results)
        if "sqlite" in on:
            answer["sqlite"] = measured(f"sqlite:///{home / 'sql.db'}", n_results)
    finally:
        shutil.rmtree(home)
    sys.stdout.write(json.dumps(answer) + "\n")


def measured(url: str, n_results: int) -> dict[str, object]:
    """Median and 95th percentile in ms of each question, in a database made for it."""
    migrate(url)
    engine = owner_engine(url)
    try:
        with engine.begin() as connection:
            ledger = fill(connection, n_results)
        _analyze(engine)
        with engine.connect() as connection:
            sys.stdout.write(f"\n# {engine.dialect.name}: {ledger.n_scores} score rows\n")
            times = {
                question: _timed(connection, question, statement, ledger, n_tries)
                for asked, n_tries in ((BOUNDED, N_TRIES), (WHOLE, N_TRIES_WHOLE))
                for question, statement in asked.items()
            }
    finally:
        engine.dispose()
    return {"score_rows": ledger.n_scores, "ms": times}


def _analyze(engine: Engine) -> None:
    vacuum = "VACUUM ANALYZE" if engine.dialect.name == "postgresql" else "ANALYZE"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(vacuum)


def _timed(
    connection: Connection, question: str, statement: str, ledger: Ledger, n_tries: int
) -> dict[str, float]:
    times, n_rows = [], 0
    for number in range(n_tries):
        values = _values(ledger, number)
        started = time.perf_counter()
        n_rows += len(connection.execute(text(statement), values).all())
        times.append(1000 * (time.perf_counter() - started))
    median, late = np.percentile(times, [50, 95])
    rows = n_rows / n_tries
    sys.stdout.write(f"\n## {question}: {median:.1f} ms, p95 {late:.1f} ms, {rows:.0f} rows\n\n")
    plan = _plan(connection, statement, _values(ledger, 0), is_run=n_tries > 1)
    sys.stdout.write(f"{statement}\n\n{plan}\n")
    sys.stdout.flush()
    return {"median": round(median, 1), "p95": round(late, 1), "rows": round(rows)}


def _plan(
    connection: Connection, statement: str, values: Mapping[str, str], *, is_run: bool
) -> str:
    explain = "EXPLAIN QUERY PLAN"
    if connection.dialect.name == "postgresql":
        explain = f"EXPLAIN (ANALYZE {is_run}, COSTS OFF)"
    rows = connection.execute(text(f"{explain} {statement}"), values)
    return "\n".join(str(row[-1]) for row in rows)


def _values(ledger: Ledger, number: int) -> dict[str, str]:
    """Another patient and day for each number; the same for every question and database."""
    random = Random(number)  # noqa: S311
    day = FIRST_DAY + timedelta(days=random.randrange(30, N_DAYS - 30))
    return {
        "patient": random.choice(ledger.patients),
        "merged": random.choice(ledger.merged),
        "day": f"{day:%Y-%m-%d}",
        "next_day": f"{day + timedelta(days=1):%Y-%m-%d}",
        "next_week": f"{day + timedelta(days=7):%Y-%m-%d}",
        "scored": f"{day:%Y-%m-%dT%H:%M:%S.%fZ}",
        "next_scored": f"{day + timedelta(days=1):%Y-%m-%dT%H:%M:%S.%fZ}",
        "scored_on": f"{day:%Y-%m-%d}",
        "next_month": f"{day + timedelta(days=30):%Y-%m-%d}",
        "last_days": f"{FIRST_DAY + timedelta(days=N_DAYS - 7):%Y-%m-%d}",
        "last_week": f"{FIRST_DAY + timedelta(days=N_DAYS - 7):%Y-%m-%dT%H:%M:%S.%fZ}",
    }


if __name__ == "__main__":
    main()
