"""A bundle's files are swapped, cut and damaged while runs score with it (M1)."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecgbatch.bundle.golden import golden_inputs
from ecgbatch.bundle.load import load_bundle
from ecgbatch.bundle.members import parse_member
from ecgbatch.errors import SetupFault
from ecgbatch.isolation.here import decode_here
from ecgbatch.net.checkpoint import build_net
from ecgbatch.net.ensemble import mean_logits
from ecgbatch.preprocessing.apply import to_input
from ecgbatch.records import Member, RecordingBytes
from ecgbatch.scoring.runtimes.registry import Wish
from ecgbatch.scoring.scorer import Scorer
from ecgbatch.terms import Numerics, ReasonCode
from tests.faults.ecg_files import FORMATS, ecg, put
from tests.faults.held_weights import WEIGHTS
from tests.faults.place import Place, place
from tests.support.bundles import save_small_bundle

TIMES = 20
PER_RUN = 4
BUNDLE_REASONS = {ReasonCode.BUNDLE_DIGEST, ReasonCode.BUNDLE_INVALID, ReasonCode.BUNDLE_MISSING}
SCP = next(fmt for fmt in FORMATS if fmt.name == "scp")


def overwritten(weights: Path, other: bytes) -> None:
    """In place, as `cp` and rsync --inplace do: who has the file mapped sees it."""
    with weights.open("r+b") as file:
        file.write(other)


def cut(weights: Path, other: bytes) -> None:
    with weights.open("r+b") as file:
        file.truncate(len(other) // 3)


def damaged(weights: Path, other: bytes) -> None:
    with weights.open("r+b") as file:
        file.seek(len(other) // 2)
        file.write(os.urandom(4096))


def swapped(weights: Path, other: bytes) -> None:
    passing = weights.with_name("passing")
    passing.write_bytes(other)
    passing.rename(weights)


HOW: tuple[Callable[[Path, bytes], None], ...] = (overwritten, cut, damaged, swapped)


@pytest.fixture
def hospital(tmp_path: Path) -> Place:
    """A champion, and weights of the same shape with other numbers."""
    made = place(tmp_path)
    shutil.copytree(made.bundle, tmp_path / "champion")
    return made


def other_weights(weights: bytes) -> bytes:
    """The same tensors, every number of the second half of the file a little larger."""
    half = len(weights) // 2 // 4 * 4
    numbers = np.frombuffer(weights[-half:], dtype="<f4") * np.float32(1.01)
    return weights[:-half] + numbers.astype("<f4").tobytes()


def test_each_result_is_of_the_bundle_that_it_names(hospital: Place, tmp_path: Path) -> None:
    weights = hospital.bundle / WEIGHTS
    good = weights.read_bytes()
    ended = threading.Event()

    def trouble() -> None:
        try:
            for turn in range(TIMES):
                HOW[turn % len(HOW)](weights, other_weights(good))
                time.sleep(0.05 + 0.03 * (turn % 5))
                swapped(weights, good)
                time.sleep(0.1 + 0.05 * (turn % 7))
        finally:
            ended.set()

    hospital.run()
    seed, refused, runs = 0, set(), 0
    thread = threading.Thread(target=trouble)
    thread.start()
    while not ended.is_set():
        for _ in range(PER_RUN):
            seed += 1
            put(hospital.root / f"{seed:03}", ecg(SCP, seed))
        runs += 1
        try:
            hospital.run()
        except SetupFault as fault:
            refused.add(fault.reason)
    thread.join()
    last = hospital.run()

    assert last.counts["scored"] == seed  # type: ignore[index]
    assert refused <= BUNDLE_REASONS
    assert refused, f"{runs} runs met no damage"
    champion = Scorer(load_bundle(tmp_path / "champion"), wish=Wish(threads=1))
    found = hospital.ask(
        "SELECT i.locator, t.bundle_digest, s.task, s.logit FROM score s JOIN result t"
        " USING (result_id) JOIN item i USING (recording_id)"
    )
    assert {row["bundle_digest"] for row in found} == {champion.bundle.digest}
    tolerance = champion.bundle.manifest.golden_tolerance[champion.precision]
    logits = {
        f"{n:03}/{ecg(SCP, n).members[0].name}": replayed(champion, ecg(SCP, n))
        for n in range(1, seed + 1)
    }
    assert len(found) == 4 * seed
    for row in found:
        assert abs(row["logit"] - logits[row["locator"]][row["task"]]) <= tolerance


def replayed(scorer: Scorer, source: RecordingBytes) -> dict[str, float]:
    recording = decode_here(RecordingBytes((Member("a", source.first),)))
    spec = scorer.bundle.manifest.preprocessing
    (risks,) = scorer.score([to_input(recording.signal, recording.sampling_frequency, spec)])
    return {risk.task: risk.logit for risk in risks}


def test_control_the_comparison_sees_weights_that_are_not_the_champions(tmp_path: Path) -> None:
    save_small_bundle(tmp_path / "bundle")
    bundle = load_bundle(tmp_path / "bundle")
    changed = other_weights((tmp_path / "bundle" / WEIGHTS).read_bytes())
    architecture = bundle.manifest.architecture
    net = build_net(architecture, parse_member(changed, architecture))

    logits = mean_logits(
        (net,), golden_inputs(bundle.golden_signals_mv, bundle.manifest.preprocessing)
    )

    assert (
        np.abs(logits - bundle.golden_logits).max()
        > bundle.manifest.golden_tolerance[Numerics.FP32]
    )


def asked_again(folder: Path, how: str) -> tuple[list[str], int]:
    """What a process that holds the net says: before, after `overwritten`, after `cut`."""
    weights = folder / WEIGHTS
    other = other_weights(weights.read_bytes())
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.held_weights", folder, how],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        said = [process.stdout.readline()]
        for change in (overwritten, cut):
            change(weights, other)
            process.stdin.write("again\n")
            process.stdin.flush()
            said.append(process.stdout.readline())
        process.stdin.close()
        return said, process.wait()


@pytest.mark.parametrize(
    ("how", "is_steady"),
    [("bytes", True), pytest.param("mapped", False, id="control: mapped, as load_file loads")],
)
def test_net_in_use_does_not_see_its_files_change(
    tmp_path: Path, how: str, is_steady: bool
) -> None:
    save_small_bundle(tmp_path / "bundle")

    said, exit_code = asked_again(tmp_path / "bundle", how)

    assert (len(set(said)) == 1) is is_steady
    assert (exit_code == 0) is is_steady
    assert is_steady or exit_code == -signal.SIGBUS
