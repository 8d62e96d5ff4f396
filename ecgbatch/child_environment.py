"""What a process of our own is started with: the import path, and nothing secret."""

import os
import sys
from collections.abc import Iterable

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""For a process that shall not share its arithmetic among the processors."""

_ALWAYS = ("LD_LIBRARY_PATH", "PYTHONHOME")


def child_environment(kept: Iterable[str] = ()) -> dict[str, str]:
    """No database URL, no password, no setting.

    Args:
        kept: variables that the process needs beside those of Python itself.
    """
    path = os.pathsep.join(os.path.abspath(entry) for entry in sys.path)  # noqa: PTH100
    names = (*_ALWAYS, *kept)
    return {**{one: os.environ[one] for one in names if one in os.environ}, "PYTHONPATH": path}
