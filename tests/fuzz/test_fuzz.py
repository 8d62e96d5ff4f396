"""Damaged files of every format end in a recording or a named fault, and change nothing unseen.

`make fuzz` does the same with thousands of files per format.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ecgbatch.isolation.decoder import Decoder
from ecgbatch.readers.registry import READERS
from ecgbatch.records import Finding
from ecgbatch.settings import load_settings
from ecgbatch.terms import ReasonCode
from tests.fuzz.control import silent_changes_of_wfdb
from tests.fuzz.corpus import CARRY_CHECKSUM, CARRY_SIZE, Seed, carries_checksum, seeds
from tests.fuzz.measure import Fate, compare, measure

PER_FORMAT = 200
LARGEST_BYTES = 400_000


@pytest.fixture(scope="module")
def whole() -> dict[str, list[Seed]]:
    return seeds(LARGEST_BYTES)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    overrides = {"isolation": {"seconds": 5.0}}
    with Decoder(load_settings(overrides=overrides, environment={}).isolation) as decoder:
        yield decoder


@pytest.mark.parametrize("name", [entry.name for entry in READERS])
def test_damaged_files_change_no_sample_unseen_and_lose_no_reader(
    name: str, whole: dict[str, list[Seed]], decoder: Decoder
) -> None:
    assert whole[name], "no sample file that this reader reads: add one, or write one"

    tally = measure(name, whole[name], range(PER_FORMAT), decoder.decode)

    assert tally.n > 0.9 * PER_FORMAT
    assert not tally.turns.get(Fate.LOST)
    assert not tally.turns.get(Fate.VALUES_UNDER_CHECKSUM)
    assert name not in CARRY_SIZE or not tally.turns.get(Fate.COUNT)
    assert tally.fates[Fate.REFUSED] > 0.4 * PER_FORMAT


def test_formats_that_carry_a_checksum_have_a_sample_with_one(
    whole: dict[str, list[Seed]],
) -> None:
    for name in CARRY_CHECKSUM:
        assert any(carries_checksum(seed.whole) for seed in whole[name])


def test_control_the_wfdb_library_is_seen_to_change_samples(whole: dict[str, list[Seed]]) -> None:
    accepted, silent = silent_changes_of_wfdb(whole["wfdb"], range(60))
    assert accepted >= silent > 0


def test_each_fate_is_told_from_the_others(whole: dict[str, list[Seed]]) -> None:
    ecg = whole["muse"][0].whole
    absent = (Finding("checksum", ReasonCode.CHECKSUM_ABSENT),)
    swapped = ecg.signal.copy()
    swapped[0, [100, 900]] = swapped[0, [900, 100]]
    assert swapped[0, 100] != ecg.signal[0, 100]

    def fate(*, is_reordered: bool = False, **changes: object) -> Fate:
        other = replace(ecg, **changes)
        protected = carries_checksum(other)
        return compare(ecg, other, is_protected=protected, is_reordered=is_reordered)

    assert fate() is Fate.SAME
    assert fate(signal=ecg.signal * 5 + 0.3) is Fate.HEADER
    assert fate(sampling_frequency=250.0) is Fate.HEADER
    assert fate(signal=ecg.signal[[*range(6), 7, 6, *range(8, 12)]]) is Fate.HEADER
    assert fate(signal=ecg.signal[:, 1:].copy()) is Fate.COUNT
    assert fate(signal=swapped, findings=absent) is Fate.VALUES
    assert fate(signal=swapped, findings=()) is Fate.VALUES_UNDER_CHECKSUM
    assert fate(signal=swapped, findings=(), is_reordered=True) is Fate.VALUES_UNDER_CHECKSUM
    assert fate(signal=swapped, findings=(), reader="wfdb") is Fate.VALUES_UNDER_CHECKSUM
    wfdb = fate(signal=swapped, findings=(), reader="wfdb", is_reordered=True)
    assert wfdb is Fate.REORDERED
