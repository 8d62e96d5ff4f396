"""An array of 12 leads as `.npy`, with a sidecar that says rate, unit and leads."""

import json
import warnings
from dataclasses import dataclass
from io import BytesIO
from math import prod
from tokenize import TokenError

import numpy as np
from numpy.lib import format as npy

from ecgbatch.errors import Incomplete, InputFault
from ecgbatch.readers.assembly import assemble
from ecgbatch.readers.leads import standard_name
from ecgbatch.readers.scaling import StoredLead, checked_sampling_frequency, mv_per_unit
from ecgbatch.records import Millivolts, Recording, RecordingBytes
from ecgbatch.terms import ReasonCode

NAME = "npy"
VERSION = "1"

SIDECAR_SUFFIX = ".json"
"""The sidecar of `x.npy` is `x.npy.json`."""

_MAX_SIDECAR_BYTES = 65536
_KEYS = {"sampling_frequency", "unit", "leads"}
_MV_PER_COUNT = 1e-6
"""For the digest only: values are compared to the nanovolt."""
_LARGEST_COUNT = 2.0**62
_FOREIGN = (
    ValueError,
    LookupError,
    TypeError,
    SyntaxError,
    TokenError,
    RecursionError,
    MemoryError,
)
"""What numpy's parser of headers raises; it evaluates literals only."""
_HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True, slots=True)
class _Sidecar:
    sampling_frequency: float
    mv_per_unit: float
    leads: tuple[str, ...]


def recognises(head: bytes) -> bool:
    """Whether the array format's magic stands at the start."""
    return head.startswith(npy.MAGIC_PREFIX)


def read(source: RecordingBytes) -> Recording:
    """Decode an array (n_leads, n_samples) or (n_samples, n_leads) of the sidecar's leads.

    Raises:
        Incomplete: fewer values than the shape says.
        InputFault: no sidecar (`unit_unknown`: a unit is never guessed), a sidecar that says
            more or less than it must, objects or text in the array, or a shape that fits not
            exactly one of the two ways.
        Refusal: none of the twelve leads.
    """
    if len(source.members) < 2:
        raise InputFault(ReasonCode.UNIT_UNKNOWN, "no sidecar")
    sidecar = _sidecar(source.members[1].content)
    millivolts = _leads_first(_values(source.first), len(sidecar.leads)) * sidecar.mv_per_unit
    named = zip(map(standard_name, sidecar.leads), millivolts, strict=True)
    stored = tuple(_stored(name, row) for name, row in named if name)
    return assemble(
        NAME,
        VERSION,
        stored,
        sidecar.sampling_frequency,
    )


def _sidecar(content: bytes) -> _Sidecar:
    fields = _strict_json(content)
    if fields.keys() != _KEYS:
        raise InputFault(ReasonCode.HEADER_INVALID, "sidecar keys")
    frequency, unit, leads = (fields[key] for key in ("sampling_frequency", "unit", "leads"))
    if not isinstance(frequency, int | float) or isinstance(frequency, bool):
        raise InputFault(ReasonCode.SAMPLING_FREQUENCY_INVALID)
    if not isinstance(unit, str):
        raise InputFault(ReasonCode.UNIT_UNKNOWN)
    names = (
        tuple(name for name in leads if isinstance(name, str)) if isinstance(leads, list) else ()
    )
    if not isinstance(leads, list) or not names or len(names) != len(leads):
        raise InputFault(ReasonCode.HEADER_INVALID, "sidecar leads")
    return _Sidecar(checked_sampling_frequency(frequency), mv_per_unit(unit), names)


def _strict_json(content: bytes) -> dict[str, object]:
    """A JSON object without NaN and without a key that stands there twice."""
    if len(content) > _MAX_SIDECAR_BYTES:
        raise InputFault(ReasonCode.HEADER_INVALID, "sidecar size")
    try:
        fields = json.loads(
            content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):
        raise InputFault(ReasonCode.HEADER_INVALID, "sidecar") from None
    if not isinstance(fields, dict):
        raise InputFault(ReasonCode.HEADER_INVALID, "sidecar")
    return fields


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError
    return fields


def _refuse_constant(_: str) -> float:
    raise ValueError


def _values(content: bytes) -> Millivolts:
    """The array in float64, from its declared type; pickled objects are never loaded."""
    file = BytesIO(content)
    with warnings.catch_warnings():
        # Of headers that Python 2 wrote, which are read all the same.
        warnings.simplefilter("ignore")
        try:
            shape, is_fortran, kind = _HEADER_READERS[npy.read_magic(file)](file)
        except _FOREIGN:
            raise InputFault(ReasonCode.HEADER_INVALID, "array header") from None
    if kind.hasobject or kind.kind not in "iuf" or kind.itemsize > 8 or len(shape) != 2:
        raise InputFault(ReasonCode.HEADER_INVALID, "array type or shape")
    size = prod(shape) * kind.itemsize
    n_left = len(content) - file.tell()
    if min(shape) < 1 or n_left > size:
        raise InputFault(ReasonCode.SIZE_MISMATCH, "array")
    if n_left < size:
        raise Incomplete("array")
    flat = np.frombuffer(content, dtype=kind, offset=file.tell())
    return flat.reshape(shape, order="F" if is_fortran else "C").astype(np.float64)


def _leads_first(values: Millivolts, n_leads: int) -> Millivolts:
    rows, columns = values.shape
    if (rows == n_leads) == (columns == n_leads):
        raise InputFault(ReasonCode.SIZE_MISMATCH, "leads of array and sidecar")
    return values if rows == n_leads else values.T


def _stored(name: str, values: Millivolts) -> StoredLead:
    """A lead whose values that are not finite are invalid samples."""
    millivolts = np.where(np.isfinite(values), values, np.nan)
    scaled = np.nan_to_num(millivolts / _MV_PER_COUNT, nan=-_LARGEST_COUNT)
    counts = np.rint(np.clip(scaled, -_LARGEST_COUNT, _LARGEST_COUNT)).astype(np.int64)
    return StoredLead(name, counts, _MV_PER_COUNT, millivolts)
