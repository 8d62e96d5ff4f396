"""The filters as machine code out of the cache: numba's work, without numba.

`build` compiles `kernels` once per machine, in a process of its own. What it leaves is an object
file, which the linker inside llvmlite puts into memory in some hundredths of a second. So a
process that prepares ECGs imports no numba, compiles nothing and writes nothing.
"""

import ctypes
import math
import platform
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ecgbatch.caches import cache_folder, read_own
from ecgbatch.preprocessing.design import Filter

Array = NDArray[np.float64]

SYMBOLS = {"zero_phase": (5, 4), "subtract_median": (10, 3)}
"""Each kernel with its numbers of pointers and of whole numbers."""
LANES = 4
STATES = range(2, 17, 2)
LARGEST = 1 << 14
"""Samples that the running median can rank, the zeros outside included."""

_N_DIGEST = 32
_SOURCES = ("lanes.py", "kernels.py", "build.py", "compiled.py")
_PROCESSOR = ("vendor_id", "cpu family", "model", "flags", "CPU part", "Features")


class CompiledFilters:
    """See `filters.Filters`. Safe in threads: each call brings its own memory.

    Args:
        code: an object file for this processor.

    Raises:
        ImportError, OSError, RuntimeError: no llvmlite, a system that lets nobody make memory
            executable, or not such a file.
    """

    name: Literal["numba"] = "numba"

    def __init__(self, code: bytes) -> None:
        import llvmlite.binding as llvm  # noqa: PLC0415 - of an extra, and 60 MB

        llvm.check_jit_execution()
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
        linker = llvm.create_lljit_compiler(machine)
        library = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
        for name in SYMBOLS:
            library.export_symbol(name)
        self._library = library.link(linker, "ecgbatch")  # unloaded with its last reference
        self._zero_phase = self._function("zero_phase")
        self._subtract_median = self._function("subtract_median")

    def _function(self, name: str) -> Any:
        n_pointers, n_numbers = SYMBOLS[name]
        arguments = [ctypes.c_void_p] * n_pointers + [ctypes.c_int64] * n_numbers
        return ctypes.CFUNCTYPE(None, *arguments)(self._library[name])

    def zero_phase(self, designed: Filter, signal: Array) -> Array:
        n_leads, n = signal.shape
        n_state, n_edge = designed.steady.size, designed.n_edge
        if n <= n_edge or n_state not in STATES:
            raise ValueError("not a filter of 2, 4 to 16 states over more than its reflection")
        n_filled = -n_leads % LANES
        by_time = _by_time(np.pad(signal, ((0, n_filled), (0, 0))) if n_filled else signal)
        filtered = np.empty((n + 2 * n_edge, n_leads + n_filled))
        arrays = (by_time, filtered, designed.b, designed.a, designed.steady)
        self._zero_phase(*map(_address, arrays), n, n_leads + n_filled, n_state, n_edge)
        return filtered[n_edge : n_edge + n, :n_leads].T

    def subtract_median(self, signal: Array, n_window: int) -> Array:
        by_time, half = _by_time(signal), n_window // 2
        n, n_leads = by_time.shape
        n_all = n + 2 * half
        if not n or n_all > LARGEST or n_window % 2 == 0:
            raise ValueError("not an odd window over 1 to 16,384 samples")
        subtracted = np.empty((n_leads, n))
        value, *work = np.empty((5, n_all), dtype=np.uint64)
        ranked, order, other, rank = work
        window = np.empty(math.ceil(n_all / 64), dtype=np.uint64)
        counts = np.empty((2, 2048), dtype=np.uint32)
        arrays = (by_time, subtracted, value, ranked, value, order, other, rank, window, counts)
        self._subtract_median(*map(_address, arrays), n, n_leads, half)
        return subtracted


def _by_time(signal: Array) -> Array:
    """(n, n_leads), the leads of one moment side by side; no copy of what a filter has left."""
    return np.ascontiguousarray(signal.T, dtype=np.float64)


def _address(array: NDArray[Any]) -> int:
    return int(array.ctypes.data)


def place() -> Path:
    """Where this machine's code lies, whether it is there or not.

    The name is a digest of all that the code depends on: the kernels, the compiler, the processor.

    Raises:
        OSError: there is no cache folder; no numba, whose code nobody could then make again.
    """
    try:
        compilers = [f"{name} {version(name)}" for name in ("numba", "llvmlite")]
    except PackageNotFoundError:
        raise FileNotFoundError("numba is not installed") from None
    sources = [Path(__file__).with_name(name).read_bytes() for name in _SOURCES]
    digest = sha256("\n".join([*compilers, _processor()]).encode())
    for source in sources:
        digest.update(sha256(source).digest())
    return cache_folder("kernels") / f"{digest.hexdigest()[:32]}.code"


def sealed(code: bytes) -> bytes:
    """What is kept: the code behind its own digest."""
    return sha256(code).digest() + code


def unsealed(kept: bytes) -> bytes | None:
    """The code; None where a byte is missing or another."""
    digest, code = kept[:_N_DIGEST], kept[_N_DIGEST:]
    return code if sha256(code).digest() == digest else None


def kept_code(path: Path) -> bytes | None:
    """The code in a file; None where there is none that is whole and this user's."""
    try:
        return unsealed(read_own(path))
    except OSError:
        return None


def _processor() -> str:
    """What the processor is and can do, as far as the system says it."""
    try:
        first, _, _ = Path("/proc/cpuinfo").read_text("utf-8", "replace").partition("\n\n")
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    lines = [line for line in first.splitlines() if line.partition(":")[0].strip() in _PROCESSOR]
    return "\n".join([platform.machine(), *lines])
