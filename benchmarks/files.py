"""Recordings without number: each with its own bytes, patient, time and signal.

Copies would be duplicates, so every file is one of 32 synthetic hearts with noise of its own of up
to one step, which gives it digests of its own. WFDB records (12 x 5000, format 16, with initial
values and checksums) and GE MUSE exports: the real one that ships with the package, of 197 kB, with
its rhythm strip, CRCs, patient and time exchanged. Run with `python -m benchmarks.files`.
"""

import base64
import re
import sys
import time
import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ecgbatch.resources import demonstration, folder
from ecgbatch.terms import LEADS
from training.settings.cohort import load_cohort
from training.synthetic.cohort import draw_ecg, draw_patient
from training.synthetic.device import twelve_leads
from training.synthetic.heart import INDEPENDENT_LEADS

Format = Literal["wfdb", "muse"]
Mixture = Literal["wfdb", "muse", "both"]
"""`both`: WFDB for the even numbers, MUSE for the odd ones."""
Steps = NDArray[np.int16]
"""(8, 5000), rows as INDEPENDENT_LEADS, in the device's steps."""

N_HEARTS = 32
IN_ONE_FOLDER = 500
_WFDB_STEP_UV, _MUSE_STEP_UV = 5.0, 4.88
_FIRST = datetime(2020, 1, 1)  # noqa: DTZ001 - a cart's wall clock
_GAP = timedelta(seconds=61)
_STORED = [LEADS.index(lead) for lead in INDEPENDENT_LEADS]
_TEMPLATE = "guangxi_teaching_sinus_rhythm.xml"
_BASE64_LINE = 72


def write_files(place: Path, numbers: Iterable[int], mixture: Mixture = "both") -> int:
    """The recordings of these numbers below `place`, 500 in a folder; how many bytes they have."""
    n_bytes = 0
    for number in numbers:
        below = place / f"{number // IN_ONE_FOLDER:06d}"
        below.mkdir(parents=True, exist_ok=True)
        for name, content in recording(number, format_of(number, mixture)).items():
            (below / name).write_bytes(content)
            n_bytes += len(content)
    return n_bytes


def format_of(number: int, mixture: Mixture) -> Format:
    if mixture == "both":
        return "muse" if number % 2 else "wfdb"
    return mixture


def recording(number: int, form: Format) -> dict[str, bytes]:
    """The files of one recording by name, a header last: once it is there, the record is whole."""
    return _muse(number) if form == "muse" else _wfdb(number)


def _wfdb(number: int) -> dict[str, bytes]:
    counts = twelve_leads_of(_steps(number, _WFDB_STEP_UV))
    name = f"r{number:07d}"
    samples = np.ascontiguousarray(counts.T, dtype="<i2")
    header = _wfdb_header(number, name, counts).encode("ascii")
    return {f"{name}.dat": samples.tobytes(), f"{name}.hea": header}


def _wfdb_header(number: int, name: str, counts: Steps) -> str:
    gain = f"{2000.0 / _WFDB_STEP_UV:g}"
    sums = counts.sum(axis=1, dtype=np.int64) % 65536
    lines = [f"{name} 12 500 5000 {_acquired(number):%H:%M:%S %d/%m/%Y}"]
    lines += [
        f"{name}.dat 16 {gain}(0)/mV 16 0 {first} {total} 0 {lead}"
        for lead, first, total in zip(LEADS, counts[:, 0], sums, strict=True)
    ]
    lines += [f"# subject_id: {_patient(number)}", f"# Age: {_age(number)}", "# Sex: female"]
    return "\n".join(lines) + "\n"


def _muse(number: int) -> dict[str, bytes]:
    steps = _steps(number, _MUSE_STEP_UV)
    acquired = _acquired(number)
    fillings = [
        _patient(number).encode(),
        b"%d" % _age(number),
        f"{acquired:%H:%M:%S}".encode(),
        f"{acquired:%m-%d-%Y}".encode(),
        *(part for row in steps for part in _lead_data(row)),
    ]
    pieces = _muse_pieces()
    parts = [pieces[0]]
    for filling, piece in zip(fillings, pieces[1:], strict=True):
        parts += (filling, piece)
    return {f"m{number:07d}.xml": b"".join(parts)}


