"""Reader processes for the tests, with and without plug-ins."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from plug_in import install
from watched import Watched

from ecgbatch.isolation.decoder import Decoder
from ecgbatch.settings import Isolation, load_settings


def isolation(**changes: object) -> Isolation:
    return load_settings(overrides={"isolation": changes}, environment={}).isolation


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the test's plug-ins, on the import path; a secret in the environment."""
    folder = tmp_path_factory.mktemp("packages")
    install(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("ECGBATCH_TEST_URL", "postgresql://worker:secret@host/db")
        yield folder


@pytest.fixture(scope="session")
def trap(packages: Path) -> Iterator[Decoder]:
    """A decoder whose plug-in does what the file says."""
    with Decoder(isolation(plug_ins=["trap"], seconds=1.5)) as decoder:
        yield decoder


@pytest.fixture
def new_trap(packages: Path) -> Iterator[Decoder]:
    """The same with a process that has read nothing yet."""
    with Decoder(isolation(plug_ins=["trap"], seconds=1.5)) as decoder:
        yield decoder


@pytest.fixture(scope="session")
def plain() -> Iterator[Decoder]:
    with Decoder(isolation()) as decoder:
        yield decoder


@pytest.fixture(scope="session")
def watched(plain: Decoder) -> Watched:
    return Watched(plain)


def is_running(process_id: int) -> bool:
    """Whether the process is there and not merely waiting to be reaped."""
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
