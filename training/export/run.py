"""Export: build aside, prove, put in place."""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ecgbatch.bundle.load import Bundle, load_bundle
from ecgbatch.bundle.measure import measure_golden
from ecgbatch.bundle.save import save_bundle
from ecgbatch.errors import SetupFault
from ecgbatch.preprocessing.spec import preset
from ecgbatch.terms import ReasonCode
from training.export.finished import FinishedRun
from training.export.golden import golden_ecgs
from training.export.manifest import build_manifest
from training.export.proof import prove
from training.operating_points.run import index_rows
from training.records import Array, Inputs, Progress, Rows

_N_PROOF = 32
_STEPS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """What export gives beside the files.

    Attributes:
        n_proved, largest_difference: ECGs of the test part that ecgbatch scored again, and how far
            their probabilities are from training's.
    """

    run: FinishedRun = field(repr=False)
    bundle: Bundle
    n_proved: int
    largest_difference: float


def export_run(run: FinishedRun, inputs: Inputs, out: Path, progress: Progress) -> Exported:
    """Write the bundle of a run; equal runs give equal bytes.

    It is built in a folder beside `out`, loaded, and has to score the test part's first 32 index
    ECGs as training did; only then it takes the place.

    Args:
        inputs: of the run's cohort, in its order.

    Raises:
        SetupFault: the weights do not fit the settings; the bundle does not score as training did
            (`bundle_golden`); `out` is something else than a bundle.
    """
    experiment = run.experiment
    progress("export", 0, _STEPS)
    golden_mv = golden_ecgs(experiment.cohort, run.bundle)
    spec = preset(experiment.data.preset)
    golden = measure_golden(experiment.architecture, run.members, spec, golden_mv)
    manifest = build_manifest(run, golden.tolerance)
    rows, probabilities = _to_prove(run)
    progress("export", 1, _STEPS)
    with _beside(out) as aside:
        there = Path(aside) / "bundle"
        digest = save_bundle(there, manifest, run.members, golden_mv, golden.logits)
        progress("export", 2, _STEPS)
        built = load_bundle(there, expected_digest=digest)
        difference = prove(built, list(inputs.take(rows)), probabilities)
    progress("export", 3, _STEPS)
    save_bundle(out, manifest, run.members, golden_mv, golden.logits)
    bundle = load_bundle(out, expected_digest=digest)
    progress("export", 4, _STEPS)
    return Exported(run, bundle, len(rows), difference)


def _to_prove(run: FinishedRun) -> tuple[Rows, Array]:
    """Rows of the cohort, and what training says of them."""
    rows, places = index_rows(run.cohort, run.test.keys)
    chosen = places[:_N_PROOF]
    if not chosen:
        raise SetupFault(ReasonCode.RUN_FOLDER_UNFIT, "the test part has no index ECG")
    return (
        np.array(rows[:_N_PROOF], dtype=np.int64),
        run.points.probabilities(run.test.logits[chosen]),
    )


def _beside(out: Path) -> TemporaryDirectory[str]:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent)
    except OSError:
        raise SetupFault(ReasonCode.BUNDLE_INVALID, "the folder cannot be written") from None