def _lead_data(row: Steps) -> tuple[bytes, bytes]:
    """CRC and text of one lead's samples."""
    content = row.tobytes()
    text = base64.b64encode(content)
    cuts = range(0, len(text), _BASE64_LINE)
    lines = b"\n".join([text[cut : cut + _BASE64_LINE] for cut in cuts])
    return b"%d" % zlib.crc32(content), b"\n" + lines + b"\n"


@lru_cache(maxsize=1)
def _muse_pieces() -> tuple[bytes, ...]:
    """The template around patient, age, time, date, and CRC and samples of each lead."""
    text = (demonstration("samples") / "muse" / _TEMPLATE).read_bytes()
    at = text.index(b"<WaveformType>Rhythm<")
    head = ("PatientID", "PatientAge", "AcquisitionTime", "AcquisitionDate")
    spans = [_content_of(text, name, 0) for name in head]
    for _ in INDEPENDENT_LEADS:
        for name in ("LeadDataCRC32", "WaveFormData"):
            spans.append(_content_of(text, name, at))
            at = spans[-1][1]
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    return tuple(text[first:last] for first, last in zip(edges[::2], edges[1::2], strict=True))


def _content_of(text: bytes, name: str, after: int) -> tuple[int, int]:
    found = re.compile(rf"<{name}>([^<]*)</{name}>".encode()).search(text, after)
    if found is None:
        raise ValueError(f"the template has no {name}")
    return found.span(1)


def twelve_leads_of(steps: Steps) -> Steps:
    """(12, 5000) counts in LEADS order, half a step each: `device.twelve_leads` in 16 bits."""
    lead_i, lead_ii = steps[0], steps[1]
    counts = np.empty((len(LEADS), steps.shape[1]), dtype=np.int16)
    counts[0], counts[1], counts[2] = 2 * lead_i, 2 * lead_ii, 2 * (lead_ii - lead_i)
    counts[3], counts[4], counts[5] = -lead_i - lead_ii, 2 * lead_i - lead_ii, 2 * lead_ii - lead_i
    counts[6:] = 2 * steps[2:]
    return counts


def _steps(number: int, step_uv: float) -> Steps:
    """A heart with noise of its own: -1, 0 or 1 step on each sample."""
    quiet = _quantised(step_uv)[number % N_HEARTS]
    noise = np.random.default_rng(number).integers(-1, 2, size=quiet.shape, dtype=np.int8)
    return np.asarray(quiet + noise, dtype="<i2")


@lru_cache(maxsize=2)
def _quantised(step_uv: float) -> NDArray[np.int16]:
    return np.rint(hearts() * (1000.0 / step_uv)).astype(np.int16)


@lru_cache(maxsize=1)
def hearts() -> NDArray[np.float64]:
    """(32, 8, 5000) in mV: one ECG each of the first patients of the demonstration's cohort."""
    settings = load_cohort(folder("config") / "train.demo.toml")
    ecgs = (draw_ecg(settings, draw_patient(settings, index), 0) for index in range(N_HEARTS))
    return np.stack([ecg.signal[_STORED] for ecg in ecgs])


def hearts_mv() -> Iterator[NDArray[np.float64]]:
    """The same hearts with all twelve leads, (12, 5000) in mV."""
    for heart in hearts():
        yield twelve_leads(heart).astype(np.float64) * (_WFDB_STEP_UV / 2000.0)


def _patient(number: int) -> str:
    return f"B{number:08d}"


def _acquired(number: int) -> datetime:
    return _FIRST + number * _GAP


def _age(number: int) -> int:
    return 40 + number % 45


def main() -> None:
    """How many a second are made, on the disk that holds temporary files."""
    with TemporaryDirectory() as home:
        for form in ("wfdb", "muse"):
            write_files(Path(home), range(2), form)
            started = time.process_time()
            n_bytes = write_files(Path(home), range(1000), form)
            seconds = time.process_time() - started
            sys.stdout.write(
                f"{form}: {1000 / seconds:.0f} a core-second, {n_bytes / 1e6:.0f} kB each\n"
            )


if __name__ == "__main__":
    main()
