"""A side of a benchmark in a child of its own that measures when it is told to.

The parent writes lines `run N`, the child answers each with one line of JSON. So sides take turns
while each keeps its process, its memory and its settings.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Measured:
    """What one sample cost.

    Attributes:
        n: units done, as asked.
        seconds, cpu_s: on the wall, and of the process.
        faults: minor page faults.
        pss_mb: memory of the process afterwards, shared pages by halves; None without /proc.
    """

    n: int
    seconds: float
    cpu_s: float
    faults: int
    pss_mb: float | None

    @property
    def rate(self) -> float:
        """Units per second."""
        return self.n / self.seconds


class Worker:
    """The parent's end; the child ends with the `with` block."""

    def __init__(self, module: str, arguments: Sequence[str], environment: Mapping[str, str]):
        self._command = [sys.executable, "-m", module, *arguments]
        self._environment = {**os.environ, **environment}

    def __enter__(self) -> Self:
        self._child = subprocess.Popen(  # noqa: S603 - our own module
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._child.communicate()  # the end of its input ends it

    def run(self, n: int) -> Measured:
        """Raises: RuntimeError, the child has ended."""
        return Measured(**self.ask("run", n))

    def ask(self, word: str, n: int) -> Any:
        """What the child answers to a line of ours.

        Raises:
            RuntimeError: the child has ended.
        """
        if self._child.stdin is None or self._child.stdout is None:
            raise RuntimeError("not started")
        self._child.stdin.write(f"{word} {n}\n")
        self._child.stdin.flush()
        if not (answer := self._child.stdout.readline()):
            raise RuntimeError("the child has ended")
        return json.loads(answer)


def serve(run: Callable[[int], object], answers: Mapping[str, Callable[[int], object]]) -> None:
    """The child's end: until the input ends.

    Args:
        run: does so many units; measured at `run N`.
        answers: what else can be asked for, not measured.
    """
    # Libraries print to standard output; the parent shall not read that.
    own = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        word, n = line.split()
        answer = asdict(_measure(run, int(n))) if word == "run" else answers[word](int(n))
        own.write(json.dumps(answer) + "\n")
        own.flush()


def _measure(run: Callable[[int], object], n: int) -> Measured:
    faults, cpu, started = _faults(), time.process_time(), time.perf_counter()
    run(n)
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    return Measured(n, seconds, cpu_s, _faults() - faults, _pss_mb())


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _pss_mb() -> float | None:
    path = Path("/proc/self/smaps_rollup")
    if not path.exists():
        return None
    lines = path.read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss:")), None)
