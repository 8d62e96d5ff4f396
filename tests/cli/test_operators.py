"""What operators do on the command line: check, retry, ignore, halt, re-score. A real database."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import Ended, ecgbatch
from tests.support.ecgs import SAMPLES


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with seven sample ECGs, one file that is none, and their database."""
    folder = tmp_path_factory.mktemp("operators")
    shutil.copytree(SAMPLES, folder / "inbox")
    (folder / "inbox" / "notes.xml").write_text("<notes>", encoding="utf-8")
    run(folder / "results.db", folder / "inbox")
    return folder


@pytest.fixture
def site(scored: Path, tmp_path: Path) -> Path:
    """The same for one test alone; the database still names the first folder as its source."""
    for name in ("results.db", "results.key"):
        shutil.copy(scored / name, tmp_path / name)
    return tmp_path / "results.db"


def run(database: Path, inbox: Path) -> Ended:
    return ecgbatch("run-once", "--source", inbox, "--db", f"sqlite:///{database}", "--settle", 0)


def ask(database: Path, *arguments: object) -> Ended:
    return ecgbatch(*arguments, "--db", f"sqlite:///{database}", "--json")


def tamper(database: Path, *statements: str) -> None:
    connection = sqlite3.connect(database)
    try:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for statement in statements:
            assert connection.execute(statement).rowcount != 0
        connection.commit()
    finally:
        connection.close()


def broken(answer: Any) -> set[str]:
    return {check["id"] for check in answer["checks"] if check["broken"]}


def test_ledger_of_a_run_keeps_every_promise(site: Path) -> None:
    answer = ask(site, "ledger", "check")

    assert answer.exit_code == 0
    assert answer.json["ok"]
    assert broken(answer.json) == set()
    assert len(answer.json["checks"]) > 25


def test_broken_ledger_is_told_by_number(site: Path) -> None:
    tamper(site, "UPDATE work SET token = 0")

    answer = ask(site, "ledger", "check")
    table = ecgbatch("ledger", "check", "--db", f"sqlite:///{site}")

    assert answer.exit_code == table.exit_code == 1
    assert broken(answer.json) == {"I4a"}
    assert "work 1, work 2" in table.out
    assert "1 of" in table.out


def test_audit_of_a_run_is_whole_and_says_its_head(site: Path) -> None:
    answer = ask(site, "audit", "check")

    assert answer.exit_code == 0
    assert answer.json["ok"]
    assert answer.json["events"]["rows"] >= 8
    assert len(answer.json["audit"]["head"]) == 64


def test_acts_cut_off_are_told_to_whoever_kept_the_head(site: Path) -> None:
    ask(site, "acknowledge", "--code", "xml_variant_unsupported", "--reason", "known")
    head = ask(site, "audit", "check").json["audit"]["head"]
    tamper(site, "DROP TRIGGER audit_no_delete", "DELETE FROM audit")

    assert ask(site, "audit", "check").exit_code == 0
    answer = ask(site, "audit", "check", "--head", head)
    assert answer.exit_code == 1
    assert answer.json["audit"]["examples"][0]["damage"] == "cut off"


def test_altered_event_is_told(site: Path) -> None:
    tamper(site, "DROP TRIGGER event_no_update", "UPDATE event SET item_id = 1 WHERE item_id = 2")

    answer = ecgbatch("audit", "check", "--db", f"sqlite:///{site}")
    assert answer.exit_code == 1
    assert "altered" in answer.out
    assert "run 2, event" in answer.out


def refused(site: Path) -> int:
    """The number of the one file that cannot be read."""
    listed = ask(site, "quarantine", "list").json["quarantined"]
    assert len(listed) == 1
    return int(listed[0]["item_id"])


def test_quarantine_lists_numbers_and_no_places(site: Path) -> None:
    answer = ask(site, "quarantine", "list")
    table = ecgbatch("quarantine", "list", "--db", f"sqlite:///{site}")
    other = ask(site, "quarantine", "list", "--code", "too_short")

    assert set(answer.json["quarantined"][0]) == {
        *("item_id", "disposition", "reason", "stage", "request"),
        *("first_seen_at", "acknowledged_at"),
    }
    assert "notes" not in answer.out + table.out
    assert "1 failed or unsupported" in table.out
    assert other.json == {"quarantined": []}


