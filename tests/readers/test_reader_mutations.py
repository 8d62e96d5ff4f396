"""Damaged files: nothing but our own errors comes out, and no sample changes unseen."""

import random
import re

import numpy as np
from reader_cases import GUANGXI, muse_bytes, wfdb_bytes, wfdb_header_path, with_signal_file

from ecgbatch.errors import EcgbatchError
from ecgbatch.readers.registry import decode
from ecgbatch.records import Member, Recording, RecordingBytes

SEED = 20_240_601
PTB_XL = wfdb_bytes(wfdb_header_path("00001_lr"))
CINC = wfdb_bytes(wfdb_header_path("E07500"))
MUSE = muse_bytes(GUANGXI.read_bytes())


def _dice(turn: int) -> random.Random:
    return random.Random(SEED + turn)  # noqa: S311 - chosen for being repeatable


def _mutant(content: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(content))
    before, after = content[:at], content[at:]
    length = dice.randrange(1, 40)
    changes = (
        lambda: before + bytes([after[0] ^ (1 << dice.randrange(8))]) + after[1:],
        lambda: before + dice.randbytes(1) + after[1:],
        lambda: before,
        lambda: before + after[length:],
        lambda: before + after[:length] + after,
        lambda: before + bytes(len(after[:length])) + after[length:],
        lambda: before + dice.choice([b"-", b"9" * 20, b"\xff", b"nan", b"\n", b"<"]) + after,
    )
    return dice.choice(changes)()


def _decode(source: RecordingBytes) -> Recording | None:
    try:
        return decode(source)
    except EcgbatchError:
        return None


def test_damaged_signal_file_never_changes_a_sample_unseen() -> None:
    dice = _dice(0)
    silent = refused = 0
    for source in (PTB_XL, CINC):
        whole = decode(source)
        for _ in range(400):
            content = _mutant(source.members[1].content, dice)
            recording = _decode(with_signal_file(source, content))
            refused += recording is None
            silent += recording is not None and not np.array_equal(
                recording.signal, whole.signal, equal_nan=True
            )
    assert silent == 0
    assert refused > 700


def test_damaged_wfdb_header_never_changes_the_number_of_samples_unseen() -> None:
    dice = _dice(1)
    refused = 0
    for source in (PTB_XL, CINC):
        whole = decode(source)
        for _ in range(350):
            header = Member("x.hea", _mutant(source.first, dice))
            recording = _decode(RecordingBytes((header, source.members[1])))
            refused += recording is None
            assert recording is None or recording.n_samples == whole.n_samples
    assert refused > 250


def test_damaged_muse_samples_under_a_crc_never_change_unseen() -> None:
    dice = _dice(2)
    whole = decode(MUSE)
    rhythm = MUSE.first.index(b"<WaveformType>Rhythm")
    fields = [
        match.span(1) for match in re.finditer(rb"<WaveFormData>([^<]*)<", MUSE.first[rhythm:])
    ]
    refused = 0
    for _ in range(250):
        start, end = (rhythm + edge for edge in dice.choice(fields))
        damaged = _mutant(MUSE.first[start:end], dice)
        recording = _decode(muse_bytes(MUSE.first[:start] + damaged + MUSE.first[end:]))
        refused += recording is None
        assert recording is None or np.array_equal(recording.signal, whole.signal)
    assert refused > 150


def test_damaged_muse_export_ends_in_a_recording_or_a_named_fault() -> None:
    dice = _dice(3)
    whole = decode(MUSE)
    head = MUSE.first.index(b"<WaveformType>Rhythm") + 1200
    for turn in range(250):
        part = MUSE.first[:head] if turn % 2 else MUSE.first
        recording = _decode(muse_bytes(_mutant(part, dice) + MUSE.first[len(part) :]))
        assert recording is None or recording.n_samples == whole.n_samples
