"""The datasets of an export: their columns, in order and with fixed types. docs/export.md explains.

Columns are added at the end, never taken away or given another type or meaning.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from ecgbatch.terms import Vessel

_TEXT = pa.string()
_KEY = pa.int64()
_NUMBER = pa.float64()
_YES_NO = pa.bool_()
_MOMENT = pa.timestamp("us", tz="UTC")
_WALL_CLOCK = pa.timestamp("us")

_RECORDING: Mapping[str, pa.DataType] = {
    "file_digest": _TEXT,
    "patient_key": _TEXT,
    "accession": _TEXT,
    "order_number": _TEXT,
    "ecg_id": _TEXT,
    "ecg_date": _WALL_CLOCK,
    "ecg_date_source": _TEXT,
    "acquired_zone": _TEXT,
    "age_years": _NUMBER,
    "sex": _TEXT,
    "device": _TEXT,
    "site": _TEXT,
    "statement_normal": _YES_NO,
    "format": _TEXT,
    "sampling_frequency": _NUMBER,
    "n_samples": _KEY,
    "superseded_by": _KEY,
    "superseded_at": _MOMENT,
    "superseded_reason": _TEXT,
}
_EXPORT: Mapping[str, pa.DataType] = {"export_number": _KEY, "exported_at": _MOMENT}

IDENTIFIERS = ("patient_key", "accession", "order_number", "ecg_id")
"""What leads to a patient; empty in an export without identifiers."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A folder of files of one schema.

    Attributes:
        is_snapshot: one file, replaced by every export; else files are only added.
    """

    name: str
    schema: pa.Schema
    is_snapshot: bool = False


def _of_vessels(what: str, kind: pa.DataType) -> dict[str, pa.DataType]:
    return {f"{what}_{vessel.lower()}": kind for vessel in Vessel}


RESULTS = Dataset(
    "results",
    pa.schema(
        {
            "result_id": _KEY,
            "recording_id": _KEY,
            "outcome": _TEXT,
            "reason": _TEXT,
            "any_vessel_risk": _NUMBER,
            "any_vessel_stratum": _TEXT,
            **_of_vessels("risk", _NUMBER),
            **_of_vessels("stratum", _TEXT),
            **_of_vessels("near_cut", _YES_NO),
            **_of_vessels("is_experimental", _YES_NO),
            **_of_vessels("probability_raw", _NUMBER),
            **_of_vessels("logit", _NUMBER),
            "outside_intended_use": _YES_NO,
            "bundle_digest": _TEXT,
            "bundle_name": _TEXT,
            "bundle_version": _TEXT,
            "is_clinical": _YES_NO,
            "created_at": _MOMENT,
            "run_id": _KEY,
            "worker": _TEXT,
            "pipeline_id": _TEXT,
            "reader": _TEXT,
            "reader_version": _TEXT,
            "signal_digest": _TEXT,
            "preprocessing_digest": _TEXT,
            "runtime": _TEXT,
            "precision": _TEXT,
            "code_version": _TEXT,
            "library_versions": _TEXT,
            "padded_samples": _KEY,
            **_RECORDING,
            **_EXPORT,
        }
    ),
)
CHANGES = Dataset("changes", pa.schema({"recording_id": _KEY, **_RECORDING, **_EXPORT}))
ACTIVATIONS = Dataset(
    "activations",
    pa.schema(
        {
            "activation_id": _KEY,
            "bundle_digest": _TEXT,
            "bundle_name": _TEXT,
            "bundle_version": _TEXT,
            "is_clinical": _YES_NO,
            "role": _TEXT,
            "from_at": _MOMENT,
            "to_at": _MOMENT,
        }
    ),
    is_snapshot=True,
)
PATIENT_KEYS = Dataset(
    "patient_keys",
    pa.schema({"patient_key": _TEXT, "current_key": _TEXT}),
    is_snapshot=True,
)
DATASETS = (RESULTS, CHANGES, ACTIVATIONS, PATIENT_KEYS)


def partition_of_result(bundle_digest: str, created_at: datetime) -> str:
    """Hive folders of a result. The prefix keeps twelve digits from being read as a number."""
    return f"bundle=sha256-{bundle_digest[:12]}/{partition_of_month(created_at)}"


def partition_of_month(moment: datetime) -> str:
    """`month=2026-11`, in UTC."""
    return f"month={moment:%Y-%m}"
