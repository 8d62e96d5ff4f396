"""Which filters run: numba's machine code where the cache has it, scipy's otherwise.

Both give the same bits, so neither the preparation's digest nor a pipeline's identity knows which
one it was.
"""

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ecgbatch.child_environment import ONE_THREAD, child_environment
from ecgbatch.preprocessing import compiled
from ecgbatch.preprocessing.design import Filter

Array = NDArray[np.float64]
Kind = Literal["numba", "scipy"]

_BUILD_S = 600.0
_BLOCK = 8 << 20


class Filters(Protocol):
    """The two steps that take time. Signals are (n_leads, n) float64, in any memory order."""

    @property
    def name(self) -> Kind: ...

    def zero_phase(self, designed: Filter, signal: Array) -> Array:
        """Forwards and backwards, continued at both ends by odd reflection."""
        ...

    def subtract_median(self, signal: Array, n_window: int) -> Array:
        """Less the running median over an odd number of samples, zeros outside; C-contiguous."""
        ...


class _Choice:
    place: Callable[[], Path | None]
    made: Filters | None = None
    lock = Lock()


def use(path: Path | None) -> None:
    """Choose for this process: the code in a file from `warm`, or scipy's where it does not run.

    For a process without home or right to write, which would not find the file itself. Nothing
    is loaded before the first signal is filtered.

    Args:
        path: None for scipy.
    """
    _Choice.place, _Choice.made = (lambda: path), None


def use_these(chosen: Filters) -> None:
    """Choose what has been loaded already, as benchmarks and tests do turn by turn."""
    _Choice.made = chosen


def filters() -> Filters:
    """Those of this process, loaded by the first call."""
    with _Choice.lock:
        if _Choice.made is None:
            path = _Choice.place()
            _Choice.made = (path and _loaded(path)) or _scipy()
            _keep_freed_memory()
        return _Choice.made


def which() -> Kind:
    """What filters in this process, or would; nothing is loaded to say so."""
    if _Choice.made is not None:
        return _Choice.made.name
    path = _Choice.place()
    return "numba" if path and compiled.kept_code(path) else "scipy"


def kept() -> Path | None:
    """The file that `warm` left, if it is there and whole; nothing is compiled."""
    path = _place()
    return path if path is not None and compiled.kept_code(path) is not None else None


def warm() -> Path | None:
    """See to it that the code is in the cache: for `use`, here or in another process.

    Where it is missing or broken, a process of its own compiles it (some seconds of numba), tries
    it against scipy and puts it in place whole; two that do so at once leave the same.

    Returns:
        The file; None where numba is missing, the cache cannot be written, or the code does not
        run here or does not give scipy's bits. Then scipy filters.
    """
    path = _place()
    if path is None:
        return None
    if compiled.kept_code(path) is None:
        with suppress(OSError, subprocess.SubprocessError):
            _build(path)
    return kept()


def _keep_freed_memory() -> None:
    """One block, freed untouched: glibc maps no smaller one anew from then on.

    Otherwise the half-megabyte arrays of every ECG go back to the kernel and come again page by
    page: 400 faults and a third of the time.
    """
    np.empty(_BLOCK, dtype=np.uint8)


def _place() -> Path | None:
    try:
        return compiled.place()
    except OSError:
        return None


_Choice.place = _place


def _loaded(path: Path) -> Filters | None:
    code = compiled.kept_code(path)
    if code is None:
        return None
    try:
        return compiled.CompiledFilters(code)
    except (ImportError, OSError, RuntimeError, AttributeError):
        return None


def _scipy() -> Filters:
    from ecgbatch.preprocessing.scipy_filters import ScipyFilters  # noqa: PLC0415 - a second

    return ScipyFilters()


def _build(path: Path) -> None:
    subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-P", "-B", "-m", "ecgbatch.preprocessing.build", str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",  # numba reads a settings file from where it stands
        env=child_environment() | ONE_THREAD,
        timeout=_BUILD_S,
        check=True,
    )
