"""Every runtime and precision in turn, each in a fresh process, over the same ECGs."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ecgbatch.bundle.golden import Batch, Logits
from ecgbatch.bundle.load import Bundle
from ecgbatch.child_environment import child_environment
from ecgbatch.scoring.runtimes.registry import RUNTIMES, Wish, available
from ecgbatch.terms import Numerics, ReasonCode
from ecgbatch.trial.agreement import Row, compare
from ecgbatch.trial.side import ANSWER, INPUTS, LOGITS, REQUEST

REFERENCE = ("torch", Numerics.FP32)

_LONGEST_S = 1800.0
_KEPT = (
    *("PATH", "LD_LIBRARY_PATH", "HOME", "XDG_CACHE_HOME", "TMPDIR", "LANG", "LC_ALL"),
    *("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"),
)


@dataclass(frozen=True, slots=True)
class Measured(Row):
    """A runtime and precision whose golden logits passed.

    Attributes:
        version: name and version of the runtime.
        core_ms: CPU time of the process for one ECG.
        peak_mb: largest resident memory of the process, with the runtime, the nets and the ECGs.
        others: share of the machine that other processes took meanwhile; None: not known.
    """

    version: str
    batch: int
    streams: int
    golden_difference: float
    core_ms: float
    peak_mb: float
    others: float | None


@dataclass(frozen=True, slots=True)
class NotMeasured:
    """A runtime or precision that cannot score this bundle here, and why."""

    runtime: str
    precision: Numerics
    reason: ReasonCode
    detail: str = field(default="")


Outcome = Measured | NotMeasured


def measure_each(
    bundle: Bundle, inputs: Batch, wish: Wish, progress: Callable[[str, Numerics], None]
) -> list[Outcome]:
    """The reference first, then the others in the registry's order; nothing is refused.

    Args:
        inputs: (n, 12, 5000), n at least 1.
        progress: hears what is measured now.
    """
    outcomes: list[Outcome] = []
    reference: Logits | None = None
    with TemporaryDirectory(prefix="ecgbatch-") as name:
        folder = Path(name)
        np.save(folder / INPUTS, inputs, allow_pickle=False)
        for runtime, precision in _sides():
            if (hindrance := _hindrance(bundle, runtime, precision)) is not None:
                outcomes.append(hindrance)
                continue
            progress(runtime, precision)
            _run_side(folder, bundle, runtime, precision, wish)
            if (runtime, precision) == REFERENCE:
                reference = _logits(folder)
            outcomes.append(_outcome(folder, bundle, runtime, precision, reference))
    return outcomes


def _sides() -> Iterator[tuple[str, Numerics]]:
    yield REFERENCE
    for runtime, known in RUNTIMES.items():
        for precision in known.precisions:
            if (runtime, precision) != REFERENCE:
                yield runtime, precision


def _hindrance(bundle: Bundle, runtime: str, precision: Numerics) -> NotMeasured | None:
    """What is known without starting a process."""
    if runtime not in available():
        words = "no device for it" if RUNTIMES[runtime].needs_device else "it is not installed"
        return NotMeasured(runtime, precision, ReasonCode.RUNTIME_MISSING, words)
    if precision not in bundle.manifest.golden_tolerance:
        words = f"the bundle has no tolerance for {precision}"
        return NotMeasured(runtime, precision, ReasonCode.BUNDLE_PRECISION, words)
    return None


def _run_side(folder: Path, bundle: Bundle, runtime: str, precision: Numerics, wish: Wish) -> None:
    """What the process has to say is in the folder afterwards, or nothing is."""
    for name in (ANSWER, LOGITS):
        (folder / name).unlink(missing_ok=True)
    request = {
        "bundle": str(bundle.location.absolute()),
        "digest": bundle.digest,
        "runtime": runtime,
        "precision": precision,
        "wish": asdict(wish),
    }
    (folder / REQUEST).write_text(json.dumps(request), encoding="utf-8")
    with subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-P", "-m", "ecgbatch.trial.side", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=child_environment(_KEPT),
        start_new_session=True,  # Ctrl-C is for this process, which then ends that one
    ) as process:
        try:
            process.wait(_LONGEST_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()


def _outcome(
    folder: Path, bundle: Bundle, runtime: str, precision: Numerics, reference: Logits | None
) -> Outcome:
    try:
        answer = json.loads((folder / ANSWER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        words = "its process ended without an answer"
        return NotMeasured(runtime, precision, ReasonCode.INTERNAL_FAULT, words)
    logits = _logits(folder)
    if logits is None or "reason" in answer:
        reason = ReasonCode(answer["reason"])
        return NotMeasured(runtime, precision, reason, answer["detail"])
    seen = None
    if reference is not None:
        seen = compare(reference, logits, bundle.manifest, precision)
    return Measured(runtime, precision, agreement=seen, **answer)


def _logits(folder: Path) -> Logits | None:
    """(n, n_tasks) of the side that ran last."""
    try:
        logits: Logits = np.load(folder / LOGITS, allow_pickle=False)
    except FileNotFoundError:
        return None
    return logits
