"""A bundle onto disk: the same value gives the same bytes, and never half of them."""

import errno
import os
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import safetensors.torch
from numpy.typing import NDArray
from torch import Tensor

from ecgbatch.bundle.digest import GOLDEN, MANIFEST, SUMS, WEIGHTS, sums_of
from ecgbatch.bundle.golden import LOGITS, SIGNALS, Batch, Logits, parse_golden
from ecgbatch.bundle.manifest import Manifest
from ecgbatch.errors import SetupFault
from ecgbatch.net.checkpoint import check_tensors
from ecgbatch.net.layout import check_use_bn
from ecgbatch.terms import ReasonCode

_EPOCH = (1980, 1, 1, 0, 0, 0)


def save_bundle(
    folder: Path,
    manifest: Manifest,
    members: Sequence[Mapping[str, Tensor]],
    golden_signals_mv: Batch,
    golden_logits: Logits,
) -> str:
    """Write a bundle into a new folder beside the place, then put it in place.

    An older bundle at the place is replaced; any other folder that is not empty is refused.

    Args:
        members: state dicts of the manifest's architecture.
        golden_signals_mv: (n, 12, 5000) float32 mV at 500 Hz.
        golden_logits: (n, n_tasks) float64, the mean over the members.

    Returns:
        The bundle's digest.

    Raises:
        SetupFault: what is given would not load, or the folder is something else.
    """
    if not members:
        raise SetupFault(ReasonCode.BUNDLE_INVALID, "a bundle has at least one member")
    contents = {MANIFEST: manifest.to_json()}
    for index, tensors in enumerate(members):
        check_tensors(manifest.architecture, tensors)
        check_use_bn(tensors, manifest.architecture.use_bn)
        contents[f"{WEIGHTS}/member-{index:02d}.safetensors"] = weights_bytes(tensors)
    golden = npz_bytes({SIGNALS: golden_signals_mv, LOGITS: golden_logits})
    parse_golden(golden, manifest.architecture.n_classes)
    contents[GOLDEN] = golden
    return write_summed(folder, contents)


def write_summed(folder: Path, contents: Mapping[str, bytes]) -> str:
    """Files with their SHA256SUMS, written whole or not at all; returns the digest.

    Raises:
        SetupFault: the folder is something else, or cannot be written.
    """
    sums = sums_of(dict(contents))
    try:
        _refuse_other_folder(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _write({**contents, SUMS: sums}, folder)
    except OSError as fault:
        is_full = fault.errno in {errno.ENOSPC, errno.EDQUOT}
        reason = ReasonCode.DISK_FULL if is_full else ReasonCode.BUNDLE_INVALID
        raise SetupFault(reason, "the folder cannot be written") from None
    return sha256(sums).hexdigest()


def weights_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    """safetensors bytes; independent of the order of the names."""
    ordered = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    return safetensors.torch.save(ordered)


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """A compressed npz whose bytes depend on the arrays alone: no clock, no system."""
    archive = BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as opened:
        for name in sorted(arrays):
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            content = BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(arrays[name]), version=(1, 0))
            opened.writestr(entry, content.getvalue())
    return archive.getvalue()


def _refuse_other_folder(folder: Path) -> None:
    if not folder.exists() and not folder.is_symlink():
        return
    is_folder = folder.is_dir() and not folder.is_symlink()
    if not is_folder or ((any(folder.iterdir())) and not (folder / SUMS).is_file()):
        raise SetupFault(ReasonCode.BUNDLE_INVALID, "the folder exists and is not a bundle")


def _write(contents: Mapping[str, bytes], folder: Path) -> None:
    fresh = Path(mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        fresh.chmod(0o755)
        for name, content in contents.items():
            path = fresh / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        _put_in_place(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _put_in_place(fresh: Path, folder: Path) -> None:
    """Two renames: a reader sees the old bundle, none for an instant, or the new one."""
    if not folder.exists():
        os.replace(fresh, folder)  # noqa: PTH105 - of a folder
        return
    old = Path(mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    os.replace(folder, old)  # noqa: PTH105 - onto an empty folder
    os.replace(fresh, folder)  # noqa: PTH105
    shutil.rmtree(old)
