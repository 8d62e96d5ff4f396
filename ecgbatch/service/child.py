"""A command of ecgbatch that ends with the service: `-m ecgbatch.service.child PID COMMAND`."""

import ctypes
import os
import runpy
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """When the process `parent` ends, however it ends, this one gets a SIGTERM."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


def main(parent: int, arguments: list[str]) -> None:
    """Run `ecgbatch` with these arguments in this process.

    Args:
        parent: process id of the service; with it this process ends as on any SIGTERM.
    """
    end_with(parent)
    sys.argv = ["ecgbatch", *arguments]
    # By name: the command line stands above the service, which is never its importer.
    runpy.run_module("ecgbatch", run_name="__main__")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
