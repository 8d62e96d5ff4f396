"""Worker processes: replaced when they die, ended with the service however it ends."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ecgbatch.service import workers as module
from ecgbatch.service.workers import Workers
from tests.support.processes import is_alive

SLEEPS = """
    import pathlib, signal, sys, threading, time
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set() if {is_polite} else None)
    pathlib.Path({folder!r}, str(__import__("os").getpid())).touch()
    while not stop.wait(0.05): pass
    sys.exit(0)
"""


@pytest.fixture
def instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a program of the test's own in the place of `ecgbatch`."""

    def put(text: str) -> None:
        package = tmp_path / "path" / "ecgbatch"
        (package / "service").mkdir(parents=True)
        source = Path(module.__file__).parent
        for name in ("__init__.py", "child.py"):
            (package / "service" / name).write_text((source / name).read_text())
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(textwrap.dedent(text))
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))

    return put


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Callable[[], list[int]]]:
    """Processes that have begun, by the files they leave; whatever is left is killed."""
    folder = tmp_path / "pids"
    folder.mkdir()

    def begun() -> list[int]:
        return sorted(int(path.name) for path in folder.iterdir())

    yield begun
    for pid in begun():
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)


def wait_for(is_true: Callable[[], bool], workers: Workers | None = None) -> bool:
    deadline = time.monotonic() + 15
    while not is_true() and time.monotonic() < deadline:
        if workers is not None:
            workers.tend()
        time.sleep(0.02)
    return is_true()


def sleeper(tmp_path: Path, *, is_polite: bool) -> str:
    return SLEEPS.format(folder=str(tmp_path / "pids"), is_polite=is_polite)


def test_dead_worker_is_replaced_and_counted(
    instead: Callable[[str], None], pids: Callable[[], list[int]], tmp_path: Path
) -> None:
    instead(sleeper(tmp_path, is_polite=True))
    workers = Workers(2, ["work"])
    assert wait_for(lambda: len(pids()) == 2, workers)

    os.kill(pids()[0], signal.SIGKILL)
    assert wait_for(lambda: len(pids()) == 3, workers)

    assert workers.alive() == 2
    assert workers.restarts == 1
    assert workers.stop(10, lambda: False) == 0
    assert not any(map(is_alive, pids()))


def test_worker_that_ends_at_once_is_started_ever_more_rarely(
    instead: Callable[[str], None], tmp_path: Path
) -> None:
    instead(f"open({str(tmp_path / 'starts')!r}, 'a').write('x'); raise SystemExit(4)")
    workers = Workers(1, ["work"])
    until = time.monotonic() + 4.5
    while time.monotonic() < until:
        workers.tend()
        time.sleep(0.02)

    # After 1 s and 2 s more; without waiting it would be dozens.
    assert 2 <= len((tmp_path / "starts").read_text()) <= 3
    workers.stop(5, lambda: False)


def test_worker_that_does_not_end_in_time_is_killed(
    instead: Callable[[str], None], pids: Callable[[], list[int]], tmp_path: Path
) -> None:
    instead(sleeper(tmp_path, is_polite=False))
    workers = Workers(1, ["work"])
    assert wait_for(lambda: len(pids()) == 1, workers)

    started = time.monotonic()
    assert workers.stop(0.5, lambda: False) == 1
    assert time.monotonic() - started < 3
    assert not is_alive(pids()[0])


def test_second_wish_to_stop_waits_for_nobody(
    instead: Callable[[str], None], pids: Callable[[], list[int]], tmp_path: Path
) -> None:
    instead(sleeper(tmp_path, is_polite=False))
    workers = Workers(1, ["work"])
    assert wait_for(lambda: len(pids()) == 1, workers)

    started = time.monotonic()
    assert workers.stop(60, lambda: True) == 1
    assert time.monotonic() - started < 3


def test_killed_service_leaves_no_orphan(
    instead: Callable[[str], None], pids: Callable[[], list[int]], tmp_path: Path
) -> None:
    instead(sleeper(tmp_path, is_polite=True))
    # The service has the real package, its children the test's.
    service = textwrap.dedent(
        """
        import os, sys, time
        from ecgbatch.service.workers import Workers
        workers = Workers(2, ["work"], {"PYTHONPATH": sys.argv[1]})
        while True:
            workers.tend()
            time.sleep(0.05)
        """
    )
    root = Path(module.__file__).parents[2]
    running = subprocess.Popen(
        [sys.executable, "-c", service, str(tmp_path / "path")],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=tmp_path,
    )
    assert wait_for(lambda: len(pids()) == 2)

    running.kill()
    running.wait()
    assert wait_for(lambda: not any(map(is_alive, pids())))


def test_children_do_not_speak_for_the_service(
    instead: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    instead(f"import os; open({str(seen)!r}, 'w').write(repr(dict(os.environ)))")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    workers = Workers(1, ["work"], {"ECGBATCH_SCORING__THREADS": "1"})
    assert wait_for(lambda: seen.exists() and seen.read_text().endswith("}"), workers)
    workers.stop(5, lambda: False)

    assert "NOTIFY_SOCKET" not in seen.read_text()
    assert "ECGBATCH_SCORING__THREADS" in seen.read_text()


def test_worker_that_cannot_be_started_is_tried_again_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_more(*_: object, **__: object) -> None:
        raise BlockingIOError

    workers = Workers(1, ["work"])
    monkeypatch.setattr(module.subprocess, "Popen", no_more)
    workers.tend()
    first = workers._places[0].due
    workers.tend()

    assert workers.alive() == 0
    assert first > time.monotonic()
    assert workers._places[0].due == first
