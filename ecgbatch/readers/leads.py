"""Leads by name: what a vendor calls them, and the limb leads that follow from two others."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import combinations

import numpy as np

from ecgbatch.errors import InputFault, Refusal
from ecgbatch.records import Millivolts
from ecgbatch.terms import LEADS, ReasonCode

_STANDARD = {spelling: name for name in LEADS for spelling in (name, name.upper())}
_VENDOR_NAME = re.compile(
    r"(?:ECG\s+)?(?:LEAD\s+)?(?:(?:MDC|NOM)_ECG_LEAD_)?"
    r"(?P<name>[A-Z0-9]+)"
    r"(?:\s*\(EINTHOVEN\)|,\s*AUGMENTED VOLTAGE,\s*(?:RIGHT|LEFT|FOOT))?"
)

# Each limb lead as a mixture of I and II.
# Source: Einthoven's law (III = II - I) and Goldberger's augmented leads.
_MIXTURE = {
    "I": (1.0, 0.0),
    "II": (0.0, 1.0),
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}

_Mixture = tuple[tuple[float, str], tuple[float, str]]
"""Two shares, each with its lead."""

_ENOUGH_LIMB_LEADS = 2
"""The other four follow from any two."""


@dataclass(frozen=True, slots=True, eq=False)
class StackedLeads:
    """Signal (n_leads, n_samples) in mV, rows in LEADS order; `derived` were not stored."""

    signal: Millivolts = field(repr=False)
    names: tuple[str, ...]
    derived: tuple[str, ...]


def standard_name(text: str) -> str | None:
    """The standard name of a lead as a vendor spells it, else None.

    A negated lead (`-aVR`) and leads beyond the twelve (V7, V3R, vx) have none.
    """
    if text in _STANDARD:
        return _STANDARD[text]
    match = _VENDOR_NAME.fullmatch(text.strip().upper())
    return _STANDARD.get(match["name"]) if match else None


def n_usable(names: Iterable[str | None]) -> int:
    """How many of the twelve there are once limb leads are derived; None is no standard lead."""
    known = set(names) - {None}
    n_limb = len(known & _MIXTURE.keys())
    return len(known) + (len(_MIXTURE) - n_limb if n_limb >= _ENOUGH_LIMB_LEADS else 0)


def stack_leads(
    leads: Iterable[tuple[str, Millivolts]], together: Millivolts | None = None
) -> StackedLeads:
    """Put stored leads into LEADS order and derive the limb leads that are not stored.

    Args:
        leads: standard name and (n_samples,) in mV, in any order.
        together: the same signals as one matrix, row by row, from a reader that has one: it is
            the result as it stands if nothing has to be moved or derived.

    A missing chest lead stays missing: whether that refuses is not decided here.

    Raises:
        InputFault: a lead stands there twice, or the lengths differ.
        Refusal: `lead_missing`, if there is no standard lead at all.
    """
    stored = _by_name(leads)
    if not stored:
        raise Refusal(ReasonCode.LEAD_MISSING)
    if len({signal.size for signal in stored.values()}) > 1:
        raise InputFault(ReasonCode.LEAD_LENGTHS_DIFFER)
    mixtures = _mixtures(stored)
    names = tuple(name for name in LEADS if name in stored or name in mixtures)
    derived = tuple(name for name in names if name in mixtures)
    if together is not None and names == tuple(stored):
        return StackedLeads(together, names, derived)
    signal = np.empty((len(names), next(iter(stored.values())).size))
    for name, row in zip(names, signal, strict=True):
        if name in stored:
            row[:] = stored[name]
        else:
            _mix(row, mixtures[name], stored)
    return StackedLeads(signal, names, derived)


def _by_name(leads: Iterable[tuple[str, Millivolts]]) -> dict[str, Millivolts]:
    stored: dict[str, Millivolts] = {}
    for name, signal in leads:
        if name in stored:
            raise InputFault(ReasonCode.LEAD_DUPLICATED, name)
        stored[name] = signal
    return stored


def _mixtures(stored: Mapping[str, Millivolts]) -> dict[str, _Mixture]:
    """How each limb lead that is not stored follows from two that are."""
    pair = next(combinations([name for name in _MIXTURE if name in stored], 2), None)
    if pair is None:
        return {}
    return {name: _mixture(name, *pair) for name in _MIXTURE if name not in stored}


@cache
def _mixture(name: str, one: str, other: str) -> _Mixture:
    basis = np.array([_MIXTURE[one], _MIXTURE[other]])
    first, second = np.linalg.solve(basis.T, np.array(_MIXTURE[name])).tolist()
    return (first, one), (second, other)


def _mix(row: Millivolts, mixture: _Mixture, stored: Mapping[str, Millivolts]) -> None:
    """Write into `row`."""
    (first, one), (second, other) = mixture
    np.multiply(stored[one], first, out=row)
    row += stored[other] * second
