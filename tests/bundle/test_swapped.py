"""A bundle that is replaced while it is loaded: the one that was asked for, or none (threat M3)."""

import shutil
import threading
from pathlib import Path

import pytest
import torch

from ecgbatch.bundle.digest import bundle_digest
from ecgbatch.bundle.load import load_bundle
from ecgbatch.errors import SetupFault
from tests.support.bundles import save_small_bundle, small_architecture, small_weights

SWAPS = 20


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two whole bundles whose weights and cards differ."""
    home = tmp_path_factory.mktemp("two")
    save_small_bundle(home / "ours")
    save_small_bundle(home / "theirs", version="2", architecture=small_architecture(use_bn=False))
    return home / "ours", home / "theirs"


def _swap(folder: Path, others: tuple[Path, Path], stop: threading.Event, count: list[int]) -> None:
    """File by file, as a careless copy does, with each file cut short for a moment."""
    while not stop.is_set():
        for other in others:
            for path in sorted(other.rglob("*")):
                if path.is_file():
                    target = folder / path.relative_to(other)
                    content = path.read_bytes()
                    target.write_bytes(content[: len(content) // 2])
                    target.write_bytes(content)
            count[0] += 1
            stop.wait(0.02)


def test_a_folder_swapped_under_load_gives_what_was_asked_for_or_nothing(
    two: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(two[0], folder)
    wanted, theirs = bundle_digest(two[0]), bundle_digest(two[1])
    weights, stop, swaps = small_weights(), threading.Event(), [0]
    thread = threading.Thread(target=_swap, args=(folder, two, stop, swaps))
    thread.start()
    loaded = refused = 0
    try:
        while swaps[0] < SWAPS or not (loaded and refused):
            try:
                bundle = load_bundle(folder, expected_digest=wanted)
            except SetupFault:
                refused += 1
                continue
            loaded += 1
            assert (bundle.digest, bundle.manifest.version) == (wanted, "1")
            assert all(torch.equal(bundle.members[0][name], weights[name]) for name in weights)
    finally:
        stop.set()
        thread.join()

    assert wanted != theirs
    assert load_bundle(folder, expected_digest=theirs).manifest.version == "2"
