"""A challenger from the command line: tried, in trouble, compared, promoted, rolled back."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ecgbatch.cli.bundle.choice import print_pin
from ecgbatch.resources import demonstration
from ecgbatch.settings import load_settings
from ecgbatch.store import bundles, checks
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.engine import open_engine, transaction
from ecgbatch.store.migrate import migrate
from ecgbatch.terms import Vessel
from tests.cli.command import ecgbatch, rows
from tests.support.bundles import cuts, save_quick_bundle, save_small_bundle, task
from tests.support.ledger import activate


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An inbox with two ECGs, a champion, and a challenger whose strata differ."""
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    files = sorted(path for path in demonstration("samples").rglob("*") if path.suffix == ".xml")
    for path in files[:2]:
        (inbox / path.name).write_bytes(path.read_bytes())
    save_quick_bundle(tmp_path / "first")
    tasks = tuple(task(vessel, cuts=cuts(0.01, 0.02)) for vessel in Vessel)
    save_small_bundle(tmp_path / "second", name="second demonstration", tasks=tasks)
    return tmp_path


def test_a_challenger_in_trouble_stops_nobody_and_comes_back(place: Path) -> None:
    url = f"sqlite:///{place / 'ecg.db'}"
    run = ("run-once", "--source", place / "inbox", "--db", url, "--settle", 0)
    assert ecgbatch(*run, "--bundle", place / "first").exit_code == 0
    why = ("--reason", "a trial", "--db", url, "--json")
    asked = ("bundle", "activate", place / "second", "--role", "challenger", *why)
    assert ecgbatch(*asked, "--since", "1990-01-01").json["given"] == 2
    before = rows(place / "ecg.db", "SELECT * FROM v_latest_risk")
    (place / "second").rename(place / "elsewhere")

    worked = ecgbatch("work", "--drain", "--db", url)

    assert worked.exit_code == 0
    assert "challenger_unfit" in worked.err
    (one,) = ecgbatch("status", "--db", url, "--json").json["challengers"]
    assert (one["reason"], one["waiting"], one["results"]) == ("bundle_missing", 2, 0)
    assert ecgbatch("doctor", "--db", url).exit_code == 4
    (place / "elsewhere").rename(place / "second")
    again = ecgbatch(*run, "--json")
    assert (again.exit_code, again.json["finished"]) == (0, {})
    (one,) = ecgbatch("status", "--db", url, "--json").json["challengers"]
    assert (one["reason"], one["waiting"], one["results"]) == (None, 0, 2)
    assert rows(place / "ecg.db", "SELECT * FROM v_latest_risk") == before
    with transaction(open_engine(url)) as connection:
        assert checks.broken(connection) == []

    out = place / "report"
    told = ecgbatch("bundle", "compare", "--db", url, "--out", out, "--json").json
    names = {"flips.json", "flips.parquet", "flips.png", "flips.svg"}
    assert {path.name for path in out.iterdir()} == names
    assert {Path(path).name for path in told.pop("files")} == names
    assert json.loads((out / "flips.json").read_text()) == told
    table = pq.read_table(out / "flips.parquet").to_pylist()
    scores = rows(
        place / "ecg.db",
        "SELECT x.task, y.probability - x.probability AS shift, y.stratum FROM score x"
        " JOIN result a ON a.result_id = x.result_id JOIN result b USING (recording_id)"
        " JOIN score y ON y.result_id = b.result_id AND y.task = x.task"
        " WHERE b.result_id > a.result_id",
    )
    written = sorted((row["task"], row["shift"]) for row in table if row["task"] != "any_vessel")
    assert written == sorted((row["task"], row["shift"]) for row in scores)
    assert len(table) == 10
    assert "patient_key" not in table[0]

    promoted = ecgbatch("bundle", "promote", place / "second", *why)
    assert promoted.json["champion"]["name"] == "second demonstration"
    shown = rows(place / "ecg.db", "SELECT DISTINCT bundle_name FROM v_latest_risk")
    assert [row["bundle_name"] for row in shown] == ["second demonstration"]
    back = ecgbatch("bundle", "rollback", *why)
    assert back.json["given"] == 0
    assert rows(place / "ecg.db", "SELECT * FROM v_latest_risk") == before
    acts = rows(place / "ecg.db", "SELECT act FROM audit ORDER BY audit_id")
    assert [row["act"] for row in acts] == ["activate", "promote", "rollback"]
    with transaction(open_engine(url)) as connection:
        assert bundles.challengers(connection) == []


def test_what_cannot_be_meant_is_said_in_one_line(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ecg.db'}"
    first = BundleRow(save_quick_bundle(tmp_path / "first"), "first", "1", is_clinical=False)
    migrate(url)
    with transaction(open_engine(url)) as connection:
        bundles.register(connection, first, ())
        activate(connection, first.digest, first_use=True)
    why = ("--reason", "no", "--db", url)

    nobody = ecgbatch("bundle", "promote", "nobody", *why)
    itself = ecgbatch("bundle", "activate", tmp_path / "first", "--role", "challenger", *why)
    back = ecgbatch("bundle", "rollback", *why)
    alone = ecgbatch("bundle", "compare", "--db", url)

    assert [one.exit_code for one in (nobody, itself, back, alone)] == [2, 2, 4, 2]
    assert "no challenger of this name" in nobody.err
    assert "it challenges nobody" in itself.err
    assert "no champion before this one" in back.err


@pytest.mark.parametrize(("pinned", "is_said"), [("", False), ("b" * 64, False), ("a" * 64, True)])
def test_a_pin_of_another_bundle_is_said(
    capsys: pytest.CaptureFixture[str], pinned: str, is_said: bool
) -> None:
    settings = load_settings(overrides={"bundle": {"digest": pinned}}, environment={})

    print_pin(settings, BundleRow("b" * 64, "next", "2", is_clinical=True))

    assert ("b" * 64 in capsys.readouterr().out) is is_said
