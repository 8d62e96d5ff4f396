"""The files of a comparison: Parquet with a row per ECG and task, a summary, a picture."""

import errno
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from pyarrow import parquet

from ecgbatch.comparison.flips import shifts
from ecgbatch.comparison.picture import draw
from ecgbatch.comparison.report import Comparison, summary
from ecgbatch.errors import SetupFault, TransientFault
from ecgbatch.terms import ReasonCode

SCHEMA = pa.schema(
    [
        pa.field("recording_id", pa.int64(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("champion_risk", pa.float64(), nullable=False),
        pa.field("challenger_risk", pa.float64(), nullable=False),
        pa.field("shift", pa.float64(), nullable=False),
        pa.field("champion_stratum", pa.string()),
        pa.field("challenger_stratum", pa.string()),
        pa.field("champion_digest", pa.string(), nullable=False),
        pa.field("challenger_digest", pa.string(), nullable=False),
        pa.field("is_clinical", pa.bool_(), nullable=False),
    ]
)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def write(comparison: Comparison, out: Path) -> tuple[Path, ...]:
    """Write `flips.parquet`, `flips.json`, `flips.png` and `flips.svg`; each whole or not at all.

    No patient in any of them.

    Raises:
        TransientFault: `disk_full`.
        SetupFault: `output_unwritable`.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out, prefix=".compare-") as aside:
            folder = Path(aside)
            parquet.write_table(_table(comparison), folder / "flips.parquet")
            text = json.dumps(summary(comparison), indent=1, ensure_ascii=False, allow_nan=False)
            (folder / "flips.json").write_text(f"{text}\n", encoding="utf-8")
            (folder / "flips.png").write_bytes(draw(comparison, "png"))
            (folder / "flips.svg").write_bytes(draw(comparison, "svg"))
            names = sorted(path.name for path in folder.iterdir())
            for name in names:
                (folder / name).replace(out / name)
    except OSError as fault:
        if fault.errno in _FULL:
            raise TransientFault(ReasonCode.DISK_FULL) from None
        raise SetupFault(ReasonCode.OUTPUT_UNWRITABLE, "--out") from None
    return tuple(out / name for name in names)


def _table(comparison: Comparison) -> pa.Table:
    champion, challenger = comparison.champion.digest, comparison.challenger.digest
    pairs = comparison.pairs
    columns = {
        "recording_id": [pair.recording_id for pair in pairs],
        "task": [pair.task for pair in pairs],
        "champion_risk": [pair.champion_risk for pair in pairs],
        "challenger_risk": [pair.challenger_risk for pair in pairs],
        "shift": shifts(pairs),
        "champion_stratum": [pair.champion_stratum for pair in pairs],
        "challenger_stratum": [pair.challenger_stratum for pair in pairs],
        "champion_digest": [champion] * len(pairs),
        "challenger_digest": [challenger] * len(pairs),
        "is_clinical": [comparison.is_clinical] * len(pairs),
    }
    return pa.table(columns, schema=SCHEMA)
