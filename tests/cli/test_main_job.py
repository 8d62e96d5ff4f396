"""The main job from the command line: real ECG files in, risks and strata in SQL out."""

from pathlib import Path

import pytest

from ecgbatch.resources import demonstration
from tests.cli.command import Ended, ecgbatch, everything_but_runs, rows
from tests.support.ecgs import SAMPLES

NOTICE = "demonstration model, synthetic training data, not for clinical use"


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Path]:
    folder = tmp_path_factory.mktemp("job")
    database = folder / "results.db"
    words = ("run-once", "--source", SAMPLES, "--db", f"sqlite:///{database}", "--settle", 0)
    done = ecgbatch(*words, is_new=True)
    return done, database


def test_every_sample_is_scored(job: tuple[Ended, Path]) -> None:
    done, database = job

    assert done.exit_code == 0
    assert "scored 7" in done.out
    assert NOTICE in done.out
    risks = rows(database, "SELECT * FROM v_latest_risk")
    assert len(risks) == 7
    for risk in risks:
        assert "demonstration" in risk["bundle_name"]
        assert risk["is_clinical"] == 0
        for vessel in ("rca", "lm", "lad", "lcx"):
            assert 0 <= risk[f"risk_{vessel}"] <= 1
            assert risk[f"stratum_{vessel}"] in {"low", "intermediate", "high"}


def test_what_was_made_is_said_first(job: tuple[Ended, Path]) -> None:
    done, database = job

    assert done.out.startswith("first use: activated")
    assert "created the database results.db" in done.out
    assert (database.parent / "results.key").stat().st_mode & 0o777 == 0o600
    assert [e["kind"] for e in rows(database, "SELECT kind FROM event")].count("first_use") == 1


def test_any_vessel_is_the_maximum_without_the_experimental_left_main(
    job: tuple[Ended, Path],
) -> None:
    for risk in rows(job[1], "SELECT * FROM v_latest_risk"):
        most = max(risk["risk_rca"], risk["risk_lad"], risk["risk_lcx"])
        assert risk["any_vessel_risk"] == most


def test_strata_follow_from_the_cuts_in_the_database(job: tuple[Ended, Path]) -> None:
    wrong = rows(
        job[1],
        """
        SELECT * FROM score s JOIN result r USING (result_id)
        JOIN bundle_stratum b USING (bundle_digest, task, stratum)
        WHERE NOT (s.probability >= b.cut_from AND s.probability < b.cut_to)
        """,
    )
    counted = rows(job[1], "SELECT count(*) AS n FROM score JOIN bundle_stratum USING (stratum)")

    assert wrong == []
    assert counted[0]["n"] > 0


def test_each_row_says_what_made_it(job: tuple[Ended, Path]) -> None:
    for row in rows(job[1], "SELECT * FROM result JOIN recording USING (recording_id)"):
        assert row["reader"] in {"wfdb", "muse"}
        assert len(row["file_digest"]) == len(row["bundle_digest"]) == 64
        for column in ("pipeline_id", "preprocessing_digest", "runtime", "code_version", "worker"):
            assert row[column]
        assert '"torch"' in row["library_versions"]


def test_child_is_flagged_as_outside_the_intended_use(job: tuple[Ended, Path]) -> None:
    child = rows(job[1], "SELECT * FROM v_latest_risk WHERE age_years < 18")

    assert [row["outside_intended_use"] for row in child] == [1]
    finding = rows(job[1], "SELECT * FROM finding WHERE check_name = 'age'")
    assert [(row["value"], row["refuses"]) for row in finding] == [(11.0, 0)]


def test_second_run_writes_nothing_but_its_run(job: tuple[Ended, Path]) -> None:
    _, database = job
    before, n_runs = everything_but_runs(database), len(rows(database, "SELECT * FROM run"))

    again = ecgbatch(
        "run-once", "--source", SAMPLES, "--db", f"sqlite:///{database}", "--settle", 0
    )

    assert again.exit_code == 0
    assert "this run: nothing" in again.out
    assert everything_but_runs(database) == before
    assert len(rows(database, "SELECT * FROM run")) == n_runs + 1


def test_answers_are_json_where_asked(job: tuple[Ended, Path]) -> None:
    url = f"sqlite:///{job[1]}"

    status = ecgbatch("status", "--db", url, "--json")
    shown = ecgbatch("show", 1, "--db", url, "--json")
    doctor = ecgbatch("doctor", "--db", url, "--json")

    assert status.json["counts"]["scored"] == 7
    assert shown.json["results"][0]["scores"][0]["task"] == "RCA"
    assert doctor.json["is_well"] is True
    assert {"database", "bundle", "disk", "runtime"} <= {x["name"] for x in doctor.json["lines"]}


def test_record_is_found_by_the_first_digits_of_its_digest(job: tuple[Ended, Path]) -> None:
    url = f"sqlite:///{job[1]}"
    digest = rows(job[1], "SELECT file_digest FROM recording")[0]["file_digest"]

    assert digest in ecgbatch("show", digest[:12], "--db", url).out
    unknown = ecgbatch("show", "0" * 12, "--db", url)
    assert unknown.exit_code == 2
    assert "record_unknown" in unknown.err


def test_scores_are_the_same_alone_and_in_company(job: tuple[Ended, Path], tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    for suffix in (".hea", ".mat"):
        name = f"HR06000{suffix}"
        (alone / name).write_bytes((SAMPLES / "wfdb" / name).read_bytes())
    database = tmp_path / "alone.db"

    ecgbatch("run-once", "--source", alone, "--db", f"sqlite:///{database}", "--settle", 0)

    query = (
        "SELECT s.* FROM score s JOIN result USING (result_id) "
        "JOIN recording r USING (recording_id)"
    )
    mine = rows(database, f"{query} ORDER BY task")
    digest = rows(database, "SELECT file_digest FROM recording")[0]["file_digest"]
    theirs = rows(job[1], f"{query} WHERE r.file_digest = '{digest}' ORDER BY task")
    assert len(mine) == 4
    for one, other in zip(mine, theirs, strict=True):
        assert one | {"result_id": 0} == other | {"result_id": 0}


def test_demo_prints_one_row_per_ecg_and_the_sql(tmp_path: Path) -> None:
    done = ecgbatch("demo", cwd=tmp_path)

    assert done.exit_code == 0
    assert done.out.count("0.") >= 7 * 5
    assert NOTICE in done.out
    again = ecgbatch("demo", "--json", cwd=tmp_path).json
    assert len(again["risks"]) == 7
    assert again["run"]["counts"]["scored"] == 7
    sql = done.out[done.out.index("SELECT recording_id") :]
    assert len(rows(tmp_path / "ecgbatch-demo.db", sql)) == 7


def test_shipped_bundle_is_the_one_that_scored(job: tuple[Ended, Path]) -> None:
    shown = ecgbatch("bundle", "show", demonstration("bundle"), "--json").json

    assert {r["bundle_digest"] for r in rows(job[1], "SELECT * FROM result")} == {shown["digest"]}
