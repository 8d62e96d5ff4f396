"""What scores loads no torch where it needs none, asks no network and leaves nothing in a home."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ecgbatch.resources import demonstration

_WATCH = """
import socket

def _refused(*given, **named):
    with open({attempts!r}, "a") as file:
        file.write("asked\\n")
    raise OSError

_connect = socket.socket.connect
def _local(self, address):
    return _connect(self, address) if self.family == socket.AF_UNIX else _refused()

socket.socket.connect = _local
socket.getaddrinfo = socket.gethostbyname = _refused
"""
_SCORE = """
import sys
from ecgbatch.cli.main import cli
cli(sys.argv[1:], standalone_mode=False)
assert "torch" not in sys.modules, "torch"
assert "openvino" in sys.modules, "no openvino"
"""
_SCORE_ONNX = """
import sys
from pathlib import Path
from ecgbatch.bundle.load import load_bundle
from ecgbatch.scoring.scorer import Scorer
Scorer(load_bundle(Path(sys.argv[1])), "onnx")
assert "torch" not in sys.modules, "torch"
"""


class Home:
    """A fresh home, and a note of every attempt to reach the network that Python makes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.attempts, watch = folder / "attempts", folder / "watch"
        self.home.mkdir()
        watch.mkdir()
        # Read by every Python that is started with this path, the converting process too.
        (watch / "sitecustomize.py").write_text(_WATCH.format(attempts=str(self.attempts)))
        unwanted = ("CI", "XDG_", "ORT_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
        path = os.pathsep.join((str(watch), *sys.path))
        self._environment = {**kept, "HOME": str(self.home), "PYTHONPATH": path}

    def run(self, code: str, *arguments: object) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            env=self._environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def left(self) -> set[str]:
        """Files in the home that are not in our own cache."""
        files = {path for path in self.home.rglob("*") if not path.is_dir()}
        ours = self.home / ".cache" / "ecgbatch"
        return {str(path.relative_to(self.home)) for path in files if ours not in path.parents}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_run_with_openvino_is_quiet_and_loads_no_torch(home: Home) -> None:
    source = home.folder / "source"
    source.mkdir()
    for path in (demonstration("samples") / "wfdb").glob("HR06000.*"):
        shutil.copy(path, source)
    database = f"sqlite:///{home.folder / 'ecg.db'}"

    out = home.run(
        _SCORE, "run-once", "--source", source, "--db", database, "--json", "--settle", 0
    )

    assert json.loads(out)["counts"]["scored"] == 1
    assert not home.attempts.exists()
    assert home.left() == set()
    assert any(home.home.rglob("member-00.bin"))


def test_onnx_is_quiet_too(home: Home) -> None:
    home.run(_SCORE_ONNX, demonstration("bundle"))
    assert not home.attempts.exists()
    assert home.left() == set()
    assert any(home.home.rglob("member-00.onnx"))


def test_control_openvino_by_itself_is_not(home: Home) -> None:
    home.run("import time, openvino; time.sleep(1)")
    assert home.attempts.exists() or home.left()


def test_control_onnx_runtime_by_itself_is_not(home: Home) -> None:
    home.run("import onnxruntime")
    assert home.left()
