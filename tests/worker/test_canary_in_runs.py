"""One canary per run on both databases: it stands in `run` alone, and may end the run."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text

from ecgbatch import bench as bench_module
from ecgbatch.bundle.load import Bundle
from ecgbatch.errors import SetupFault
from ecgbatch.lifecycle import activate
from ecgbatch.pipeline import Instruments
from ecgbatch.run import run_once, scan_once
from ecgbatch.scoring.scorer import Scorer
from ecgbatch.settings import load_settings
from ecgbatch.store import proofs, standing
from ecgbatch.store.engine import open_engine, transaction
from ecgbatch.terms import BundleRole, Canary, ReasonCode
from ecgbatch.work import work
from ecgbatch.working import Reporter
from tests.faults.field import Field, lay_out
from tests.support.bundles import save_small_bundle
from tests.support.many import write_many

QUIET = Reporter(notice=lambda line: None, progress=lambda reading: None)
WRONG_READER = """
import numpy as np
from ecgbatch.readers import numpy_array
NAME, VERSION = "drift", "1"
_values = numpy_array._values
numpy_array._values = lambda content: _values(content) * 1.001
def recognises(head): return False
def read(source): raise NotImplementedError
"""


@pytest.fixture
def field(tmp_path: Path, empty_database_url: str) -> Field:
    return lay_out(tmp_path, empty_database_url)


@pytest.fixture
def engine(field: Field) -> Iterator[Engine]:
    opened = field.engine()
    yield opened
    opened.dispose()


def _contents(engine: Engine) -> dict[str, Any]:
    """How many rows every table and view has, those of the runs aside."""
    names = inspect(engine).get_table_names() + inspect(engine).get_view_names()
    with engine.connect() as connection:
        return {
            name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in names
            if name not in ("run", "v_run_health", "heartbeat")
        }


def _runs(engine: Engine, kind: str) -> list[tuple[int | None, str | None]]:
    with engine.connect() as connection:
        found = text("SELECT exit_code, canary FROM run WHERE kind = :kind ORDER BY run_id")
        return [tuple(row) for row in connection.execute(found, {"kind": kind})]  # type: ignore[misc]


def _tampered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that change once the golden ECGs were reproduced with them."""
    load = bench_module.load_scorer

    def loaded(*given: Any) -> Scorer:
        scorer: Scorer = load(*given)
        logits = scorer._runtime.logits
        monkeypatch.setattr(scorer._runtime, "logits", lambda batch: logits(batch) + 0.01)
        return scorer

    monkeypatch.setattr(bench_module, "load_scorer", loaded)


def test_canary_of_a_run_stands_in_its_row_alone(field: Field, engine: Engine) -> None:
    write_many(field.inbox, 2)
    settings = load_settings(field.config)
    assert run_once(settings, QUIET).finished == {"scored": 2}
    before = _contents(engine)
    assert before["result"] == before["v_latest_risk"] == before["item"] == 2

    assert run_once(settings, QUIET).exit_code == 0

    # Nothing to do: no weights, no canary.
    assert _runs(engine, "run-once") == [(0, "passed"), (0, None)]
    assert _contents(engine) == before


def test_second_look_scores_with_what_the_canary_of_the_run_proved(
    field: Field, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_many(field.inbox, 1)
    scan_once(load_settings(field.config), QUIET)
    write_many(field.inbox, 1, first=1)
    sent: list[int] = []

    def passes(instruments: Instruments, bundle: Bundle, number: int) -> Canary:
        sent.append(number)
        return Canary.PASSED

    monkeypatch.setattr(bench_module, "send", passes)
    settings = load_settings(field.config, {"stability": {"settle_s": 0.3}})

    assert run_once(settings, QUIET).finished == {"scored": 2}

    assert len(sent) == 1


def test_challenger_whose_canary_differs_is_put_aside_and_no_machine_is_unfit(
    field: Field, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_many(field.inbox, 1)
    settings = load_settings(field.config)
    second = field.home / "second"
    save_small_bundle(second, name="second demonstration")
    owner = open_engine(field.url)
    activate(owner, settings, second, "trial", role=BundleRole.CHALLENGER, since=None)
    owner.dispose()
    send = bench_module.send

    def differs(instruments: Instruments, bundle: Bundle, number: int) -> Canary:
        is_second = bundle.manifest.name == "second demonstration"
        return Canary.NET if is_second else send(instruments, bundle, number)

    with monkeypatch.context() as patch:
        patch.setattr(bench_module, "send", differs)
        assert run_once(settings, QUIET).exit_code == 0
    with transaction(engine) as connection:
        (one,) = standing.challenges(connection)
        found = proofs.read(connection)
    assert (one.reason, one.results, one.waiting) == (ReasonCode.CANARY_DIFFERS, 0, 1)
    assert _runs(engine, "challenger")[0] == (4, "differs: net")
    assert found.canary is not None
    assert (found.canary.outcome, found.unfit_machines) == ("passed", 0)

    assert run_once(settings, QUIET).exit_code == 0

    assert _runs(engine, "challenger")[-1] == (0, "passed")


def test_run_whose_canary_differs_scores_nothing(
    field: Field, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_many(field.inbox, 2)
    settings = load_settings(field.config)
    scan_once(settings, QUIET)
    before = _contents(engine)

    with monkeypatch.context() as patch:
        _tampered(patch)
        with pytest.raises(SetupFault, match="net") as run_fault:
            run_once(settings, QUIET)
        with pytest.raises(SetupFault, match="net"):
            work(settings, QUIET, drain=True, stop=threading.Event())

    assert run_fault.value.reason is ReasonCode.CANARY_DIFFERS
    assert _contents(engine) == before
    assert _runs(engine, "run-once") == _runs(engine, "work") == [(4, "differs: net")]

    # The weights are as they were: the same ECGs are scored, and one canary is enough for a run.
    assert work(settings, QUIET, drain=True, stop=threading.Event()).finished == {"scored": 2}
    assert _runs(engine, "work")[1:] == [(0, "passed")]


def test_reader_process_that_reads_wrongly_scores_nothing(
    field: Field, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plug-in that changes what the other readers of its process read."""
    packages = field.home / "packages"
    metadata = packages / "drift-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: drift\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[ecgbatch.readers]\ndrift = drift_reader\n")
    (packages / "drift_reader.py").write_text(WRONG_READER)
    monkeypatch.syspath_prepend(packages)
    write_many(field.inbox, 1)
    settings = load_settings(field.config, {"isolation": {"plug_ins": ["drift"]}})

    with pytest.raises(SetupFault, match="signal"):
        run_once(settings, QUIET)

    assert _runs(engine, "run-once") == [(4, "differs: signal")]
    assert _contents(engine)["result"] == 0


def test_gates_that_let_no_golden_ecg_through_are_said_and_the_run_goes_on(
    field: Field, engine: Engine
) -> None:
    write_many(field.inbox, 1)
    gates = {"quality": {"amplitude": {"limit": 0.001}}}

    assert run_once(load_settings(field.config, gates), QUIET).finished == {"rejected": 1}
    assert _runs(engine, "run-once") == [(0, "not sent")]
