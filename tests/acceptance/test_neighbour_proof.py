"""The risk of an ECG is its own, whatever is scored beside it, in any order, begun anew or not."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.command import ecgbatch, rows
from tests.support.bundles import save_small_bundle
from tests.support.ecgs import heartbeats, write_wfdb
from tests.support.many import write_many

_N_EACH = 11
"""Of two formats: neither their sum nor a half of it is a multiple of a batch."""
_LOGITS = (
    "SELECT recording.file_digest, score.task, score.logit, score.probability, result.runtime"
    " FROM score JOIN result USING (result_id) JOIN recording USING (recording_id)"
)

Scores = dict[tuple[str, str], tuple[float, float]]
"""(file digest, task) -> (logit, probability)."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "small"
    save_small_bundle(folder)
    return folder


@pytest.fixture(scope="module")
def ecgs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ecgs")
    write_many(folder, _N_EACH)
    for number in range(_N_EACH):
        write_wfdb(folder, f"e{number:02}", heartbeats(number))
    return folder


def _arguments(source: Path, database: Path, bundle: Path) -> list[str]:
    words = ["run-once", "--source", source, "--db", f"sqlite:///{database}", "--bundle", bundle]
    return [*map(str, words), "--settle", "0"]


def _scored(source: Path, database: Path, bundle: Path, runtime: str, **environment: str) -> Scores:
    ended = ecgbatch(
        *_arguments(source, database, bundle),
        ECGBATCH_SCORING__RUNTIME=runtime,
        **environment,
    )
    assert ended.exit_code == 0, ended.err
    return _scores(database, runtime)


def _scores(database: Path, runtime: str) -> Scores:
    found = rows(database, _LOGITS)
    assert {row["runtime"].split()[0] for row in found} == {runtime}
    return {(row["file_digest"], row["task"]): (row["logit"], row["probability"]) for row in found}


def _killed(words: list[str], database: Path, runtime: str) -> int:
    """How many results there are after a kill in the middle."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ECGBATCH_")},
        "OMP_NUM_THREADS": "1",
        "ECGBATCH_SCORING__RUNTIME": runtime,
        "ECGBATCH_WORK__WRITE": "1",
    }
    running = subprocess.Popen(
        [sys.executable, "-m", "ecgbatch", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    while running.poll() is None and _n_results(database) == 0:
        time.sleep(0.005)
    running.send_signal(signal.SIGKILL)
    running.wait()
    return _n_results(database)


def _n_results(database: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM result").fetchone()[0])
    except sqlite3.OperationalError:  # not there, or without tables yet
        return 0


@pytest.mark.parametrize("runtime", ["torch", "openvino", "onnx"])
def test_a_risk_depends_on_nothing_but_its_ecg(
    ecgs: Path, bundle: Path, tmp_path: Path, runtime: str
) -> None:
    together = _scored(ecgs, tmp_path / "all.db", bundle, runtime)
    assert len(together) == 2 * _N_EACH * 4

    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "one.xml").write_bytes((ecgs / "ecg000007.xml").read_bytes())
    single = _scored(alone, tmp_path / "alone.db", bundle, runtime)
    assert len(single) == 4
    assert single.items() <= together.items()

    turned = tmp_path / "turned"
    turned.mkdir()
    for number in range(_N_EACH):
        content = (ecgs / f"ecg{number:06d}.xml").read_bytes()
        (turned / f"z{_N_EACH - number:02}.xml").write_bytes(content)
    sizes = {"ECGBATCH_WORK__DECODERS": "2", "ECGBATCH_WORK__CLAIM": "3"}
    others = _scored(turned, tmp_path / "turned.db", bundle, runtime, **sizes)
    assert len(others) == _N_EACH * 4
    assert others.items() <= together.items()

    shape = {"ECGBATCH_SCORING__BATCH": "3", "ECGBATCH_SCORING__STREAMS": "1"}
    reshaped = _scored(ecgs, tmp_path / "shape.db", bundle, runtime, **shape)
    assert reshaped.keys() == together.keys()
    assert max(abs(reshaped[key][1] - together[key][1]) for key in together) <= 1e-6


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_a_run_that_was_killed_goes_on_with_the_same_risks(
    ecgs: Path, bundle: Path, tmp_path: Path, runtime: str
) -> None:
    together = _scored(ecgs, tmp_path / "all.db", bundle, runtime)
    database = tmp_path / "killed.db"
    n_before = _killed(_arguments(ecgs, database, bundle), database, runtime)
    assert 0 < n_before < 2 * _N_EACH

    assert _scored(ecgs, database, bundle, runtime) == together


def test_every_runtime_gives_the_risks_of_the_reference(
    ecgs: Path, bundle: Path, tmp_path: Path
) -> None:
    reference = _scored(ecgs, tmp_path / "torch.db", bundle, "torch")
    for runtime in ("openvino", "onnx"):
        found = _scored(ecgs, tmp_path / f"{runtime}.db", bundle, runtime)
        assert max(abs(found[key][1] - reference[key][1]) for key in reference) <= 1e-6
