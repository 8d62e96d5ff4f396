"""Some hundred ECGs from seeds, sound and spoiled in every way, and what the checks say of them.

`python -m tests.support.quality_cases FILE` writes down what the checks say now.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from ecgbatch.quality.checks import check, refusal
from ecgbatch.records import Finding, Millivolts, Recording
from ecgbatch.settings import Quality, load_settings
from ecgbatch.terms import LEADS
from tests.support.ecgs import heartbeats
from tests.support.faults import FAULTS, inject
from tests.support.real_ecgs import real_ecgs, recording

Named = tuple[str, Recording]
Group = tuple[str, str, float | None, bool, list[tuple[str | None, float | None]]]
"""Check, reason, limit, whether it refuses, and the leads with their values."""

_SETTINGS = load_settings(environment={})
_NEEDED = {"lead_missing", "too_short", "invalid_samples"}


@cache
def _clean() -> tuple[Named, ...]:
    generated = ((f"generated {seed}", recording(heartbeats(seed))) for seed in range(3))
    return (*real_ecgs().items(), *generated)


def _sound() -> Iterator[Named]:
    yield from _clean()


def _one_fault() -> Iterator[Named]:
    """Every fault in every strength, in two ECGs each."""
    clean = _clean()
    for number, (name, fault) in enumerate(FAULTS.items()):
        for step, strength in enumerate(fault.strengths):
            for turn in range(2):
                ecg, sound = clean[(5 * number + 3 * step + turn) % len(clean)]
                spoiled = inject(fault, sound, strength, seed=100 * number + 10 * step + turn)
                yield f"{ecg}: {name}, {strength:g}, {turn}", spoiled


def _two_faults() -> Iterator[Named]:
    """Two faults drawn by chance, where the second can be made in what the first has left."""
    clean, names = _clean(), list(FAULTS)
    for seed in range(50):
        rng = np.random.default_rng([2, seed])
        ecg, changed = clean[int(rng.integers(len(clean)))]
        first, second = (names[index] for index in rng.choice(len(names), 2, replace=False))
        for name in (first, second):
            if changed.signal.shape[0] == len(LEADS):
                fault = FAULTS[name]
                changed = inject(fault, changed, float(rng.choice(fault.strengths)), seed)
        yield f"{seed} {ecg}: {first} and {second}", changed


def _other_rates() -> Iterator[Named]:
    """100 to 1000 Hz, by straight lines between the samples, with a little noise."""
    for number, (ecg, sound) in enumerate(_clean()):
        for rate in (250.0, 1000.0, (100.0, 125.0, 240.0, 599.88)[number % 4]):
            rng = np.random.default_rng([3, number])
            before = np.arange(sound.n_samples) / sound.sampling_frequency
            after = np.arange(round(sound.duration_s * rate)) / rate
            rows = [np.interp(after, before, row) for row in sound.signal]
            signal = np.stack(rows) + rng.choice([0.003, 0.05]) * rng.standard_normal(
                (len(rows), after.size)
            )
            yield f"{ecg} at {rate:g} Hz", recording(signal, rate)


def _lengths() -> Iterator[Named]:
    """From one sample to a minute and more, and from one lead to twelve."""
    clean = _clean()
    lengths = (1, 2, 3, 7, 40, 333, 800, 999, 1000, 1001, 1777, 2500, 3001, 4899, 4900, 4951, 4999)
    for number, length in enumerate((*lengths, 5001, 7777, 29999, 31000)):
        ecg, sound = clean[number % len(clean)]
        signal = np.tile(sound.signal, 1 + length // sound.n_samples)[:, :length]
        yield f"{ecg}: {length} samples", recording(signal, sound.sampling_frequency)
    for number, rows in enumerate(([1], [0, 1], [0, 1, 2], [0, 1, *range(6, 12)], [6, 7, 8])):
        ecg, sound = clean[number]
        leads = tuple(LEADS[row] for row in rows)
        yield f"{ecg}: {len(rows)} leads", recording(sound.signal[rows], 500.0, leads)


def _scaled(signal: Millivolts, rng: np.random.Generator) -> Millivolts:
    return signal * rng.choice([1e-3, 0.2, 5, 12, 200, 1000, 1e7])


def _offset(signal: Millivolts, rng: np.random.Generator) -> Millivolts:
    return signal + rng.uniform(-300, 300, (signal.shape[0], 1))


def _coarse(signal: Millivolts, rng: np.random.Generator) -> Millivolts:
    step = rng.choice([0.0025, 0.00488, 0.02, 0.05])
    steps: Millivolts = np.round(signal / step) * step
    return steps


def _exchanged(signal: Millivolts, rng: np.random.Generator) -> Millivolts:
    return signal[rng.permutation(signal.shape[0])]


def _noisy(signal: Millivolts, rng: np.random.Generator) -> Millivolts:
    return signal + rng.uniform(0.01, 0.5) * rng.standard_normal(signal.shape)


def _clipped(signal: Millivolts, rng: np.random.Generator) -> Millivolts:
    limit = rng.uniform(0.1, 1.0)
    return np.clip(signal, -limit, limit)


def _stuck(signal: Millivolts, rng: np.random.Generator) -> Millivolts:
    """Some leads at one value, from somewhere to the end or all the time."""
    changed = signal.copy()
    for row in rng.choice(signal.shape[0], int(rng.integers(1, 13)), replace=False):
        changed[row, int(rng.choice([0, signal.shape[1] // 3])) :] = rng.choice([0.0, 0.7, -5.0])
    return changed


def _holes(signal: Millivolts, rng: np.random.Generator) -> Millivolts:
    changed = signal.copy()
    hole = rng.random(signal.shape) < rng.choice([1e-5, 1e-3, 0.9])
    hole[int(rng.integers(signal.shape[0])), 0] = True
    changed[hole] = rng.choice([np.nan, np.inf, -np.inf])
    return changed


def _late(signal: Millivolts, rng: np.random.Generator) -> Millivolts:
    """A step at the begin, as of an amplifier that is switched on."""
    time_s = np.arange(signal.shape[1]) / 500.0
    steps: Millivolts = signal + rng.uniform(-8, 8, (signal.shape[0], 1)) * np.exp(-time_s / 0.1)
    return steps


_CHANGES: tuple[Callable[[Millivolts, np.random.Generator], Millivolts], ...] = (
    *(_scaled, _offset, _coarse, _exchanged, _noisy, _clipped, _stuck, _holes, _late),
)


def _changed() -> Iterator[Named]:
    for number, (ecg, sound) in enumerate(_clean()):
        for which, change in enumerate(_CHANGES):
            rng = np.random.default_rng([4, number, which])
            changed = recording(change(sound.signal, rng), sound.sampling_frequency)
            derived = ("III", "aVR", "aVL", "aVF") if number % 3 == 0 else ()
            yield f"{ecg} {change.__name__}", replace(changed, derived_leads=derived)


KINDS: dict[str, Callable[[], Iterator[Named]]] = {
    "sound": _sound,
    "one fault": _one_fault,
    "two faults": _two_faults,
    "other rates": _other_rates,
    "lengths": _lengths,
    "changed": _changed,
}


def said(kind: str) -> Iterator[tuple[str, str, list[Group]]]:
    """ECG, settings and findings, for each ECG of a kind.

    The settings: `defaults`; `flags`, where nothing refuses that may also only flag, for what the
    defaults refuse; and for the sound ECGs and every tenth other one `near`, where besides every
    limit is near.
    """
    for number, (name, ecg) in enumerate(KINDS[kind]()):
        findings = check(ecg, _SETTINGS.quality, _SETTINGS.eligibility)
        yield name, "defaults", _grouped(findings)
        if refusal(findings) is not None:
            yield name, "flags", _grouped(check(ecg, _FLAGS, _SETTINGS.eligibility))
        if kind == "sound" or number % 10 == 0:
            yield name, "near", _grouped(check(ecg, _NEAR, _SETTINGS.eligibility))


def _grouped(findings: Iterable[Finding]) -> list[Group]:
    groups: list[Group] = []
    for one in findings:
        key = (one.check, one.reason.value, one.limit, one.refuses)
        if not groups or groups[-1][:4] != key:
            groups.append((*key, []))
        groups[-1][4].append((one.lead, one.value))
    return groups


def _with(limits: dict[str, float]) -> Quality:
    tables = _SETTINGS.quality.model_dump()
    for name, table in tables.items():
        table["refuses"] = name in _NEEDED
    for name, limit in limits.items():
        tables[name]["limit"] = limit
    return Quality.model_validate(tables)


_FLAGS = _with({})
# So low, or for what lies below so high, that nearly every lead has a finding with its value.
_NEAR = _with(
    {
        **{"amplitude": 0.4, "flat": 0.3, "constant_run": 0.008, "unit_suspected": 0.5},
        **{"limb_leads": 1e-6, "leads_nearly_equal": 0.15, "saturation": 1e-6, "powerline": 1e-7},
        **{"wander": 1e-4, "muscle_noise": 1e-4, "snr": 60.0},
    }
)


def main(path: str) -> None:
    lines = [json.dumps([kind, *row]) for kind in KINDS for row in said(kind)]
    Path(path).write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
