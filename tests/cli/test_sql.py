"""`ecgbatch sql` as a user types it."""

import csv
import io
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ecgbatch.store.statement import statement
from ecgbatch.terms import DEMONSTRATION_NOTICE, INTENDED_USE_NOTICE
from tests.cli.command import Ended, ecgbatch

_RISKS = "SELECT recording_id, risk_lad, is_clinical FROM v_latest_risk ORDER BY recording_id"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sql")
    done = ecgbatch("demo", "--db", "ecg.db", cwd=folder)
    assert done.exit_code == 0, done.err
    return folder


def _sql(home: Path, *arguments: object) -> Ended:
    return ecgbatch("sql", "--db", "sqlite:///ecg.db", *arguments, cwd=home)


def _truth(home: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(home / "ecg.db")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_table_csv_and_json_say_the_same(home: Path) -> None:
    truth = _truth(home, _RISKS)
    table, as_csv = _sql(home, _RISKS), _sql(home, _RISKS, "--format", "csv")
    as_json = _sql(home, _RISKS, "--json")

    assert len(table.out.splitlines()) == 1 + len(truth)
    header, *records = csv.reader(io.StringIO(as_csv.out))
    assert header == as_json.json["columns"] == ["recording_id", "risk_lad", "is_clinical"]
    assert [(int(a), float(b), c) for a, b, c in records] == [(*row[:2], "false") for row in truth]
    assert as_json.json["rows"] == [[*row[:2], False] for row in truth]
    assert as_json.json["is_cut"] is False
    for shown in (table, as_csv, as_json):
        assert shown.exit_code == 0
        assert shown.err.splitlines()[-2:] == [DEMONSTRATION_NOTICE, INTENDED_USE_NOTICE]


def test_notice_also_without_a_column_that_says_so_and_none_where_no_risk_is(home: Path) -> None:
    assert DEMONSTRATION_NOTICE in _sql(home, "SELECT max(probability) AS p FROM score").err
    assert INTENDED_USE_NOTICE not in _sql(home, "SELECT count(*) FROM item").err


def test_output_files_are_whole_or_not_there(home: Path) -> None:
    for name in ("a.csv", "a.json", "a.parquet"):
        done = _sql(home, _RISKS, "--out", name)
        assert (done.exit_code, done.out) == (0, f"wrote 7 rows to {name}\n")
    assert json.loads((home / "a.json").read_text())["rows"][0][0] == 1
    kept = (home / "a.csv").read_bytes()
    late = "SELECT abs(-9223372036854775807 - (recording_id > 3)) FROM recording ORDER BY 1"
    for name in ("a.csv", "b.json", "b.parquet"):
        done = _sql(home, late, "--out", name)
        assert done.exit_code == 2, done.out + done.err
    full = _sql(home, _RISKS, "--format", "csv", "--out", "/proc/a.csv")
    assert (full.exit_code, "output_unwritable" in full.err) == (4, True)
    assert (home / "a.csv").read_bytes() == kept
    assert not [path for path in home.iterdir() if path.name.startswith((".sql", "b."))]


def test_standard_output_on_a_full_disk_is_named(home: Path) -> None:
    asked = [sys.executable, "-m", "ecgbatch", "sql", "--db", "sqlite:///ecg.db", _RISKS]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            asked, cwd=home, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )

    assert (done.returncode, "disk_full" in done.stderr) == (4, True)


def test_what_is_asked_wrongly_is_one_line_and_exit_code_2(home: Path) -> None:
    for arguments, said in (
        (("SELECT risk_rac FROM v_latest_risk",), 'no column "risk_rac"; near it: risk_rca'),
        (("SELECT * FROM v_latest_risks",), 'no table "v_latest_risks"; near it: v_latest_risk'),
        (("SELECT FROM FROM",), 'syntax error near "FROM"'),
        (("DELETE FROM score",), "statement_refused"),
        (("SELECT 1; SELECT 2",), "more than one statement"),
        (("",), "it is empty"),
        ((), "give either a STATEMENT or --file FILE"),
        (("SELECT 1", "--format", "parquet"), "--format parquet needs --out FILE"),
        (("SELECT 1", "--out", "a.xlsx"), "--out needs --format"),
        (("SELECT 1", "--out", "nowhere/a.csv"), "the folder of --out does not exist"),
        (("SELECT 1", "--json", "--format", "csv"), "contradict"),
    ):
        done = _sql(home, *arguments)
        assert done.exit_code == 2, done.out + done.err
        assert said in done.err
        assert len([one for one in done.err.splitlines() if "ecgbatch:" in one]) <= 1
    told = _sql(home, "SELECT risk_rac FROM v_latest_risk", "--json").json
    assert told["error"]["reason"] == "statement_invalid"


def test_a_statement_from_a_file_and_a_limit(home: Path) -> None:
    (home / "ask.sql").write_text("-- every ECG\nSELECT item_id FROM item ORDER BY 1;\n")

    done = _sql(home, "--file", "ask.sql", "--limit", 2, "--json")

    assert (done.json["rows"], done.json["is_cut"]) == ([[1], [2]], True)
    assert "only the first 2 rows" in done.err


def test_text_of_a_file_cannot_steer_the_terminal(home: Path) -> None:
    done = _sql(home, "SELECT char(27) || '[2J' AS a, 'x' || char(10) || 'y' AS b")

    assert done.out.splitlines()[1].split() == [r"\x1b[2J", r"x\ny"]


def test_lexer_sees_names_and_not_what_is_quoted_or_commented() -> None:
    asked = statement(
        "SELECT a.\"B\"\"c\", 'it''s f(x)', $t$ g() $t$, E'\\'h()' -- i()\n"
        "/* j() /* k() */ */ FROM Score AS a WHERE lower (x) = 1;;"
    )

    assert {"a", 'B"c', "score", "lower", "x"} <= asked.names
    assert not asked.names & {"f", "g", "h", "i", "j", "k", "it", "t"}
    assert asked.calls == {"lower"}
    assert asked.name_at(asked.text.index("a.")) == 'B"c'
    assert asked.text.endswith("= 1")
