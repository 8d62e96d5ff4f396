"""Compiles the kernels into a file: `python -m ecgbatch.preprocessing.build FILE`.

The only place that imports numba. `warm` in `filters` runs it in a process of its own.
"""

import os
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

import llvmlite.binding as llvm
import numba
import numpy as np
from numpy.typing import NDArray

from ecgbatch.preprocessing import design, kernels
from ecgbatch.preprocessing.compiled import SYMBOLS, CompiledFilters, sealed
from ecgbatch.preprocessing.scipy_filters import ScipyFilters

_FROM_OUTSIDE = frozenset({"memset", "memcpy", "memmove"})
_TRIALS = (design.notch(50.0, 30.0), design.bandpass(4, 0.67, 40.0), design.bandpass(1, 5.0, 15.0))


def main(path: Path) -> None:
    """Compile, try against scipy, put in place.

    Raises:
        SystemExit: the code does not do what scipy does; nothing is put in place.
    """
    code = machine_code()
    if not agrees(CompiledFilters(code)):
        sys.exit("the compiled filters are not scipy's to the bit")
    with NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(sealed(code))
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise


def machine_code() -> bytes:
    """An object file that exports the kernels under their own names and needs nothing of numba.

    Raises:
        SystemExit: the code would call into numba.
    """
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="pic",
        codemodel="jitdefault",
    )
    module = llvm.parse_assembly("")
    for name, signature in (
        ("zero_phase", kernels.ZERO_PHASE),
        ("subtract_median", kernels.SUBTRACT_MEDIAN),
    ):
        callback = numba.cfunc(signature, error_model="numpy")(getattr(kernels, name))
        part = llvm.parse_assembly(callback.inspect_llvm())
        part.get_function(callback.native_name).name = name
        module.link_in(part)
    _hide(module)
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    _check_alone(module)
    code: bytes = machine.emit_object(module)
    return code


def _hide(module: llvm.ModuleRef) -> None:
    """All but the kernels becomes private, so that what is not needed falls away."""
    for function in module.functions:
        if not function.is_declaration and function.name not in SYMBOLS:
            function.linkage = "internal"


def _check_alone(module: llvm.ModuleRef) -> None:
    needed = {
        function.name
        for function in module.functions
        if function.is_declaration and not function.name.startswith("llvm.")
    }
    if needed - _FROM_OUTSIDE:
        sys.exit(f"the kernels need {', '.join(sorted(needed))}")


def agrees(compiled: CompiledFilters) -> bool:
    """Whether the code gives scipy's bits on drifting, stepped, constant and spiked leads."""
    scipy, signal = ScipyFilters(), _trial_signal()
    pairs = [
        (compiled.zero_phase(filter_, signal), scipy.zero_phase(filter_, signal))
        for filter_ in _TRIALS
    ]
    pairs += [
        (compiled.subtract_median(given, n), scipy.subtract_median(given, n))
        for given in (signal, pairs[0][0])
        for n in (1, 3, 201)
    ]
    return all(np.array_equal(one, two) for one, two in pairs)


def _trial_signal() -> NDArray[np.float64]:
    draws = np.random.default_rng(14)
    signal = draws.normal(size=(12, 1500)).cumsum(axis=1) / 50
    signal[1] = np.round(signal[1], 1)
    signal[2] = 0.25
    signal[3] = 0.0
    signal[4, ::97] = 1e6
    signal[5] *= 1e-310
    return signal


if __name__ == "__main__":
    main(Path(sys.argv[1]))
