"""One small bundle for all; a test that changes it takes a copy."""

import shutil
from pathlib import Path

import pytest

from tests.support.bundles import save_small_bundle


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Never to be changed."""
    folder = tmp_path_factory.mktemp("bundles") / "small"
    save_small_bundle(folder)
    return folder


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    copy = tmp_path / "bundle"
    shutil.copytree(pristine, copy)
    return copy
