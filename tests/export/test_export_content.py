"""What readers of an export find, on both databases, against the views and the tables."""

import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.dataset
import pytest
from sqlalchemy import Engine, text

from ecgbatch.export.commits import Choices
from ecgbatch.export.datasets import ACTIVATIONS, CHANGES, DATASETS, RESULTS, Dataset
from ecgbatch.export.run import export
from ecgbatch.store import bundles, outflow, patients
from ecgbatch.store.bundles import BundleRow
from ecgbatch.terms import BundleRole
from tests.support.exports import PARQUET, committed, exported_ids, result_ids
from tests.support.ledger import (
    CHAMPION,
    OTHER,
    STRATA,
    Site,
    activate,
    facts,
    rejected,
    scored,
    sighting,
)

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
SHOWN = "SELECT * FROM v_latest_risk"
MORNING = datetime(2026, 3, 1, 8, 5, 9)  # noqa: DTZ001 - a wall clock
NOON = MORNING.replace(hour=12)


def block(language: str) -> str:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)[0]


def current(out: Path) -> pd.DataFrame:
    """The page's query, in the folder."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        query = re.sub(r"read_parquet\('", f"read_parquet('{out}/", block("sql"))
        return connection.execute(query).df().sort_values("recording_id", ignore_index=True)


def in_pandas(out: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    names: dict[str, pd.DataFrame] = {}
    monkeypatch.chdir(out)
    exec(block("python"), names)  # noqa: S102 - the page's own words
    return sorted(names["current"]["result_id"])


def shown(engine: Engine) -> list[dict[str, object]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(text(SHOWN)).mappings()]


def assert_equal_to_the_view(engine: Engine, out: Path) -> None:
    expected = sorted(shown(engine), key=lambda row: row["recording_id"])
    found = current(out)
    names = [name for name in expected[0] if name in found]
    assert len(names) >= 30
    assert len(found) == len(expected)
    for row, read in zip(expected, found.to_dict("records"), strict=True):
        for name in names:
            assert _alike(row[name], read[name]), name


def _alike(ours: object, theirs: object) -> bool:
    if ours is None:
        return bool(pd.isna(theirs))
    if isinstance(theirs, pd.Timestamp):
        moment = pd.Timestamp(str(ours))
        return moment.tz_localize(None) == theirs.tz_localize(None)
    return bool(ours == theirs)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "warehouse"


def test_current_rows_are_those_of_the_view_through_every_change(
    engine: Engine, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with committed(engine) as site:
        site.arrive(
            scored(facts("e1", patient_key="p1", acquired_at=MORNING, edit_at=MORNING)), "a"
        )
        site.arrive(scored(facts("e2", patient_key="p2", age_years=61.5, sex="female")), "b")
        site.arrive(rejected(facts("e3", accession="00123")), "c")
        site.arrive(scored(facts("e4", statement_normal=True), (0.7, 0.1, 0.2, 0.3)), "d")
    export(engine, out, PARQUET)
    assert_equal_to_the_view(engine, out)

    edited = facts("e1 again", ecg_id="e1", edit_at=NOON, acquired_at=MORNING)
    with committed(engine) as site:
        site.arrive(scored(edited, (0.2, 0.1, 0.2, 0.3)), "a2")
    first = export(engine, out, PARQUET)
    assert first.rows["results"] == 1
    assert current(out)["ecg_id"].tolist().count("e1") == 1
    assert_equal_to_the_view(engine, out)

    with committed(engine) as site:
        patients.merge(site.connection, "p2", "p1", actor="op", why="one patient")
    assert export(engine, out, PARQUET).rows == {"results": 0, "changes": 0}
    assert "p1" in set(current(out)["patient_key"])
    assert_equal_to_the_view(engine, out)

    with committed(engine) as site:
        bundles.register(site.connection, BundleRow(OTHER, "next", "2", False), STRATA)
        activate(site.connection, OTHER)
    export(engine, out, PARQUET)
    assert not current(out)["is_current_bundle"].any()
    assert_equal_to_the_view(engine, out)

    with committed(engine) as site:
        site.note(sighting("e"))
        site.admit()
        (unit,) = site.claim(bundle=OTHER)
        site.finish(unit, scored(facts("e5")))
        site.note(sighting("copy of b"))
        site.admit()
        (unit,) = site.claim(bundle=OTHER)
        site.finish(unit, rejected(facts("e2", age_years=62.0)))
    export(engine, out, PARQUET)
    assert set(current(out)["ecg_id"]) == {"e1", "e4", "e5"}
    assert_equal_to_the_view(engine, out)
    newest = {row["recording_id"] for row in shown(engine)}
    assert len(in_pandas(out, monkeypatch)) == len(newest)
    assert exported_ids(out) == result_ids(engine)


def test_a_result_exported_before_it_was_superseded_is_appended_as_a_change(
    engine: Engine, out: Path
) -> None:
    with committed(engine) as site:
        site.arrive(scored(facts("e1", edit_at=MORNING)), "a")
    export(engine, out, PARQUET)
    with committed(engine) as site:
        site.arrive(scored(facts("new", ecg_id="e1", edit_at=NOON)), "b")
    export(engine, out, PARQUET)

    changes = pd.read_parquet(out / "changes")
    results = pd.read_parquet(out / "results").set_index("recording_id")
    assert changes["recording_id"].tolist() == [1]
    assert changes["superseded_by"].tolist() == [2]
    assert changes["superseded_reason"].tolist() == ["same_acquisition"]
    assert results["superseded_by"].isna().all(), "what was exported is not touched"

    fresh = out.with_name("fresh")
    export(engine, fresh, PARQUET)
    results = pd.read_parquet(fresh / "results").set_index("recording_id")
    assert results.loc[1, "superseded_by"] == 2
    assert results.loc[1, "superseded_at"].tzinfo is not None


def test_files_lie_in_hive_folders_and_have_the_documented_types(engine: Engine, out: Path) -> None:
    with committed(engine) as site:
        site.arrive(scored(facts("e1")), "a")
        site.arrive(rejected(facts("e2")), "b")
    export(engine, out, PARQUET)

    month = datetime.now(UTC).strftime("%Y-%m")
    (file,) = (out / "results").rglob("*.parquet")
    place = f"bundle=sha256-{CHAMPION[:12]}/month={month}/export-00000001.parquet"
    assert file.relative_to(out / "results").as_posix() == place
    for dataset in DATASETS:
        (file,) = (out / dataset.name).rglob("*.parquet")
        assert pyarrow.parquet.read_schema(file).equals(dataset.schema)
    read = pyarrow.dataset.dataset(out / "results", partitioning="hive").to_table().to_pandas()
    assert read["bundle"].astype(str).tolist() == [f"sha256-{CHAMPION[:12]}"] * 2
    assert read["is_clinical"].tolist() == [False, False]
    with duckdb.connect() as connection:
        types = connection.execute(
            f"SELECT typeof(bundle), typeof(month), typeof(created_at), typeof(ecg_date)"
            f" FROM read_parquet('{out}/results/**/*.parquet', hive_partitioning = true)"
        ).fetchone()
    assert types == ("VARCHAR", "VARCHAR", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP")


def test_no_column_is_left_empty_because_nothing_is_read_for_it(engine: Engine) -> None:
    stamp = {"export_number", "exported_at"}
    with committed(engine) as site:
        site.arrive(scored(facts("e1")), "a")
    with outflow.snapshot(engine) as connection:
        (results,) = outflow.results(connection, [(1, 9)], 9)
        (changes,) = outflow.changed(connection, [(1, 99)], 9)
        activations = outflow.activations(connection)
    assert results[0].keys() | stamp == set(RESULTS.schema.names)
    assert changes[0].keys() | stamp == set(CHANGES.schema.names)
    assert activations[0].keys() == set(ACTIVATIONS.schema.names)


def test_every_value_of_a_result_is_the_tables(engine: Engine, out: Path) -> None:
    with committed(engine) as site:
        site.arrive(scored(facts("e1", accession="00123", order_number="=1+1")), "a")
        activate_challenger(site)
    export(engine, out, PARQUET)
    with engine.connect() as connection:
        (stored,) = connection.execute(text("SELECT * FROM result")).mappings()
        scores = {
            row["task"]: row for row in connection.execute(text("SELECT * FROM score")).mappings()
        }
    (read,) = pd.read_parquet(out / "results").to_dict("records")
    for name in stored.keys() - {"work_id"}:
        assert _alike(stored[name], read[name]), name
    for task, row in scores.items():
        assert read[f"risk_{task.lower()}"] == row["probability"]
        assert read[f"logit_{task.lower()}"] == row["logit"]
        assert _alike(row["stratum"], read[f"stratum_{task.lower()}"])
    assert (read["accession"], read["order_number"]) == ("00123", "=1+1")
    activations = pd.read_parquet(out / "activations")
    assert activations["role"].tolist() == ["champion", "challenger"]


def activate_challenger(site: Site) -> None:
    bundles.register(site.connection, BundleRow(OTHER, "next", "2", False), STRATA)
    activate(site.connection, OTHER, BundleRole.CHALLENGER)


def test_identifiers_can_be_left_out(engine: Engine, out: Path) -> None:
    known = {"patient_key": "p", "accession": "A1", "order_number": "O1"}
    with committed(engine) as site:
        site.arrive(scored(facts("e1", **known)), "a")
        patients.merge(site.connection, "p", "q", actor="op", why="test")
    export(engine, out, Choices(with_identifiers=False))

    (row,) = pd.read_parquet(out / "results").to_dict("records")
    assert [row[name] for name in (*known, "ecg_id")] == [None] * 4
    assert len(pd.read_parquet(out / "patient_keys")) == 0


def test_csv_holds_the_same_rows_and_nothing_that_a_spreadsheet_runs(
    engine: Engine, out: Path
) -> None:
    with committed(engine) as site:
        site.arrive(scored(facts("=cmd()", accession="00123", site='Say "x"\n@y')), "a")
        site.arrive(rejected(facts("e2", accession="-0.5")), "b")
    export(engine, out, PARQUET)
    export(engine, out.with_name("csv"), Choices("csv"))

    (file,) = (out.with_name("csv") / "results").rglob("*.csv")
    read = pd.read_csv(file, dtype={"accession": str})
    rows = pd.read_parquet(out / "results")
    assert read.columns.tolist() == RESULTS.schema.names
    assert read["ecg_id"].tolist() == ["'=cmd()", "e2"]
    assert read["accession"].tolist() == ["'00123", "-0.5"]
    assert read["site"].tolist()[0] == 'Say "x"\n\'@y'
    for name in ("result_id", "risk_rca", "logit_lad", "outcome", "is_clinical"):
        pd.testing.assert_series_equal(read[name], rows[name], check_names=False)
    assert read["created_at"].str.endswith("Z").all()
    assert pd.to_datetime(read["created_at"]).tolist() == rows["created_at"].tolist()


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_the_page_names_every_column_in_order_with_its_type(dataset: Dataset) -> None:
    section = re.search(
        rf"^### {dataset.name}\n(.*?)(?=^##|\Z)", PAGE, flags=re.DOTALL | re.MULTILINE
    )
    assert section is not None
    rows = re.findall(r"^\| (`[^|]*) \| ([^|]+) \|", section.group(1), flags=re.MULTILINE)
    documented = [(name, kind) for names, kind in rows for name in re.findall(r"`(\w+)`", names)]
    assert documented == [(field.name, str(field.type)) for field in dataset.schema]
