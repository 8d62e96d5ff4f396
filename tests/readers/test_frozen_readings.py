"""Every sample is read to the last bit as it was before the readers were made fast."""

import json
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from reader_cases import SAMPLES, SHIPPED

from ecgbatch.errors import EcgbatchError
from ecgbatch.readers.registry import decode
from ecgbatch.readers.wfdb import member_names
from ecgbatch.records import Member, Recording, RecordingBytes

FROZEN = json.loads((SAMPLES.parent / "readings.json").read_text())
SIGNAL_FILES = {".npz", ".mat", ".dat", ".xyz", *(f".d{n}" for n in range(10))}


def _samples() -> dict[str, Path]:
    files = (file for root in (SHIPPED, SAMPLES) for file in root.glob("*/*"))
    chosen = (file for file in files if file.suffix not in SIGNAL_FILES)
    return {f"{file.parent.name}/{file.name}": file for file in chosen if _is_sample(file)}


def _is_sample(file: Path) -> bool:
    return file.is_file() and file.parent.name != "LICENSES"


def _source(file: Path) -> RecordingBytes:
    content = file.read_bytes()
    try:
        names = member_names(content) if file.suffix == ".hea" else ()
    except EcgbatchError:
        names = ()
    paths = [file.parent / name for name in names if (file.parent / name).exists()]
    signals = (Member(path.name, path.read_bytes()) for path in paths)
    return RecordingBytes((Member(file.name, content), *signals))


def _reading(file: Path) -> dict[str, str]:
    """Digest of each field; of a fault its text."""
    try:
        recording = decode(_source(file))
    except EcgbatchError as fault:
        return {"fault": f"{type(fault).__name__} {fault}"}
    return {**_digests(recording), "signal_digest": recording.signal_digest}


def _digests(recording: Recording) -> dict[str, str]:
    stated = {
        name: repr(asdict(value) if name == "identity" else value)
        for name in Recording.__slots__
        if name not in {"signal", "signal_digest"} and (value := getattr(recording, name)) != ()
    }
    digests = {name: sha256(text.encode()).hexdigest()[:16] for name, text in stated.items()}
    samples = np.ascontiguousarray(recording.signal, dtype="<f8").tobytes()
    return {**digests, "signal": sha256(samples).hexdigest()}


def test_every_sample_is_frozen() -> None:
    assert set(_samples()) == set(FROZEN)


@pytest.mark.parametrize("name", FROZEN)
def test_sample_is_read_as_before(name: str) -> None:
    assert _reading(_samples()[name]) == FROZEN[name]
