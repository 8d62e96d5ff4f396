"""A sample of replays that ends with the service: `-m ecgbatch.service.sample_child`."""

import os
import sys
from datetime import datetime
from pathlib import Path

from ecgbatch import telemetry
from ecgbatch.errors import EcgbatchError
from ecgbatch.service.child import end_with
from ecgbatch.settings import load_settings
from ecgbatch.stopping import stop_on_signals
from ecgbatch.terms import ExitCode, ReasonCode

_NICENESS = 10
"""New ECGs are scored first."""


def main(parent: int, config: Path, due_at: datetime, service: str) -> int:
    """Take the sample; returns the exit code.

    Args:
        parent: process id of the service.
        config: its settings file.
        due_at, service: as of `take_sample`.
    """
    end_with(parent)
    stop = stop_on_signals(ends_at_once=True)
    os.nice(_NICENESS)
    try:
        settings = load_settings(config)
        telemetry.configure(settings.log.level)
        from ecgbatch.service.sample import take_sample  # noqa: PLC0415 - torch, after the signals

        take_sample(settings, due_at, service, stop)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except EcgbatchError as fault:
        telemetry.logger().warning("sample_failed", reason=fault.reason)
        return ExitCode.UNFIT
    except Exception:  # noqa: BLE001 - its text may carry paths
        telemetry.logger().error("sample_failed", reason=ReasonCode.INTERNAL_FAULT)
        return ExitCode.INTERNAL
    return ExitCode.DONE


if __name__ == "__main__":
    _parent, _config, _due_at, _service = sys.argv[1:]
    sys.exit(main(int(_parent), Path(_config), datetime.fromisoformat(_due_at), _service))
