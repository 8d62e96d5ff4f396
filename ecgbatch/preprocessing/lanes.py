"""A recursive filter of four leads at once, written in LLVM's own instructions.

numba's loops would keep the states in memory and take three times as long. Every product is rounded
before it is added: the instructions carry no leave to fuse or reorder them.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# numba reads no annotations.

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_LANES = ir.VectorType(ir.DoubleType(), 4)


def _sample(builder, samples, at):
    """The place of four leads' samples."""
    return builder.bitcast(builder.gep(samples, [at]), _LANES.as_pointer())


def _spread(builder, values, n):
    """Each of n values in all four lanes."""
    spread = []
    for k in range(n):
        value = builder.load(builder.gep(values, [ir.Constant(ir.IntType(64), k)]))
        lanes = ir.Constant(_LANES, ir.Undefined)
        for lane in range(_LANES.count):
            lanes = builder.insert_element(lanes, value, ir.Constant(ir.IntType(32), lane))
        spread.append(lanes)
    return spread


def _advance(builder, place, b, a, state):
    """One sample: `scipy.signal.lfilter`, direct form II transposed, operation by operation."""
    x = builder.load(place, align=8)
    y = builder.fadd(builder.load(state[0]), builder.fmul(b[0], x))
    for k in range(1, len(b)):
        value = builder.fmul(x, b[k])
        if k < len(state):
            value = builder.fadd(builder.load(state[k]), value)
        builder.store(builder.fsub(value, builder.fmul(y, a[k])), state[k - 1])
    builder.store(y, place, align=8)


def _recursion(n_state):
    """The loop over time for a filter of that many states, which stay in registers."""

    def typed(_context, samples, first, step, n, b, a, steady):  # noqa: PLR0917 - for machine code
        def generate(context, builder, signature, arguments):
            samples, b, a, steady = (
                context.make_array(signature.args[k])(context, builder, arguments[k]).data
                for k in (0, 4, 5, 6)
            )
            _, first, step, n, *_ = arguments
            b, a = (_spread(builder, values, n_state + 1) for values in (b, a))
            steady = _spread(builder, steady, n_state)
            earliest = builder.load(_sample(builder, samples, first), align=8)
            state = [cgutils.alloca_once(builder, _LANES) for _ in range(n_state)]
            for one, value in zip(state, steady, strict=True):
                builder.store(builder.fmul(value, earliest), one)
            with cgutils.for_range(builder, n) as loop:
                at = builder.add(first, builder.mul(loop.index, step))
                _advance(builder, _sample(builder, samples, at), b, a, state)
            return context.get_dummy_value()

        return types.void(samples, first, step, n, b, a, steady), generate

    return intrinsic(typed)


_of_2, _of_4, _of_6, _of_8 = (_recursion(n_state) for n_state in (2, 4, 6, 8))
_of_10, _of_12, _of_14, _of_16 = (_recursion(n_state) for n_state in (10, 12, 14, 16))


def _filter_four(samples, first, step, n, b, a, steady):  # noqa: PLR0917 - for machine code
    """Filter four leads in place, from the sample at `first` on in steps of `step`.

    Args:
        samples: all leads side by side, flat.
        b, a: (n_state + 1,), a[0] = 1; n_state is even, 2 to 16.
        steady: (n_state,), the state at rest on a constant input of 1.
    """
    if steady.size == 2:
        _of_2(samples, first, step, n, b, a, steady)
    elif steady.size == 4:
        _of_4(samples, first, step, n, b, a, steady)
    elif steady.size == 6:
        _of_6(samples, first, step, n, b, a, steady)
    elif steady.size == 8:
        _of_8(samples, first, step, n, b, a, steady)
    elif steady.size == 10:
        _of_10(samples, first, step, n, b, a, steady)
    elif steady.size == 12:
        _of_12(samples, first, step, n, b, a, steady)
    elif steady.size == 14:
        _of_14(samples, first, step, n, b, a, steady)
    else:
        _of_16(samples, first, step, n, b, a, steady)


filter_four = numba.njit(error_model="numpy")(_filter_four)
