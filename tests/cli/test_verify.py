"""`ecgbatch verify` as a user types it, on real sample ECGs and the shipped demonstration."""

import shutil
from pathlib import Path

import pytest

from tests.cli.command import Ended, ecgbatch, everything_but_runs, rows
from tests.support.ecgs import SAMPLES

NOTICE = "demonstration model, synthetic training data, not for clinical use"


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sample ECGs and their database."""
    folder = tmp_path_factory.mktemp("verify")
    shutil.copytree(SAMPLES, folder / "inbox")
    words = ("--source", folder / "inbox", "--db", f"sqlite:///{folder / 'results.db'}")
    assert ecgbatch("run-once", *words, "--settle", 0).exit_code == 0
    return folder


def _verify(database: Path, *words: object) -> Ended:
    return ecgbatch("verify", "--db", f"sqlite:///{database}", *words)


def test_all_results_replay_and_nothing_is_written(scored: Path) -> None:
    before = everything_but_runs(scored / "results.db")

    done = _verify(scored / "results.db")

    assert done.exit_code == 0, done.err
    assert done.out.splitlines()[0] == "7 results: identical 7"
    assert NOTICE in done.out
    assert "low does not exclude disease" in done.out
    assert everything_but_runs(scored / "results.db") == before


def test_one_byte_more_or_less_is_the_answer_no(scored: Path, tmp_path: Path) -> None:
    """The database and its files were copied to another place; no site key went along."""
    moved, database = tmp_path / "moved", tmp_path / "copy.db"
    shutil.copytree(scored / "inbox", moved)
    shutil.copy(scored / "results.db", database)
    content = bytearray((moved / "wfdb" / "A0001.mat").read_bytes())
    content[-1] ^= 1
    (moved / "wfdb" / "A0001.mat").write_bytes(content)
    (moved / "muse" / "synthetic_muse.xml").unlink()
    records = {
        row["locator"]: row["recording_id"]
        for row in rows(database, "SELECT locator, recording_id FROM item")
    }

    told = _verify(database, "--source", moved)
    answer = _verify(database, "--source", moved, "--json")

    assert (told.exit_code, answer.exit_code) == (1, 1)
    assert told.out.splitlines()[0] == "7 results: identical 5, differs 1, gone 1"
    assert "bytes: the file is another one now" in told.out
    assert "A0001" not in told.out + told.err, "a place is no business of this answer"
    assert answer.json["ok"] is False
    assert answer.json["stages"]["bytes"] == 1
    assert {
        one["recording_id"]: (one["outcome"], one["stage"]) for one in answer.json["not_replayed"]
    } == {
        records["wfdb/A0001.hea"]: ("differs", "bytes"),
        records["muse/synthetic_muse.xml"]: ("gone", None),
    }


def test_a_recording_or_a_sample_is_chosen(scored: Path) -> None:
    database = scored / "results.db"
    one, other = rows(database, "SELECT * FROM recording ORDER BY recording_id LIMIT 2")
    twice = (one["file_digest"][:12], one["recording_id"])

    named = _verify(database, *twice, other["recording_id"], "--json")
    drawn = _verify(database, "--sample", 2, "--json")
    unknown = _verify(database, "fedcba987654")

    assert (named.exit_code, drawn.exit_code, unknown.exit_code) == (0, 0, 2)
    assert named.json["results"] == 2
    assert drawn.json["results"] == 2
    assert isinstance(drawn.json["seed"], int)
    assert "record_unknown" in unknown.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("1", "--sample", 3), "either RECORD... or --sample"),
        (("--seed", 3), "--seed needs --sample"),
        (("--sample", 0), "--sample"),
        (("--source", "/no/such/folder"), "does not exist"),
    ],
)
def test_a_mistake_on_the_command_line_is_said(
    scored: Path, words: tuple[object, ...], said: str
) -> None:
    done = _verify(scored / "results.db", *words)

    assert done.exit_code == 2
    assert said in done.err


def test_show_names_all_that_made_a_score(scored: Path) -> None:
    database = scored / "results.db"
    (result,) = rows(database, "SELECT * FROM result ORDER BY result_id LIMIT 1")
    cuts = rows(
        database,
        "SELECT task, cut_from AS low, cut_to AS high FROM bundle_stratum"
        " WHERE stratum = 'intermediate'",
    )

    answer = ecgbatch("show", result["recording_id"], "--db", f"sqlite:///{database}", "--json")

    (shown,) = answer.json["results"]
    assert {(one["task"], one["low"], one["high"]) for one in shown["cuts"]} == {
        (one["task"], one["low"], one["high"]) for one in cuts
    }
    for column in (
        "signal_digest",
        "reader",
        "reader_version",
        "preprocessing_digest",
        "bundle_digest",
        "pipeline_id",
        "runtime",
        "precision",
        "code_version",
        "library_versions",
        "padded_samples",
        "run_id",
        "worker",
    ):
        assert shown[column] == result[column] is not None
    assert shown["created_at"].startswith(result["created_at"][:19])
    assert answer.json["facts"]["file_digest"]
