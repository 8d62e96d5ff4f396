"""What can go wrong. The class says what the worker does, the code says what happened.

EcgbatchError
├── InputFault      the recording is at fault       -> quarantined, no retry
├── Incomplete      recognised, but not yet whole   -> waits out the grace, then quarantined
├── Refusal         readable, but not fit           -> rejected, a result of its own
├── TransientFault  source, database or disk        -> tried again, no attempt spent
├── LeaseLost       another worker owns it          -> roll back, drop, write nothing
└── SetupFault      bundle, settings, schema        -> stop before the first claim

Messages never carry text of other libraries, identifiers, names or paths.
"""

from ecgbatch.reasons import REASONS
from ecgbatch.terms import ExitCode, ReasonCode


class EcgbatchError(Exception):
    """Base of all; `detail` is a short fact of ours (a tensor's name), never file content."""

    def __init__(self, reason: ReasonCode, detail: str = "") -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}" if detail else str(reason))

    @property
    def advice(self) -> str:
        return REASONS[self.reason].advice


class InputFault(EcgbatchError):
    """The bytes cannot be trusted, or are of a format that is not read."""


class Incomplete(InputFault):
    """The bytes are recognised, but end early."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(ReasonCode.INCOMPLETE, detail)


class Refusal(EcgbatchError):
    """The samples were read with certainty but are not fit to be scored."""


class TransientFault(EcgbatchError):
    """The surroundings failed, not the recording."""


class LeaseLost(EcgbatchError):
    """Another worker took the work over; whatever was computed is dropped."""


class SetupFault(EcgbatchError):
    """Nothing may be scored with this bundle, database or settings."""


def exit_code_of(fault: EcgbatchError) -> int:
    """How a command ends that a fault has stopped, unless it was asked wrongly."""
    if fault.reason in {ReasonCode.RUN_LOCKED, ReasonCode.LOCK_LOST}:
        return ExitCode.LOCKED
    return ExitCode.UNFIT if isinstance(fault, SetupFault | TransientFault) else ExitCode.INTERNAL
