"""One runtime and precision in a process of its own: `python -m ecgbatch.trial.side FOLDER`.

FOLDER holds a request (JSON) and the inputs; the answer (JSON) and the logits are written there.
The process loads what a scoring process loads, so that its peak memory means something.
"""

import json
import math
import os
import resource
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np

from ecgbatch.bundle.golden import Batch, Logits
from ecgbatch.bundle.load import load_bundle
from ecgbatch.errors import EcgbatchError
from ecgbatch.records import ModelInput
from ecgbatch.scoring.runtimes.registry import Wish
from ecgbatch.scoring.scorer import Scorer
from ecgbatch.terms import Numerics, ReasonCode

REQUEST, INPUTS, ANSWER, LOGITS = "request.json", "inputs.npy", "answer.json", "logits.npy"
_LEAST_S = 1.0
"""The passes that are timed take so long together, or one pass longer."""


def main(folder: Path) -> None:
    """Answer the request in the folder."""
    request = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    try:
        answer = _answer(request, folder)
    except EcgbatchError as fault:
        answer = {"reason": fault.reason, "detail": fault.detail}
    except MemoryError:
        answer = {"reason": ReasonCode.OUT_OF_MEMORY, "detail": ""}
    (folder / ANSWER).write_text(json.dumps(answer), encoding="utf-8")


def _answer(request: dict[str, Any], folder: Path) -> dict[str, Any]:
    scorer = _scorer(request)
    inputs: Batch = np.load(folder / INPUTS, allow_pickle=False)
    np.save(folder / LOGITS, _score(scorer, inputs), allow_pickle=False)  # and warms it up
    # Every stream busy to the end, and no batch in part.
    whole = scorer.batch * scorer.streams
    rows = list(islice(cycle(inputs), math.ceil(len(inputs) / whole) * whole))
    busy, started, own_started = _busy_s(), time.monotonic(), time.process_time()
    n_passes = 0
    while not n_passes or time.monotonic() - started < _LEAST_S:
        _score(scorer, rows)
        n_passes += 1
    seconds, own_s = time.monotonic() - started, time.process_time() - own_started
    n_ecgs = n_passes * len(rows)
    return {
        "version": scorer.runtime,
        "batch": scorer.batch,
        "streams": scorer.streams,
        "golden_difference": scorer.golden_difference,
        "ecgs_per_s": n_ecgs / seconds,
        "core_ms": 1000 * own_s / n_ecgs,
        "peak_mb": _peak_mb(),
        "others": None if busy is None else _others((_busy_s() or busy) - busy - own_s, seconds),
    }


def _scorer(request: dict[str, Any]) -> Scorer:
    """The weights are given back: a scoring process does not keep them either."""
    bundle = load_bundle(Path(request["bundle"]), expected_digest=request["digest"])
    precision, wish = Numerics(request["precision"]), Wish(**request["wish"])
    return Scorer(bundle, request["runtime"], precision, wish)


def _score(scorer: Scorer, inputs: Batch | Sequence[Batch]) -> Logits:
    """Batches of the runtime's own size on as many threads as it has streams, as a run does it."""
    size = scorer.batch
    parts = [
        [ModelInput(one, padded_samples=0) for one in inputs[first : first + size]]
        for first in range(0, len(inputs), size)
    ]
    with ThreadPoolExecutor(scorer.streams) as threads:
        risks = [each for part in threads.map(scorer.score, parts) for each in part]
    return np.array([[one.logit for one in each] for each in risks])


def _peak_mb() -> float:
    """Of this process alone: what the parent's memory was does not count, as it may in rusage."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        (peak,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(peak.split()[1]) / 1024
    except (OSError, ValueError):
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _busy_s() -> float | None:
    """Seconds that the machine's processors have been busy since it started; None: not told."""
    try:
        words = Path("/proc/stat").read_text(encoding="ascii").split()[1:9]
        *working, _idle, _wait, interrupts, soft, stolen = map(int, words)
    except (OSError, ValueError):
        return None
    return (sum(working) + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def _others(busy_s: float, seconds: float) -> float:
    """Share of the machine that other processes took."""
    return max(0.0, min(1.0, busy_s / (seconds * (os.cpu_count() or 1))))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
