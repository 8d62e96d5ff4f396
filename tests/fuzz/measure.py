"""What becomes of damaged files: refused, read as before, or read as something else."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from ecgbatch.errors import EcgbatchError
from ecgbatch.quality.checks import check
from ecgbatch.records import Millivolts, Recording, RecordingBytes
from ecgbatch.settings import load_settings
from ecgbatch.terms import ReasonCode
from tests.fuzz.corpus import CARRY_CHECKSUM, CHECKSUM_IS_A_SUM, Seed, carries_checksum
from tests.fuzz.mutators import dice, mutant

LOST = frozenset({ReasonCode.READER_CRASHED, ReasonCode.READER_TIMEOUT, ReasonCode.READER_MEMORY})


class Fate(StrEnum):
    """Of one damaged file."""

    REFUSED = "refused"
    LOST = "lost"
    """The reader crashed, hung or took too much memory."""
    SAME = "same samples"
    HEADER = "header meaning"
    """Each lead is a seed's lead scaled, shifted or renamed, or the sampling frequency moved."""
    COUNT = "other number"
    VALUES = "other values"
    """Other values in a file without a checksum: nobody can see them."""
    REORDERED = "other order"
    """The same bytes in other places: the checksum of WFDB is a sum and cannot see it."""
    VALUES_UNDER_CHECKSUM = "values under checksum"


@dataclass(slots=True)
class Tally:
    """Of all damaged files of one reader.

    Attributes:
        caught: of those with another header meaning, how many a plausibility finding shows that
            the whole file has not; `caught_refusing` those that it refuses.
    """

    n: int = 0
    caught: int = 0
    caught_refusing: int = 0
    fates: Counter[Fate] = field(default_factory=Counter)
    reasons: Counter[ReasonCode] = field(default_factory=Counter)
    slowest_s: float = 0.0
    turns: dict[Fate, list[int]] = field(default_factory=dict)
    """Which turns had which of the rare fates, to run one again."""


Decode = Callable[[RecordingBytes], Recording]

_SETTINGS = load_settings(environment={})


def measure(name: str, seeds: Sequence[Seed], turns: range, decode: Decode) -> Tally:
    """Damage the seeds of one reader in turn and note what becomes of them."""
    tally = Tally()
    for turn in turns:
        seed = seeds[turn % len(seeds)]
        damaged = mutant(seed.source, dice(name, turn))
        if damaged.file_digest == seed.source.file_digest:
            continue
        started = time.perf_counter()
        fate = _fate(seed, damaged, decode, tally)
        tally.slowest_s = max(tally.slowest_s, time.perf_counter() - started)
        tally.n += 1
        tally.fates[fate] += 1
        if fate not in {Fate.REFUSED, Fate.SAME}:
            tally.turns.setdefault(fate, []).append(turn)
    return tally


def _fate(seed: Seed, damaged: RecordingBytes, decode: Decode, tally: Tally) -> Fate:
    try:
        recording = decode(damaged)
    except EcgbatchError as fault:
        tally.reasons[fault.reason] += 1
        return Fate.LOST if fault.reason in LOST else Fate.REFUSED
    protected = recording.reader in CARRY_CHECKSUM and carries_checksum(recording)
    fate = compare(
        seed.whole,
        recording,
        is_protected=protected,
        is_reordered=_bytes(seed.source) == _bytes(damaged),
    )
    if fate is Fate.HEADER:
        new = _findings(recording) - _findings(seed.whole)
        tally.caught += bool(new)
        tally.caught_refusing += any(refuses for _, refuses in new)
    return fate


def _findings(recording: Recording) -> set[tuple[ReasonCode, bool]]:
    """Reasons of the findings, and whether they refuse by default."""
    found = check(recording, _SETTINGS.quality, _SETTINGS.eligibility)
    return {(one.reason, one.refuses) for one in found}


def _bytes(source: RecordingBytes) -> list[bytes]:
    """The bytes of each member in ascending order."""
    return [np.sort(np.frombuffer(one.content, np.uint8)).tobytes() for one in source.members]


def compare(
    whole: Recording, read: Recording, *, is_protected: bool, is_reordered: bool = False
) -> Fate:
    """What a damaged file was read as, against the whole one.

    Args:
        is_protected: what was read carries a checksum over its samples.
        is_reordered: the files hold the same bytes in another order.
    """
    if _is_same(whole, read):
        return Fate.SAME
    if read.n_samples != whole.n_samples:
        return Fate.COUNT
    stored = [row for lead, row in _stored(whole).items()]
    if all(any(_is_affine(row, old) for old in stored) for row in _stored(read).values()):
        return Fate.HEADER
    if not is_protected:
        return Fate.VALUES
    is_sum = read.reader in CHECKSUM_IS_A_SUM
    return Fate.REORDERED if is_sum and is_reordered else Fate.VALUES_UNDER_CHECKSUM


def _is_same(whole: Recording, read: Recording) -> bool:
    return (
        read.lead_names == whole.lead_names
        and read.sampling_frequency == whole.sampling_frequency
        and np.array_equal(read.signal, whole.signal, equal_nan=True)
    )


def _stored(recording: Recording) -> dict[str, Millivolts]:
    rows = zip(recording.lead_names, recording.signal, strict=True)
    return {name: row for name, row in rows if name not in recording.derived_leads}


def _is_affine(row: Millivolts, old: Millivolts) -> bool:
    """Whether `row` is `old` with another gain and baseline, where both have samples."""
    both = np.isfinite(row) & np.isfinite(old)
    if both.mean() < 0.5:
        return False
    x, y = old[both], row[both]
    x_centred, y_centred = x - x.mean(), y - y.mean()
    power = float(x_centred @ x_centred)
    gain = float(x_centred @ y_centred) / power if power else 0.0
    scale = np.abs(y_centred).max(initial=0.0)
    return bool(np.abs(y_centred - gain * x_centred).max(initial=0.0) <= 1e-6 * scale + 1e-12)
