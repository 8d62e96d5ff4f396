"""From stored counts to millivolts: units, gains and the marks of invalid samples."""

import math
import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ecgbatch.errors import InputFault
from ecgbatch.records import Millivolts
from ecgbatch.terms import ReasonCode

MIN_SAMPLING_FREQUENCY = 50.0
MAX_SAMPLING_FREQUENCY = 20000.0

_MV_PER_UNIT = {"nv": 1e-6, "uv": 1e-3, "μv": 1e-3, "mv": 1.0, "v": 1e3}
_PLAIN_NUMBER = re.compile(r"[-+]?(?:\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class StoredLead:
    """One standard lead as the file stores it.

    Attributes:
        counts: (n_samples,) of any integer type, baseline subtracted; sentinels as stored.
        mv_per_count: mV.
        millivolts: (n_samples,) mV, NaN where the file marks a sample as invalid.
    """

    name: str
    counts: NDArray[np.integer] = field(repr=False)
    mv_per_count: float
    millivolts: Millivolts = field(repr=False)


def plain_number(text: str) -> float | None:
    """A decimal number without exponent, comma, nan or inf; None for anything else."""
    return float(text) if _PLAIN_NUMBER.fullmatch(text) else None


def mv_per_unit(unit: str) -> float:
    """How many mV one nV, uV, µV, mV or V is, in any case.

    Raises:
        InputFault: `unit_unknown`.
    """
    # casefold makes the micro sign (U+00B5) a Greek mu.
    factor = _MV_PER_UNIT.get(unit.casefold())
    if factor is None:
        raise InputFault(ReasonCode.UNIT_UNKNOWN)
    return factor


def checked_gain(mv_per_count: float) -> float:
    """The gain itself, if it is finite, above zero and so is its reciprocal.

    Raises:
        InputFault: `gain_invalid`.
    """
    if not (math.isfinite(mv_per_count) and mv_per_count > 0 and math.isfinite(1 / mv_per_count)):
        raise InputFault(ReasonCode.GAIN_INVALID)
    return mv_per_count


def checked_sampling_frequency(frequency: float | None) -> float:
    """The frequency in Hz, if it lies between 50 and 20000.

    Raises:
        InputFault: `sampling_frequency_invalid`, also for None.
    """
    if frequency is None or not MIN_SAMPLING_FREQUENCY <= frequency <= MAX_SAMPLING_FREQUENCY:
        raise InputFault(ReasonCode.SAMPLING_FREQUENCY_INVALID)
    return frequency


def without_invalid(millivolts: Millivolts, invalid: NDArray[np.bool_]) -> Millivolts:
    """A copy with NaN where `invalid` is set."""
    return np.where(invalid, np.nan, millivolts)
