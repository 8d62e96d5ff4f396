"""An ECG for which the machine has too little memory costs nobody else (M2).

A batch has one shape, so there is none to halve. The reader process has a limit of its own, whose
reason `reader_memory` stands beside the other failures of readers.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ecgbatch.bundle.load import load_bundle
from ecgbatch.records import ModelInput
from ecgbatch.scoring.runtimes.registry import Wish
from ecgbatch.scoring.scorer import Scorer
from tests.support.bundles import save_small_bundle

SCORED = ["scored", None]


def run(folder: Path, how: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.memory_run", folder, how],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_ecg_that_needs_too_much_waits_and_the_others_are_scored(tmp_path: Path) -> None:
    found = run(tmp_path, "caught")

    assert found["errors"] == [None, None, None]
    assert found["short"] == {
        "0": SCORED,
        "1-long": ["waiting", "out_of_memory"],
        "2": SCORED,
        "3": SCORED,
    }
    assert found["enough"]["1-long"] == SCORED


def test_control_otherwise_it_ends_the_run_and_says_no_reason(tmp_path: Path) -> None:
    found = run(tmp_path, "not caught")

    assert found["errors"][0] == "MemoryError"
    assert found["short"]["1-long"][1] != "out_of_memory"


def test_net_without_memory_says_so_in_torchs_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_small_bundle(tmp_path / "bundle")
    scorer = Scorer(load_bundle(tmp_path / "bundle"), wish=Wish(threads=1))

    def greedy(_: object) -> object:
        return torch.empty(1 << 50)

    monkeypatch.setattr(scorer._runtime, "logits", greedy)
    given = ModelInput(scorer.bundle.golden_signals_mv[0], 0)

    with pytest.raises(MemoryError):
        scorer.score([given])
