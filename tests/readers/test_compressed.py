"""gzip around an export: the same recording, or a reason."""

import gzip
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reader_cases import GUANGXI, muse_bytes, wfdb_bytes, wfdb_header_path

from ecgbatch.errors import Incomplete, InputFault
from ecgbatch.readers import compressed
from ecgbatch.readers.compressed import expand
from ecgbatch.readers.registry import decode
from ecgbatch.terms import ReasonCode

PLAIN = GUANGXI.read_bytes()
PACKED = gzip.compress(PLAIN)
R = ReasonCode


def _reason(content: bytes) -> ReasonCode:
    with pytest.raises(InputFault) as caught:
        decode(muse_bytes(content))
    return caught.value.reason


@pytest.mark.parametrize(
    "content",
    [
        PACKED,
        gzip.compress(PLAIN[:5000]) + gzip.compress(PLAIN[5000:]),
        PACKED + bytes(512),
        gzip.compress(PLAIN, compresslevel=0),
    ],
)
def test_compressed_export_is_the_same_recording(content: bytes) -> None:
    packed, plain = decode(muse_bytes(content)), decode(muse_bytes(PLAIN))
    assert packed.signal_digest == plain.signal_digest
    assert np.array_equal(packed.signal, plain.signal)
    assert packed.identity == plain.identity


def test_file_digest_stays_that_of_the_stored_bytes() -> None:
    source = muse_bytes(PACKED)
    assert expand(source).file_digest == muse_bytes(PLAIN).file_digest
    assert source.file_digest != muse_bytes(PLAIN).file_digest


@pytest.mark.parametrize("kept", [2, 9, 15, 5000, len(PACKED) - 9, len(PACKED) - 1])
def test_cut_file_is_incomplete(kept: int) -> None:
    with pytest.raises(Incomplete):
        decode(muse_bytes(PACKED[:kept]))


def test_empty_content_is_incomplete() -> None:
    with pytest.raises(Incomplete):
        decode(muse_bytes(gzip.compress(b"")))


def test_wrong_crc_length_or_code_is_damage() -> None:
    for at in (2, -5, -1, len(PACKED) // 2):
        damaged = bytearray(PACKED)
        damaged[at] ^= 0x15
        assert _reason(bytes(damaged)) is R.SAMPLE_DATA_DAMAGED
    assert _reason(PACKED + b"rest") is R.SAMPLE_DATA_DAMAGED


@settings(max_examples=60)
@given(at=st.integers(2, len(PACKED) - 1), bit=st.integers(0, 7))
def test_one_flipped_bit_never_changes_a_sample_unseen(at: int, bit: int) -> None:
    damaged = bytearray(PACKED)
    damaged[at] ^= 1 << bit
    try:
        recording = decode(muse_bytes(bytes(damaged)))
    except InputFault:
        return
    assert recording.signal_digest == decode(muse_bytes(PLAIN)).signal_digest


def test_gzip_within_gzip_is_refused() -> None:
    assert _reason(gzip.compress(PACKED)) is R.EXPANSION_LIMIT


def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    block = bytes(1024 * 1024)
    return b"".join(packer.compress(block) for _ in range(size)) + packer.flush()


def test_bomb_is_refused_by_ratio_in_little_memory() -> None:
    content = _bomb(300)
    tracemalloc.start()
    reason = _reason(content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reason is R.EXPANSION_LIMIT
    assert peak < 2.5 * compressed.MAX_BYTES


def test_many_members_are_counted_together() -> None:
    noise = np.random.default_rng(1).bytes(40_000)
    # Every member alone stays below the ratio; all of them are more than 64 MiB.
    member = gzip.compress(noise + bytes(4_000_000))
    assert len(member) * compressed.MAX_RATIO > 4_040_000
    assert _reason(member * 17) is R.EXPANSION_LIMIT


def test_small_file_of_zeros_is_not_taken_for_a_bomb() -> None:
    assert _reason(gzip.compress(bytes(900_000), 9)) is R.FORMAT_UNKNOWN


def test_recording_of_several_files_is_left_alone() -> None:
    source = wfdb_bytes(wfdb_header_path("00001_lr"))
    assert expand(source) is source
