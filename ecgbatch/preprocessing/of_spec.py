"""The steps of a specification, for the type checker alone.

At run time a step is told by its `step` and only its attributes are taken: in the reader process,
where pydantic is not loaded (docs/why/0045), steps are plain values of the same names.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecgbatch.preprocessing.spec import (
        Bandpass,
        MedianBaseline,
        Notch,
        PreprocessingSpec,
        Resample,
        Step,
        Window,
        ZScore,
    )
else:
    Bandpass = MedianBaseline = Notch = PreprocessingSpec = Resample = Step = Window = ZScore = Any

__all__ = [
    "Bandpass",
    "MedianBaseline",
    "Notch",
    "PreprocessingSpec",
    "Resample",
    "Step",
    "Window",
    "ZScore",
]
