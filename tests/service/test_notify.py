"""The service manager hears what systemd expects, over real datagram sockets."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecgbatch.service.notify import ALIVE, READY, Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The name that the service gets, and the socket of whoever listens."""
    name = f"@ecgbatch-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name[1:]}" if name.startswith("@") else name)
        listening.settimeout(5)
        yield name, listening


def test_messages_arrive_as_lines_of_one_datagram(manager: tuple[str, socket.socket]) -> None:
    name, listening = manager

    assert Notifier({"NOTIFY_SOCKET": name}).tell(READY, ALIVE)
    assert listening.recv(100) == b"READY=1\nWATCHDOG=1"


def test_without_a_manager_or_after_its_end_nothing_happens(tmp_path: Path) -> None:
    assert not Notifier({}).tell(READY)
    assert not Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell(READY)


@pytest.mark.parametrize(
    ("environment", "beat_s"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_signs_of_life_come_twice_as_often_as_they_are_due(
    environment: dict[str, str], beat_s: float | None
) -> None:
    assert Notifier(environment).beat_s == beat_s
