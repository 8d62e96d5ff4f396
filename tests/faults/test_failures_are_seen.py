"""Every way to fail is seen, and stays seen until somebody acknowledges it (O1)."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ecgbatch.cli.acknowledge import command as acknowledge
from ecgbatch.cli.status import command as status
from ecgbatch.service.exposition import render
from ecgbatch.service.metrics import Own, metrics
from ecgbatch.service.monitor import Snapshot
from ecgbatch.store import health
from ecgbatch.store.engine import open_engine, transaction
from ecgbatch.terms import Disposition, ExitCode
from tests.faults.bad_files import BAD, Bad, install_traps
from tests.faults.place import Place, place

NEED_SOMEONE = [bad for bad in BAD if bad.disposition != "rejected"]


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Every bad file in a folder of its own, after one run without any grace."""
    folder = tmp_path_factory.mktemp("failed")
    install_traps(folder / "packages")
    made = place(folder, grace_s=0.0, plug_ins=["trap"])
    for bad in BAD:
        (made.root / bad.reason).mkdir()
        bad.make(made.root / bad.reason)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder / "packages")
        summary = made.run()
    assert summary.exit_code == ExitCode.ATTENTION
    assert summary.attention == len(NEED_SOMEONE)
    assert summary.counts[Disposition.WAITING] == 0
    return made


def at(bad: Bad) -> str:
    return f"{bad.reason}/bad.%"


def test_there_are_enough_kinds() -> None:
    assert len({bad.reason for bad in NEED_SOMEONE}) == len(NEED_SOMEONE) >= 25


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.reason)
def test_each_is_one_row_of_v_failures_and_one_event(failed: Place, bad: Bad) -> None:
    found = failed.ask("SELECT * FROM v_failures WHERE locator LIKE ?", at(bad))
    events = failed.ask(
        "SELECT e.reason FROM event e JOIN item i USING (item_id)"
        " WHERE e.kind = 'finished' AND i.locator LIKE ?",
        at(bad),
    )

    assert [(row["disposition"], row["reason"]) for row in found] == [(bad.disposition, bad.reason)]
    assert [row["reason"] for row in events] == [bad.reason]


def called(database: Path, *arguments: str) -> Result:
    command = acknowledge if "--reason" in arguments else status
    return CliRunner().invoke(command, ["--db", f"sqlite:///{database}", *arguments])


def shown(result: Result) -> Any:
    assert result.stdout, result.output
    return json.loads(result.stdout)


def moved(database: Path) -> list[str]:
    """The samples of `failures_open` in what /metrics shows of this ledger."""
    engine = open_engine(f"sqlite:///{database}")
    with transaction(engine) as connection:
        seen = health.read(connection)
    engine.dispose()
    page = render(metrics(Snapshot(health=seen), Own("0", 1, 0, 0.0, 60.0, {})))
    return [line for line in page.splitlines() if line.startswith("ecgbatch_failures_open{")]


@pytest.mark.parametrize("bad", NEED_SOMEONE, ids=lambda bad: bad.reason)
def test_each_alone_raises_exit_code_and_metric_until_it_is_acknowledged(
    failed: Place, bad: Bad, tmp_path: Path
) -> None:
    database = tmp_path / "ecg.db"
    shutil.copy(failed.database, database)
    others = failed.ask("SELECT item_id FROM v_failures WHERE locator NOT LIKE ?", at(bad))
    numbers = [str(row["item_id"]) for row in others]
    assert called(database, "--reason", "known", *numbers).exit_code == ExitCode.DONE

    before, metric_before = called(database, "--json"), moved(database)
    noted = called(database, "--json", "--code", str(bad.reason), "--reason", "told the vendor")
    after, metric_after = called(database, "--json"), moved(database)

    assert before.exit_code == ExitCode.ATTENTION
    assert shown(before)["attention"] == 1
    assert bad.reason in {one["reason"] for one in shown(before)["reasons"]}
    assert shown(noted) == {"acknowledged": 1}
    assert after.exit_code == ExitCode.DONE
    assert shown(after)["attention"] == 0
    assert metric_before == [f'ecgbatch_failures_open{{reason="{bad.reason}"}} 1']
    assert metric_after == []


def test_all_of_them_together_are_one_each_in_the_metric(failed: Place) -> None:
    lines = [f'ecgbatch_failures_open{{reason="{bad.reason}"}} 1' for bad in NEED_SOMEONE]

    assert sorted(moved(failed.database)) == sorted(lines)


def test_an_empty_ledger_shows_no_failure(tmp_path: Path) -> None:
    made = place(tmp_path)
    assert made.run().exit_code == ExitCode.DONE

    assert moved(made.database) == []


def test_rejected_ones_are_listed_but_need_nobody(failed: Place, tmp_path: Path) -> None:
    database = tmp_path / "ecg.db"
    shutil.copy(failed.database, database)
    need = failed.ask("SELECT item_id FROM v_failures WHERE disposition <> 'rejected'")
    numbers = [str(row["item_id"]) for row in need]
    assert called(database, "--reason", "known", *numbers).exit_code == ExitCode.DONE

    listed = called(database, "--json", "--failures")

    assert listed.exit_code == ExitCode.DONE
    rejected = [one for one in shown(listed)["failures"] if one["disposition"] == "rejected"]
    assert len(rejected) == len(BAD) - len(NEED_SOMEONE)
