"""`ecgbatch` commands in processes forked from one that has imported everything once.

Importing torch costs each command some seconds of processor time, and the tests start hundreds.
A child has arguments, environment, folder and channels of its own, as a new process has; what it
does not prove is that the imports themselves work, which the tests that start `python -m
ecgbatch` for real do.

The server reads one JSON object per line and answers with one.
"""

import atexit
import importlib
import json
import os
import pkgutil
import runpy
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PROJECT = Path(__file__).parents[2]
_HEAVY = ("torch", "scipy.signal", "pandas", "pyarrow.parquet", "wfdb", "ecgbatch.cli.main")
_servers: dict[int, "subprocess.Popen[str]"] = {}


@dataclass(frozen=True)
class Request:
    arguments: list[str]
    environment: dict[str, str]
    cwd: str
    timeout_s: float = field(default=240.0)


def run(request: Request) -> tuple[int, str, str]:
    """Exit code, standard output, standard error.

    Raises:
        TimeoutError: the command did not end in time; it was killed.
    """
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    with tempfile.TemporaryDirectory(prefix="command-") as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        asked = {**vars(request), "out": str(out), "err": str(err)}
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        answer = server.stdout.readline()
        if not answer:
            raise RuntimeError(f"the command server ended: {server.wait()}")
        code = json.loads(answer)
        if code is None:
            raise TimeoutError(f"{request.arguments[:1]} took more than {request.timeout_s} s")
        return int(code), out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")


def _server() -> "subprocess.Popen[str]":
    """One per test process: a forked pytest worker starts its own."""
    if os.getpid() not in _servers:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.command_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_PROJECT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            text=True,
        )
        _servers[os.getpid()] = server
        atexit.register(_stop, server)
    return _servers[os.getpid()]


def _stop(server: "subprocess.Popen[str]") -> None:
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.close()
    server.wait(30)
    server.stdout.close()


def _serve() -> None:
    for name in _HEAVY:
        importlib.import_module(name)
    package = importlib.import_module("ecgbatch")
    for module in pkgutil.walk_packages(package.__path__, "ecgbatch."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for line in sys.stdin:
        request = json.loads(line)
        sys.stdout.write(json.dumps(_answer(request)) + "\n")
        sys.stdout.flush()


def _answer(request: dict[str, Any]) -> int | None:
    pid = os.fork()
    if not pid:
        _become(request)
    until = time.monotonic() + request["timeout_s"]
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return None


def _become(request: dict[str, Any]) -> None:
    """What a new interpreter would be for `python -m ecgbatch ...`; does not return."""
    code: Any = 70
    try:
        for number, path in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            opened = os.open(path, flags, 0o600)
            os.dup2(opened, number)
            os.close(opened)
        os.environ.clear()
        os.environ.update(request["environment"])
        time.tzset()
        os.chdir(request["cwd"])
        sys.argv = ["ecgbatch", *request["arguments"]]
        runpy.run_module("ecgbatch", run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as wish:
        code = wish.code
    except BaseException:  # noqa: BLE001 - a child never goes on as a second server
        traceback.print_exc()
    finally:
        if isinstance(code, str):
            sys.stderr.write(f"{code}\n")
            code = 1
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)


if __name__ == "__main__":
    _serve()
