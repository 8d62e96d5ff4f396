"""Many ECG files at little cost: each with its own bytes, signal, patient and time."""

import base64
import re
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from ecgbatch.resources import demonstration

_TEMPLATE = demonstration("samples") / "muse" / "synthetic_muse.xml"
_FIRST = datetime(2020, 1, 1)  # noqa: DTZ001 - a cart's wall clock
_N_PLACES = 9


def write_many(folder: Path, n_files: int, *, n_copies: int = 0, first: int = 0) -> None:
    """MUSE files `ecg000000.xml` and on; the last `n_copies` repeat the bytes of the first ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + n_files):
        is_copy = number >= first + n_files - n_copies
        content = muse_ecg(number - (n_files - n_copies) if is_copy else number)
        (folder / f"ecg{number:06d}.xml").write_bytes(content)


def muse_ecg(number: int) -> bytes:
    """The ECG of this number: patient, time and samples differ from those of every other."""
    acquired = _FIRST + timedelta(seconds=number)
    return (
        _HEAD.replace(b"SYNTH0001", b"P%09d" % number)
        .replace(b"<AcquisitionTime>09:15:11<", f"<AcquisitionTime>{acquired:%H:%M:%S}<".encode())
        .replace(b"<AcquisitionDate>08-17-2025<", f"<AcquisitionDate>{acquired:%m-%d-%Y}<".encode())
        + _samples(number)
        + _TAIL
    )


def _samples(number: int) -> bytes:
    """The last lead with the number in its first samples, a digit to the base of eight in each."""
    counts = _COUNTS.copy()
    counts[:_N_PLACES] += [(number >> 3 * place) & 7 for place in range(_N_PLACES)]
    return base64.b64encode(counts.tobytes())


def _split() -> tuple[bytes, np.ndarray[tuple[int], np.dtype[np.int16]], bytes]:
    text = _TEMPLATE.read_bytes()
    *_, last = re.finditer(rb"<WaveFormData>([^<]*)</WaveFormData>", text)
    counts = np.frombuffer(base64.b64decode(last[1]), dtype="<i2")
    return text[: last.start(1)], counts, text[last.end(1) :]


_HEAD, _COUNTS, _TAIL = _split()
