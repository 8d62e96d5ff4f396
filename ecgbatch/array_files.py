"""The files that `convert` writes: one array in one of three formats, its description beside it."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import wfdb
from pyarrow import parquet

from ecgbatch.convert import Standardised
from ecgbatch.errors import Refusal, SetupFault, TransientFault
from ecgbatch.readers.numpy_array import SIDECAR_SUFFIX
from ecgbatch.terms import LEADS, SAMPLING_FREQUENCY, ReasonCode

_MOST_COUNTS = 32767
_GAINS = (1e4, *(step * 10.0**power for power in range(3, -4, -1) for step in (5.0, 2.0, 1.0)))


def write(standardised: Standardised, out: Path, kind: str) -> Path:
    """Write the array in a format of `WRITERS` and, last, its description as JSON beside it.

    The files are named by the file digest; each appears whole or not at all.

    Returns:
        The array's file; for WFDB the header.

    Raises:
        Refusal: `amplitude_implausible`, beyond what WFDB can hold.
        TransientFault: `disk_full`.
        SetupFault: the folder cannot be written.
    """
    stem = standardised.file_digest
    description = json.dumps(standardised.description, indent=1, allow_nan=False)
    try:
        with TemporaryDirectory(dir=out, prefix=".convert-") as aside:
            written = WRITERS[kind](standardised, Path(aside), stem)
            beside = Path(aside) / f"{stem}.json"
            beside.write_text(f"{description}\n", encoding="utf-8")
            for path in (*written, beside):
                path.replace(out / path.name)
    except OSError as fault:
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TransientFault(ReasonCode.DISK_FULL) from None
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "--out cannot be written") from None
    return out / written[-1].name


def wfdb_gain(peak_mv: float) -> float:
    """Counts per mV: the largest of 1, 2 or 5 x 10^n, at most 10,000, that keeps 16 bits.

    So a sample is off by half a count at most: 0.05 uV up to 3.2 mV, 0.25 uV up to 16 mV.

    Raises:
        Refusal: `amplitude_implausible`, above 32 kV.
    """
    fitting = (gain for gain in _GAINS if gain * peak_mv <= _MOST_COUNTS)
    gain = next(fitting, None)
    if gain is None:
        raise Refusal(ReasonCode.AMPLITUDE_IMPLAUSIBLE)
    return gain


def _write_npy(standardised: Standardised, folder: Path, stem: str) -> tuple[Path, ...]:
    """The array and the sidecar that the `npy` reader asks for."""
    path = folder / f"{stem}.npy"
    np.save(path, standardised.signal, allow_pickle=False)
    sidecar = folder / f"{path.name}{SIDECAR_SUFFIX}"
    stated = {"sampling_frequency": SAMPLING_FREQUENCY, "unit": "mV", "leads": LEADS}
    sidecar.write_text(json.dumps(stated), encoding="utf-8")
    return sidecar, path


def _write_parquet(standardised: Standardised, folder: Path, stem: str) -> tuple[Path, ...]:
    """One column per lead; the description is the schema's metadata `ecgbatch`."""
    path = folder / f"{stem}.parquet"
    columns = dict(zip(LEADS, standardised.signal, strict=True))
    description = json.dumps(standardised.description, allow_nan=False)
    table = pa.table(columns).replace_schema_metadata({"ecgbatch": description})
    parquet.write_table(table, path)
    return (path,)


def _write_wfdb(standardised: Standardised, folder: Path, stem: str) -> tuple[Path, ...]:
    """Format 16, one gain for all leads: the finest that holds the largest sample."""
    signal = standardised.signal.astype(np.float64)
    gain = wfdb_gain(float(np.abs(signal).max()))
    wfdb.wrsamp(
        stem,
        fs=SAMPLING_FREQUENCY,
        units=["mV"] * len(LEADS),
        sig_name=list(LEADS),
        d_signal=np.rint(signal.T * gain).astype(np.int64),
        fmt=["16"] * len(LEADS),
        adc_gain=[gain] * len(LEADS),
        baseline=[0] * len(LEADS),
        write_dir=str(folder),
    )
    return folder / f"{stem}.dat", folder / f"{stem}.hea"


WRITERS: dict[str, Callable[[Standardised, Path, str], tuple[Path, ...]]] = {
    "npy": _write_npy,
    "wfdb": _write_wfdb,
    "parquet": _write_parquet,
}
