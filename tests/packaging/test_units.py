"""The units and the Dockerfile: valid where their own tools are, and hardened as is promised."""

import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from ecgbatch.settings import load_settings

PACKAGING = Path(__file__).parents[2] / "packaging"
SERVICES = ("ecgbatch.service", "ecgbatch-scan.service")
UNITS = (*SERVICES, "ecgbatch-scan.timer")

PROMISED = {
    "ProtectSystem": "strict",
    "ReadOnlyPaths": "/srv/ecg-export",
    "PrivateTmp": "yes",
    "NoNewPrivileges": "yes",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6",
    "CapabilityBoundingSet": "",
    "UMask": "0077",
    "LimitCORE": "0",
    "KillMode": "mixed",
}


def unit(name: str) -> ConfigParser:
    parser = ConfigParser(strict=True, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((PACKAGING / name).read_text(encoding="utf-8"))
    return parser


@pytest.mark.parametrize("name", SERVICES)
def test_service_may_do_no_more_than_it_needs(name: str) -> None:
    service = unit(name)["Service"]

    assert {key: service[key] for key in PROMISED} == PROMISED
    assert service["User"] != "root"
    assert service["MemoryMax"]


def test_service_is_watched_and_given_time_to_end() -> None:
    service = unit("ecgbatch.service")["Service"]

    assert (service["Type"], service["NotifyAccess"]) == ("notify", "main")
    assert int(service["WatchdogSec"]) >= 60
    stop_s = load_settings(None, None, {}).service.stop_s
    assert int(service["TimeoutStopSec"]) > stop_s + 30
    assert service["Restart"] == "on-failure"
    assert unit("ecgbatch.service")["Unit"]["StartLimitIntervalSec"] == "0"


@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong(name: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here: the units are only parsed")
    for other in UNITS:
        text = (PACKAGING / other).read_text(encoding="utf-8")
        # The program is not installed where the tests run.
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE)
        text = re.sub(r"^(User|Group)=.*$", r"\1=daemon", text, flags=re.MULTILINE)
        (tmp_path / other).write_text(text)
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", "--man=no", tmp_path / name],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (verified.returncode, verified.stderr) == (0, "")


def test_control_systemd_sees_a_word_it_does_not_know(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    broken = tmp_path / "broken.service"
    broken.write_text("[Service]\nExecStart=/bin/true\nProtectNobody=strict\n")
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--recursive-errors=no", "--man=no", broken],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "ProtectNobody" in verified.stderr


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", (PACKAGING / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines]


def test_image_is_built_offline_and_runs_as_nobody_special() -> None:
    found = instructions()

    users = [value for word, value in found if word == "USER"]
    assert users == ["10001:10001"]
    assert "ADD" not in {word for word, _ in found}
    assert all(":" in value for word, value in found if word == "FROM")
    (install,) = [value for word, value in found if word == "RUN" and "pip install" in value]
    assert "--no-index" in install
    assert "compileall" not in install  # fails for files of torch that are for other Pythons
    for word in ("ENTRYPOINT", "CMD"):  # without a shell, so that signals reach the program
        assert all(value.startswith("[") for one, value in found if one == word)
    assert [word for word, _ in found].index("USER") < [word for word, _ in found].index("CMD")
