"""ModelInputs into Risks, through a runtime that has proved itself on the golden ECGs."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from ecgbatch.bundle.calibration import calibrate, sigmoid
from ecgbatch.bundle.golden import check_golden, tolerance_of
from ecgbatch.bundle.load import Bundle
from ecgbatch.errors import InputFault
from ecgbatch.records import ModelInput, Risk
from ecgbatch.scoring.runtimes.registry import Logits, Wish, build_runtime
from ecgbatch.terms import Numerics, ReasonCode

_NO_MEMORY = ("DefaultCPUAllocator", "bad_alloc", "allocate memory", "out of memory")
"""Words of torch, OpenVINO, ONNX Runtime and CUDA for it."""


class Scorer:
    """Scores with one bundle.

    Attributes:
        bundle: as given, without its weights: the runtime has them.
        precision: as given.
        golden_difference: largest difference on a golden logit at start-up.
    """

    def __init__(
        self,
        bundle: Bundle,
        runtime: str = "torch",
        precision: Numerics = Numerics.FP32,
        wish: Wish | None = None,
    ) -> None:
        """Build the runtime and check it on the bundle's golden ECGs.

        Args:
            wish: how much of the machine to use; None is one core.

        Raises:
            SetupFault: cuts missing, precision not admitted, or golden logits not reproduced.
        """
        bundle.manifest.refuse_missing_cuts()
        tolerance_of(bundle.manifest, precision)  # before the nets are converted for nothing
        self.precision = precision
        self._runtime = build_runtime(runtime, bundle, precision, wish)
        self.bundle = bundle.without_weights()
        self.golden_difference = check_golden(
            bundle.manifest,
            bundle.golden_signals_mv,
            bundle.golden_logits,
            self._runtime.logits,
            precision,
        )

    @property
    def batch(self) -> int:
        """How many inputs are best given at once."""
        return self._runtime.batch

    @property
    def streams(self) -> int:
        """How many batches are computed at once."""
        return self._runtime.streams

    @property
    def runtime(self) -> str:
        """Name and version, as they stand on a result."""
        return f"{self._runtime.name} {self._runtime.version}"

    def score(self, inputs: Sequence[ModelInput]) -> list[tuple[Risk, ...]]:
        """One tuple of risks per input, in order; tasks in the bundle's order.

        Raises:
            InputFault: `result_not_finite`, for any of the inputs; score them singly to see which.
            MemoryError: this machine has too little for it.
        """
        if not inputs:
            return []
        with _memory_errors():
            logits = self._runtime.logits(np.stack([given.signal for given in inputs]))
        return [self._risks(row) for row in logits]

    def score_each(self, inputs: Sequence[ModelInput]) -> list[tuple[Risk, ...] | InputFault]:
        """As `score`; an input whose risks are no numbers gets the fault instead.

        May be called by as many threads at once as there are `streams`.

        Raises:
            MemoryError: this machine has too little for it.
        """
        if not inputs:
            return []
        with _memory_errors():
            logits = self._runtime.logits(np.stack([given.signal for given in inputs]))
        return [self._risks_or_fault(row) for row in logits]

    def _risks_or_fault(self, row: Logits) -> tuple[Risk, ...] | InputFault:
        try:
            return self._risks(row)
        except InputFault as fault:
            return fault

    def _risks(self, row: Logits) -> tuple[Risk, ...]:
        tasks = self.bundle.manifest.tasks
        risks = []
        for task, value in zip(tasks, row, strict=True):
            logit = float(value)
            if not math.isfinite(logit):
                raise InputFault(ReasonCode.RESULT_NOT_FINITE, task.vessel)
            probability = calibrate(logit, task.calibrator)
            risks.append(Risk(task.vessel, logit, sigmoid(logit), probability))
        return tuple(risks)


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Every library says it with an error of its own."""
    try:
        yield
    except Exception as fault:
        if not any(words in str(fault) for words in _NO_MEMORY):
            raise
        raise MemoryError from None
