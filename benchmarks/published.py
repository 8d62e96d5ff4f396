"""The published way of scoring a folder, made again from its description to be measured against.

`wfdb.rdrecord` and a dictionary of the whole XML document (expat, as xmltodict does it, which is no
dependency of ours), filters lead by lead with scipy, a DataLoader with two workers, eager torch on
batches of 64, a CSV file at the end. No checks, no ledger. Sources: ../docs/evidence.md; the
filters are those of the ECGFounder repository, described in `ecgbatch.preprocessing.spec`.

Run by `benchmarks.end_to_end` as `python -m benchmarks.published BUNDLE CSV FOLDER [N]`, in a
process of its own with malloc as it comes. Prints JSON: ECGs a second without start-up.
"""

import base64
import csv
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np
import torch
import wfdb
from numpy.typing import NDArray
from scipy.signal import butter, filtfilt, iirnotch, medfilt
from torch.utils.data import DataLoader, Dataset

from benchmarks.say import last_line
from benchmarks.tree import cpu_s
from ecgbatch.bundle.load import load_bundle
from ecgbatch.net.checkpoint import build_net
from ecgbatch.terms import LEADS

BATCH, WORKERS = 64, 2
_FS = 500.0
_STORED = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
Array = NDArray[np.float64]


class Folder(Dataset[tuple[torch.Tensor, str]]):
    """Every ECG of a folder, read and prepared when it is asked for."""

    def __init__(self, paths: list[Path], preset: str) -> None:
        self._paths = paths
        self._prepare = {"ecgfounder": filtered, "anyecg-ccta": scaled}[preset]

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, str]:
        path = self._paths[place]
        signal = from_muse(path) if path.suffix == ".xml" else from_wfdb(path)
        return torch.from_numpy(self._prepare(signal).astype(np.float32)), path.name


def from_wfdb(header: Path) -> Array:
    """(12, 5000) in mV."""
    signal: Array = wfdb.rdrecord(str(header.with_suffix(""))).p_signal.T
    return signal


def from_muse(path: Path) -> Array:
    """(12, 5000) in mV, the limb leads computed from I and II."""
    document = as_dictionary(path.read_bytes())["RestingECG"]
    rhythm = next(one for one in document["Waveform"] if one["WaveformType"] == "Rhythm")
    rows = {}
    for lead in rhythm["LeadData"]:
        counts = np.frombuffer(base64.b64decode(lead["WaveFormData"]), dtype="<i2")
        rows[lead["LeadID"]] = counts * float(lead["LeadAmplitudeUnitsPerBit"]) / 1000.0
    one, two = rows["I"], rows["II"]
    rows |= {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
    return np.stack([rows[name] for name in LEADS])


def as_dictionary(content: bytes) -> dict[str, Any]:
    """Every element by its name: its text, or a dictionary; a list where a name comes again."""
    stack: list[tuple[dict[str, Any], list[str]]] = [({}, [])]

    def start(_name: str, _attributes: dict[str, str]) -> None:
        stack.append(({}, []))

    def end(name: str) -> None:
        children, texts = stack.pop()
        value: Any = children or "".join(texts).strip()
        above = stack[-1][0]
        if name not in above:
            above[name] = value
        elif isinstance(above[name], list):
            above[name].append(value)
        else:
            above[name] = [above[name], value]

    def text(more: str) -> None:
        stack[-1][1].append(more)

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = text
    parser.Parse(content, True)
    return stack[0][0]


def filtered(signal: Array) -> Array:
    """Preset `ecgfounder`, lead by lead."""
    notch = iirnotch(50.0, 30.0, _FS)
    band = butter(4, [0.67, 40.0], btype="bandpass", fs=_FS)
    rows = []
    for lead in signal:
        passed = filtfilt(*band, filtfilt(*notch, lead))
        rows.append(passed - medfilt(passed, int(0.4 * _FS) + 1))
    clean = np.stack(rows)
    return np.asarray((clean - clean.mean()) / (clean.std() + 1e-8))


def scaled(signal: Array) -> Array:
    """Preset `anyecg-ccta`, lead by lead."""
    return np.stack([(lead - lead.mean()) / (lead.std() + 1e-8) for lead in signal])


def score(bundle: Path, table: Path, paths: list[Path]) -> dict[str, float]:
    """From the files to the table, timed once net and library are loaded and warm."""
    loaded = load_bundle(bundle)
    net = build_net(loaded.manifest.architecture, loaded.members[0])
    loader = DataLoader(
        Folder(paths, loaded.manifest.preprocessing.name), batch_size=BATCH, num_workers=WORKERS
    )
    with torch.no_grad():
        net(torch.zeros(BATCH, len(LEADS), 5000))
        began, began_core = time.perf_counter(), cpu_s(os.getpid())
        faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        rows = []
        for batch, names in loader:
            probabilities = torch.sigmoid(net(batch)).numpy()
            rows += [
                (name, *map(float, row)) for name, row in zip(names, probabilities, strict=True)
            ]
    with table.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows(rows)
    seconds = time.perf_counter() - began
    return {
        "n": len(rows),
        "seconds": seconds,
        "core_s": cpu_s(os.getpid()) - began_core,
        "page_faults": resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults,
    }


def main() -> None:
    bundle, table, folder = map(Path, sys.argv[1:4])
    paths = sorted(one for one in folder.rglob("*") if one.suffix in {".xml", ".hea"})
    limit = int(sys.argv[4]) if len(sys.argv) > 4 else len(paths)
    last_line(score(bundle, table, _alternating(paths)[:limit]))


def _alternating(paths: list[Path]) -> list[Path]:
    """Sorted by number, so that both formats take turns."""
    return sorted(paths, key=lambda path: path.stem[1:])


if __name__ == "__main__":
    main()
