"""ECGs of a cohort again, in mV and unfiltered, for pictures and mean beats."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ecgbatch.errors import InputFault, Refusal
from ecgbatch.preprocessing.apply import prepare
from ecgbatch.preprocessing.spec import PreprocessingSpec
from ecgbatch.records import Millivolts, RecordingBytes
from training.data.files import EcgFiles
from training.data.prepare import decoders
from training.data.reading import gate_settings
from training.settings.data import Arrays

N_CUT = 2
"""Window and resampling are the first two steps of every preparation; the rest is left out."""


def millivolts_reader(
    paths: Mapping[str, str], root: Path, arrays: Arrays | None, spec: PreprocessingSpec
) -> Callable[[Sequence[str]], Iterator[Millivolts]]:
    """A function from keys of ECGs to (12, 5000) mV at 500 Hz, in order.

    An ECG that is gone, that cannot be read, or whose file has other bytes than when the cohort
    was made, is left out.

    Args:
        paths: by key.
        arrays: as in the settings that the cohort was made with.
    """

    def read(keys: Sequence[str]) -> Iterator[Millivolts]:
        gates = gate_settings()
        with (
            EcgFiles(root, arrays, gates.limits.recording_bytes) as files,
            decoders(gates.isolation, 1) as decode,
        ):
            for key in keys:
                try:
                    source: RecordingBytes = files.read(paths[key])
                    if source.file_digest != key:
                        continue
                    recording = decode(source)
                    signal, _ = prepare(
                        recording.signal, recording.sampling_frequency, spec.steps[:N_CUT]
                    )
                except (KeyError, InputFault, Refusal):
                    continue
                yield signal

    return read
