"""Torch files of a fit: written whole or not at all, read as tensors and plain numbers alone."""

import pickle
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from training.folder import write_whole


def save_torch(path: Path, value: dict[str, Any]) -> None:
    """Equal content gives equal bytes: the file's name is not in them.

    Raises:
        OSError: it cannot be written, for example because the disk is full.
    """

    def write(aside: Path) -> None:
        with aside.open("wb") as opened:
            try:
                torch.save(value, opened)
            except RuntimeError as fault:
                # torch closes its archive over the error of the write, and fails once more.
                if isinstance(fault.__context__, OSError):
                    raise fault.__context__ from None
                raise

    write_whole(path, write)


def load_torch(path: Path) -> dict[str, Any]:
    """Tensors on the CPU.

    Raises:
        SetupFault: `run_folder_unfit`, the file is absent or damaged.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError):
        found = None
    if not isinstance(found, dict):
        raise SetupFault(ReasonCode.RUN_FOLDER_UNFIT, "a checkpoint of the fit is damaged")
    return found


def file_digest(path: Path) -> str:
    """SHA-256 of the bytes; empty where there is no file."""
    if not path.is_file():
        return ""
    with path.open("rb") as opened:
        digest = sha256()
        while block := opened.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
