"""One small bundle for all."""

from pathlib import Path

import pytest

from ecgbatch.bundle.load import Bundle, load_bundle
from tests.support.bundles import save_small_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder: Path = tmp_path_factory.mktemp("bundles") / "small"
    save_small_bundle(folder)
    return load_bundle(folder)
