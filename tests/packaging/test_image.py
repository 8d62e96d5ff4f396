"""The image, built and run where there is a builder; elsewhere the Dockerfile is only read."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASE = "python:3.11-slim"
TAG = "ecgbatch-under-test"
CLOSED = (
    *("--rm", "--init", "--network", "none", "--read-only", "--tmpfs", "/tmp"),  # noqa: S108 - of the image
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--user", "10001:10001"),
)


def docker(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = ["docker", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def why_not() -> str | None:
    """Why no image can be built here; None if one can."""
    if shutil.which("docker") is None:
        return "no container builder here: the Dockerfile is only read"
    if docker("version", "--format", "{{.Server.Version}}").returncode != 0:
        return "no daemon of the container builder here: the Dockerfile is only read"
    if docker("image", "inspect", BASE).returncode != 0 and docker("pull", BASE).returncode != 0:
        return f"no {BASE} here: the Dockerfile is only read"
    return None


@pytest.mark.timeout(3600)
def test_image_is_built_and_runs_without_network_or_rights(wheel: Path, tmp_path: Path) -> None:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    download = (sys.executable, "-m", "pip", "download", "--only-binary", ":all:")
    wanted = ("-c", ROOT / "constraints.txt", f"{wheel}[postgres,formats,openvino]")
    subprocess.run([*download, "-d", tmp_path / "wheelhouse", *wanted], check=True)

    dockerfile = ROOT / "packaging" / "Dockerfile"
    built = docker("build", "--network", "none", "-f", dockerfile, "-t", TAG, tmp_path)
    assert built.returncode == 0, built.stdout + built.stderr
    try:
        version = docker("run", *CLOSED, TAG, "--version")
        demo = docker("run", *CLOSED, TAG, "demo")
    finally:
        docker("rmi", TAG)

    assert version.returncode == 0, version.stderr
    assert wheel.name.split("-")[1] in version.stdout
    assert demo.returncode == 0, demo.stdout + demo.stderr
