"""A bundle as an explanation needs it: its nets with gradients, its golden ECGs reproduced."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgbatch.bundle.calibration import calibrate
from ecgbatch.bundle.golden import check_golden
from ecgbatch.bundle.load import Bundle, load_bundle
from ecgbatch.net.checkpoint import build_net
from ecgbatch.net.ensemble import mean_logits
from ecgbatch.net.net1d import Net1D
from ecgbatch.terms import Numerics, Stratum, Vessel


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A bundle and its members' nets, in eval mode."""

    bundle: Bundle
    nets: tuple[Net1D, ...] = field(repr=False)

    def output(self, vessel: Vessel) -> int:
        """Row of the head."""
        return list(Vessel).index(vessel)

    def probability(self, vessel: Vessel, logit: float) -> float:
        """Calibrated, as `ecgbatch` would store it."""
        return calibrate(logit, self.bundle.manifest.tasks[self.output(vessel)].calibrator)

    def stratum(self, vessel: Vessel, probability: float) -> Stratum | None:
        """None where the bundle has no cuts for the vessel."""
        cuts = self.bundle.manifest.tasks[self.output(vessel)].cuts
        return None if cuts is None else cuts.stratum(probability)


def load_model(folder: Path) -> Model:
    """Any bundle, also one whose cuts are still missing.

    Raises:
        SetupFault: it is no bundle, or its golden logits are not reproduced here.
    """
    bundle = load_bundle(folder, for_scoring=False)
    nets = tuple(build_net(bundle.manifest.architecture, member) for member in bundle.members)

    def logits_of(batch: NDArray[np.float32]) -> NDArray[np.float64]:
        return mean_logits(nets, batch)

    check_golden(
        bundle.manifest, bundle.golden_signals_mv, bundle.golden_logits, logits_of, Numerics.FP32
    )
    return Model(bundle, nets)
