"""Workers forked from a server that has imported everything once.

The server reads one JSON object per line: `{"do": NAME, "with": {...}}` forks a child that runs
`tests.faults.children.NAME(**with)` and answers with its process id. The children die with it.
"""

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_PR_SET_PDEATHSIG = 1
_PROJECT = Path(__file__).parents[2]


class ForkServer:
    """The server as its user sees it; for use in a `with` block.

    Args:
        log: standard error of the server and all children, JSON lines of the product's log.
    """

    def __init__(self, log: Path) -> None:
        with log.open("ab") as opened:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.fork_server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=opened,
                cwd=_PROJECT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                text=True,
            )
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(30)
        self._server.stdout.close()

    @property
    def process_id(self) -> int:
        return self._server.pid

    def fork(self, name: str, **arguments: Any) -> int:
        """Start a child; returns its process id."""
        return int(self._ask({"do": name, "with": arguments}))

    def warm(self, config: Path) -> None:
        """Load the champion's net once, for all children to come."""
        self._ask({"warm": str(config)})

    def wait(self, pid: int, timeout_s: float = 120.0) -> int:
        """Wait for a child to end; its exit code, negative for a signal."""
        until = time.monotonic() + timeout_s
        while (code := self._ask({"ended": pid})) is None:
            if time.monotonic() > until:
                raise TimeoutError(f"child {pid}")
            time.sleep(0.005)
        return int(code)

    def has_ended(self, pid: int) -> bool:
        return self._ask({"ended": pid}) is not None

    def run(self, name: str, **arguments: Any) -> int:
        return self.wait(self.fork(name, **arguments))

    def _ask(self, question: dict[str, Any]) -> Any:
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(question) + "\n")
        self._server.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        if not line:
            raise RuntimeError(f"the fork server ended: {self._server.wait()}")
        return json.loads(line)


def kill(pid: int, how: signal.Signals = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, how)


def _serve() -> None:
    children = importlib.import_module("tests.faults.children")
    ended: dict[int, int] = {}
    _tell(0)
    for line in sys.stdin:
        question = json.loads(line)
        answer: int | None = 0
        if "do" in question:
            answer = _fork(getattr(children, question["do"]), question["with"])
        elif "warm" in question:
            children.warm(question["warm"])
        else:
            answer = _end_of(question["ended"], ended)
        _tell(answer)


def _tell(answer: int | None) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _end_of(pid: int, ended: dict[int, int]) -> int | None:
    if pid not in ended:
        done, status = os.waitpid(pid, os.WNOHANG)
        if not done:
            return None
        ended[pid] = os.waitstatus_to_exitcode(status)
    return ended[pid]


def _fork(act: Any, arguments: dict[str, Any]) -> int:
    server = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server:
            os._exit(code)
        # The server's channels are not the child's.
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        code = int(act(**arguments) or 0)
    except BaseException:  # noqa: BLE001 - a child never goes on as a second server
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    _serve()
