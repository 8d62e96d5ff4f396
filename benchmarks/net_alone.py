"""The net by itself, in the runtime and shape in which the engine runs it: core-ms for an ECG.

Run by `benchmarks.end_to_end` as `python -m benchmarks.net_alone BUNDLE SECONDS SCORING`, the last
one as JSON; as many threads ask at once as the runtime has streams. Prints JSON.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.files import hearts_mv
from benchmarks.say import last_line
from benchmarks.tree import cpu_s
from ecgbatch.admission import load_scorer
from ecgbatch.bundle.digest import bundle_digest
from ecgbatch.bundle.golden import golden_inputs
from ecgbatch.bundle.manifest import parse_manifest
from ecgbatch.records import ModelInput
from ecgbatch.scoring.scorer import Scorer
from ecgbatch.settings import load_settings
from ecgbatch.store.bundles import BundleRow


def measured(bundle: Path, seconds: float, scoring: dict[str, object]) -> dict[str, float | str]:
    settings = load_settings(None, {"scoring": scoring}, {})
    row = BundleRow(bundle_digest(bundle), "", "", is_clinical=False)
    scorer = load_scorer(settings, row, bundle)
    batch, streams = getattr(scorer, "batch", 1), getattr(scorer, "streams", 1)
    spec = parse_manifest((bundle / "bundle.json").read_bytes()).preprocessing
    signals = np.stack([heart for heart, _ in zip(hearts_mv(), range(batch), strict=False)])
    inputs = [ModelInput(one, 0) for one in golden_inputs(signals.astype(np.float32), spec)]
    inputs = (inputs * batch)[:batch]
    with ThreadPoolExecutor(streams) as pool:
        list(pool.map(lambda _: scorer.score(inputs), range(2 * streams)))
        began, began_core = time.perf_counter(), cpu_s(os.getpid())
        until = began + seconds
        n = sum(pool.map(lambda _: sum(_scored(scorer, inputs, until)), range(streams)))
        wall_s, core_s = time.perf_counter() - began, cpu_s(os.getpid()) - began_core
    return {
        "n": n,
        "seconds": wall_s,
        "core_s": core_s,
        "batch": batch,
        "streams": streams,
        "runtime": scorer.runtime,
    }


def _scored(scorer: Scorer, inputs: list[ModelInput], until: float) -> Iterator[int]:
    while time.perf_counter() < until:
        yield len(scorer.score(inputs))


def main() -> None:
    bundle, seconds, scoring = sys.argv[1:4]
    last_line(measured(Path(bundle), float(seconds), json.loads(scoring)))


if __name__ == "__main__":
    main()
