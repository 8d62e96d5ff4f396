"""What a benchmark ran on, for the record, and the GEMM peak of the same machine."""

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LIBRARIES = (
    "torch",
    "openvino",
    "onnxruntime",
    "numpy",
    "numba",
    "scipy",
    "lxml",
    "wfdb",
    "sqlalchemy",
    "psycopg",
)
_VECTOR_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "bf16")
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def describe() -> dict[str, object]:
    """CPU, cores, memory, system, date and library versions; nothing that names the machine."""
    return {
        "cpu": _cpuinfo().get("model name") or platform.processor() or platform.machine(),
        "cpu_family_model": f"{_cpuinfo().get('cpu family', '?')}/{_cpuinfo().get('model', '?')}",
        "vector_flags": [flag for flag in _VECTOR_FLAGS if flag in cpu_flags()],
        "cores": usable_cores(),
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "libraries": {name: found for name in _LIBRARIES if (found := _version(name))},
        "date": datetime.now(UTC).date().isoformat(),
    }


def gemm_peaks() -> dict[str, float | None]:
    """GFLOP/s of torch's matmul, 2048 x 2048, in a child of its own: `fp32` and `bf16`.

    `bf16` is None where the CPU has no bf16 arithmetic.
    """
    command = [sys.executable, "-m", "benchmarks.gemm"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - ours
    found: dict[str, float | None] = json.loads(done.stdout.splitlines()[-1])
    return found


def has_bf16() -> bool:
    """The CPU computes in bf16; emulated bf16 is slower than fp32."""
    return bool(_BF16_FLAGS & cpu_flags())


def cpu_flags() -> set[str]:
    """As /proc/cpuinfo names them; empty where there is none."""
    cpuinfo = _cpuinfo()
    return set((cpuinfo.get("flags") or cpuinfo.get("Features") or "").split())


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpuinfo() -> dict[str, str]:
    """The first processor's lines."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").split("\n\n", 1)[0].splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _memory_gb() -> float:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
