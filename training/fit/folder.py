"""The files of one fit, the lock on them, and JSON as it comes back."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode


@dataclass(frozen=True, slots=True)
class FitFolder:
    """Where things lie in the folder of one fit; makes nothing by itself."""

    path: Path

    @property
    def weights(self) -> Path:
        """Published layout: `{"model": state dict, "uw": s of the tasks}`."""
        return self.path / "weights.pt"

    @property
    def history(self) -> Path:
        """Per step: losses, s, gradient norm, conflicts, learning rate; Parquet."""
        return self.path / "history.parquet"

    @property
    def epochs(self) -> Path:
        """Per epoch: AUC on the inner split, per task and macro; Parquet."""
        return self.path / "epochs.parquet"

    @property
    def start(self) -> Path:
        return self.path / "start.json"

    @property
    def done(self) -> Path:
        """Written last: the fit is finished."""
        return self.path / "done.json"

    @property
    def predictions(self) -> Path:
        """Logits of a fold model: its own fold, and cut and test part if it has not seen them."""
        return self.path / "predictions.parquet"

    @property
    def checkpoint(self) -> Path:
        """To go on from; gone when the fit is finished."""
        return self.path / "checkpoint.pt"

    def best(self, epoch: int) -> Path:
        """The weights of the best epoch so far; the checkpoint says which one counts."""
        return self.path / f"best-{epoch}.pt"

    def all_best(self) -> list[Path]:
        return sorted(self.path.glob("best-*.pt"))

    @property
    def events(self) -> Path:
        """For TensorBoard."""
        return self.path / "events"


@contextmanager
def locked(folder: FitFolder) -> Iterator[None]:
    """Keep a second fit out of the folder; a killed process lets go of it.

    Raises:
        SetupFault: `run_locked`.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    with (folder.path / "lock").open("w") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SetupFault(ReasonCode.RUN_LOCKED, "another fit works in this folder") from None
        yield


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in the file; None where there is no file.

    Raises:
        SetupFault: `run_folder_unfit`, not a JSON object.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise SetupFault(ReasonCode.RUN_FOLDER_UNFIT, "a file of the fit is damaged")
    return found
