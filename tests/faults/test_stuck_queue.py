"""An ECG on which the program itself fails does not keep those behind it from being scored."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.faults.field import Field, count, lay_out
from tests.faults.fork_server import ForkServer
from tests.support.many import write_many

_N_FILES = 20


@pytest.fixture
def field(tmp_path: Path, empty_database_url: str) -> Field:
    field = lay_out(tmp_path / "field", empty_database_url, settings="[work]\nidle_s = 0.05\n")
    write_many(field.inbox, _N_FILES)
    return field


@pytest.fixture
def server(field: Field) -> Iterator[ForkServer]:
    with ForkServer(field.home / "workers.log") as started:
        started.warm(field.config)
        yield started


@pytest.mark.parametrize("without", ["", "blame"])
def test_a_fault_of_the_program_costs_one_ecg(
    field: Field, server: ForkServer, without: str
) -> None:
    """Control: given back like the others, the ECG is the first again in every life."""
    assert server.run("scan", config=str(field.config)) == 0
    how = {"config": str(field.config), "drain": True, "in_process": True, "without": without}
    codes = [server.run("worker", fails_on="ecg000000.xml", **how) for _ in range(6)]

    engine = field.engine()
    found = count(engine, _N_FILES)
    with engine.connect() as connection:
        reasons = connection.execute(
            text("SELECT reason FROM work WHERE state = 'quarantined'")
        ).scalars()
        set_aside = list(reasons)
    engine.dispose()
    if without:
        assert found.dispositions == {"waiting": _N_FILES}
        return
    assert codes[0] == 70
    assert codes[-1] == 1  # drained, and one waits for a person
    assert found.dispositions == {"scored": _N_FILES - 1, "failed": 1}
    assert set_aside == ["crash_loop"]
    assert found.broken == ()