def test_retry_takes_numbers_or_a_reason(site: Path, scored: Path) -> None:
    number = refused(site)
    assert ask(site, "retry", number, "--reason", "mended").json == {"retried": 1}
    assert ask(site, "status").json["counts"]["waiting"] == 1
    assert run(site, scored / "inbox").exit_code == 1
    listed = ask(site, "quarantine", "list").json["quarantined"][0]

    again = ask(site, "retry", "--code", listed["reason"], "--reason", "mended")
    assert again.json == {"retried": 1}
    assert ask(site, "ledger", "check").exit_code == 0


def test_ignored_item_needs_no_attention_until_it_is_taken_up(site: Path) -> None:
    number = refused(site)
    assert ask(site, "status").exit_code == 1

    assert ask(site, "ignore", number, "--reason", "no ECG").json == {"ignored": 1}
    assert ask(site, "status").exit_code == 0
    assert ask(site, "ignore", "--undo", number, "--reason", "it is").json == {"taken_up": 1}
    assert ask(site, "status").exit_code == 1
    assert ask(site, "ledger", "check").exit_code == 0
    assert ask(site, "audit", "check").json["audit"]["rows"] == 2


def test_nothing_is_scored_while_halted(site: Path, tmp_path: Path) -> None:
    shutil.copytree(SAMPLES, tmp_path / "inbox")
    assert ask(site, "halt", "--reason", "maintenance").json == {"halted": True, "changed": True}
    assert ask(site, "halt", "--reason", "again").json == {"halted": True, "changed": False}

    run(site, tmp_path / "inbox")
    assert ask(site, "status").json["counts"]["waiting"] == 7
    assert ask(site, "status").json["halted"]["why"] == "maintenance"
    assert "UTC by" in ecgbatch("status", "--db", f"sqlite:///{site}").out

    assert ask(site, "resume", "--reason", "done").json == {"halted": False, "changed": True}
    run(site, tmp_path / "inbox")
    assert ask(site, "status").json["counts"]["waiting"] == 0
    assert ask(site, "status").json["halted"] is None


@pytest.mark.parametrize(
    "arguments",
    [
        ("retry", "--reason", "x"),
        ("retry", 1, "--code", "too_short", "--reason", "x"),
        ("retry", 1),
        ("retry", 1, "--reason", "  "),
        ("retry", "--code", "bad_luck", "--reason", "x"),
        ("ignore", "--undo", "--code", "too_short", "--reason", "x"),
        ("halt",),
        ("resume", "--reason", ""),
    ],
)
def test_act_without_its_reason_or_choice_is_a_usage_error(
    site: Path, arguments: tuple[object, ...]
) -> None:
    assert ask(site, *arguments).exit_code == 2
    assert ask(site, "audit", "check").json["audit"]["rows"] == 0


@pytest.mark.parametrize(
    ("scope", "units"),
    [
        (("all",), 7),
        (("since", "1900-01-01"), 7),
        (("since", "2999-12-31"), 0),
        (("reason", "lead_flat"), 0),
    ],
)
def test_rescore_makes_work_and_changes_nothing_that_is_there(
    site: Path, scope: tuple[str, ...], units: int
) -> None:
    answer = ask(site, "rescore", "--scope", *scope, "--reason", "new reader")

    assert answer.json == {"rescore_id": 1, "units": units, "gone": 0}
    assert ask(site, "status").json["counts"]["scored"] == 7
    assert ask(site, "ledger", "check").exit_code == 0


def test_rescore_of_a_source_goes_by_its_name(site: Path, scored: Path) -> None:
    named = ("rescore", "--scope", "source", scored / "inbox", "--reason", "x")

    assert ask(site, *named).json["units"] == 7


@pytest.mark.parametrize(
    "scope", [("all", "x"), ("since",), ("since", "monday"), ("source", "x"), ("reason", "x")]
)
def test_scope_that_means_nothing_is_a_usage_error(site: Path, scope: tuple[str, ...]) -> None:
    assert ask(site, "rescore", "--scope", *scope, "--reason", "x").exit_code == 2
    assert ask(site, "audit", "check").json["audit"]["rows"] == 0
