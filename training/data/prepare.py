"""Any labelled cohort, of a run or an external one: manifest in, cohort and prepared arrays out."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from queue import SimpleQueue

import pandas as pd

from ecgbatch.errors import InputFault
from ecgbatch.isolation.decoder import Decoder
from ecgbatch.preprocessing import filters
from ecgbatch.preprocessing.spec import PreprocessingSpec
from ecgbatch.records import Recording, RecordingBytes
from ecgbatch.settings import Isolation, Settings
from training.data.assembly import Assembled, assemble
from training.data.cache import Cache, CachedInputs
from training.data.files import EcgFiles
from training.data.manifest import Manifest, parse_manifest
from training.data.reading import (
    Patients,
    Prepared,
    Reading,
    gate_settings,
    read_one,
    rules_digest,
)
from training.data.screening import Reason, unreadable_rows
from training.data.sheet import read_sheet
from training.records import Cohort, Progress
from training.settings.data import DataSettings, LabelSettings

BATCH = 16
"""ECGs that a kill can cost: so many are read, then written to the cache together."""

_READ = "reading ECGs"


@dataclass(frozen=True, slots=True, eq=False)
class PreparedCohort:
    """A cohort with its arrays.

    Attributes:
        assembled: the cohort, and what became of every row.
        private: key, patient, identifier, path, row of the manifest.
    """

    manifest: Manifest = field(repr=False)
    assembled: Assembled
    inputs: CachedInputs = field(repr=False)
    private: pd.DataFrame = field(repr=False)

    @property
    def cohort(self) -> Cohort:
        return self.assembled.cohort

    @property
    def excluded(self) -> pd.DataFrame:
        """Row of the manifest, reason, what it means."""
        return self.assembled.excluded_table(self.manifest)


def prepare(
    settings: DataSettings,
    labels: LabelSettings,
    spec: PreprocessingSpec,
    *,
    manifest: Path,
    root: Path,
    cache: Path,
    progress: Progress,
) -> PreparedCohort:
    """Read the manifest and every ECG, gate and prepare them as `ecgbatch` does, choose index ECGs.

    What the cache has is not read again, so a run that was stopped goes on where it was. The same
    files, settings and rules give the same cohort and the same bytes.

    Args:
        spec: of the settings' preset, or of the bundle that is evaluated.
        root: folder that the manifest's paths are relative to.
        cache: folder of prepared arrays, shared by any number of runs.

    Raises:
        SetupFault: `manifest_invalid`, `settings_invalid`; `source_unavailable`, `disk_full`,
            `reader_not_installed`: it can be called again once that is mended.
    """
    gates = gate_settings()
    kept = Cache(cache, rules_digest(spec, gates))
    patients = Patients(kept.secret, gates.site.placeholders)
    table = parse_manifest(
        read_sheet(manifest, settings), settings, labels, patients.is_placeholder
    )
    reasons = unreadable_rows(table)
    if spec.has_filters:
        filters.warm()
    with (
        EcgFiles(root, settings.arrays, gates.limits.recording_bytes) as files,
        decoders(gates.isolation, settings.processes) as decode,
    ):
        desk = _Desk(files, decode, spec, gates, patients, kept)
        readings, unread = _read_all(desk, table, reasons, settings.processes, progress)
    assembled = assemble(
        table, readings, reasons | unread, settings=settings, labels=labels, patients=patients
    )
    return PreparedCohort(
        manifest=table,
        assembled=assembled,
        inputs=kept.inputs(assembled.cohort.keys),
        private=_private(table, assembled),
    )


@contextmanager
def decoders(isolation: Isolation, n: int) -> Iterator[Callable[[RecordingBytes], Recording]]:
    """A decode function over `n` reader processes, for as many threads."""
    free: SimpleQueue[Decoder] = SimpleQueue()
    with ExitStack() as stack:
        for _ in range(n):
            decoder = Decoder(isolation)
            # Not entered: a process starts with its first ECG, and not at all where all is cached.
            stack.push(decoder)
            free.put(decoder)

        def decode(source: RecordingBytes) -> Recording:
            decoder = free.get()
            try:
                return decoder.decode(source)
            finally:
                free.put(decoder)

        yield decode


@dataclass(frozen=True, slots=True, eq=False)
class _Desk:
    """What reading one ECG takes."""

    files: EcgFiles
    decode: Callable[[RecordingBytes], Recording]
    spec: PreprocessingSpec
    gates: Settings
    patients: Patients
    cache: Cache

    def read(self, path: str) -> "Reason | tuple[Reading, Prepared | None]":
        """From the cache where it has the file's content; else decoded, gated and prepared."""
        try:
            source = self.files.read(path)
        except InputFault as fault:
            return fault.reason
        known = self.cache.find(source.file_digest)
        if known is not None:
            return known.reading, None
        return read_one(source, self.decode, self.spec, self.gates, self.patients)


def _read_all(
    desk: _Desk,
    table: Manifest,
    skipped: dict[int, Reason],
    n_threads: int,
    progress: Progress,
) -> tuple[dict[int, Reading], dict[int, Reason]]:
    """Readings by place in the manifest, and reasons of what cannot be used."""
    todo = iter([place for place in range(len(table)) if place not in skipped])
    readings: dict[int, Reading] = {}
    reasons: dict[int, Reason] = {}
    n_done, n_all = 0, len(table) - len(skipped)
    progress(_READ, 0, n_all)
    with ThreadPoolExecutor(n_threads) as threads:
        while batch := list(islice(todo, BATCH)):
            new = []
            for place, found in zip(
                batch, threads.map(desk.read, _paths(table, batch)), strict=True
            ):
                if isinstance(found, tuple):
                    new.append(found)
                    _file(place, found[0], readings, reasons)
                else:
                    reasons[place] = found
                n_done += 1
                progress(_READ, n_done, n_all)
            desk.cache.add(new)
    return readings, reasons


def _paths(table: Manifest, places: Sequence[int]) -> list[str]:
    return [table.paths[place] or "" for place in places]


def _file(
    place: int, reading: Reading, readings: dict[int, Reading], reasons: dict[int, Reason]
) -> None:
    if reading.reason is None:
        readings[place] = reading
    else:
        reasons[place] = reading.reason


def _private(table: Manifest, assembled: Assembled) -> pd.DataFrame:
    cohort = assembled.cohort
    return pd.DataFrame(
        {
            "key": cohort.keys,
            "patient": cohort.patients,
            "identifier": [table.patients[place] for place in assembled.rows],
            "path": [table.paths[place] for place in assembled.rows],
            "row": [table.rows[place] for place in assembled.rows],
        }
    )
