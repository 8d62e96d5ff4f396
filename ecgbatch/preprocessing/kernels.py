"""The filters of the published chain as numba compiles them; imported by `build` alone.

Every sum and product stands in the order of scipy's own loops (`lfilter`, direct form II
transposed), is rounded on its own (no fast-math, no fused multiply-add) and never waits for its
neighbour: the leads lie side by side. So the results are scipy's to the bit, which `build` checks
before it keeps them.

Memory comes from the caller: what allocates nothing and raises nothing needs nothing of numba
where it runs.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, attr-defined"
# numba reads no annotations, and lists few of its names as exported.

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ecgbatch.preprocessing.lanes import filter_four

DOUBLES = types.CPointer(types.float64)
WORDS = types.CPointer(types.uint64)
HALF_WORDS = types.CPointer(types.uint32)

ZERO_PHASE = types.void(*[DOUBLES] * 5, *[types.int64] * 4)
SUBTRACT_MEDIAN = types.void(*[DOUBLES] * 4, *[WORDS] * 5, HALF_WORDS, *[types.int64] * 3)

U = np.uint64
_ONE = U(1)
_SIX = U(6)
_IN_WORD = U(63)
_MAGNITUDE = U(0x7FFFFFFFFFFFFFFF)
_N_PLACE = U(14)
"""Bits that hold a sample's place: up to 16,384 samples, zeros outside included."""
_PLACE = U((1 << 14) - 1)
_EXPONENTS = U(31)
"""Powers of two below the largest sample that the first sorting tells apart."""
_N_DIGIT = U(11)
_DIGIT = U((1 << 11) - 1)
_KEY = U((1 << 22) - 1)
_KEY_OF_ZERO = U(1 << 21)


def _compiled(function):
    return numba.njit(error_model="numpy")(function)


def _counts_zeros(name):
    def typed(_context, _word):
        def generate(_context, builder, _signature, arguments):
            return getattr(builder, name)(arguments[0], ir.Constant(ir.IntType(1), 1))

        return types.uint64(types.uint64), generate

    return intrinsic(typed)


_leading_zeros = _counts_zeros("ctlz")
_trailing_zeros = _counts_zeros("cttz")


@_compiled
def _reflect(row, end, inner):
    for lead in range(row.size):
        row[lead] = 2 * end[lead] - inner[lead]


def zero_phase(  # noqa: PLR0917 - called by machine code
    signal_p, filtered_p, b_p, a_p, steady_p, n, n_leads, n_state, n_edge
):
    """Forwards and backwards, continued at both ends by odd reflection.

    Args:
        signal_p: (n, n_leads), a multiple of four leads.
        filtered_p: (n + 2 n_edge, n_leads), written; the result without its edges.
        b_p, a_p: (n_state + 1,), a[0] = 1; n_state is even, 2 to 16.
        steady_p: (n_state,), the state at rest on a constant input of 1.
    """
    n_all = n + 2 * n_edge
    signal = numba.carray(signal_p, (n, n_leads))
    filtered = numba.carray(filtered_p, (n_all, n_leads))
    samples = numba.carray(filtered_p, n_all * n_leads)
    b, a = numba.carray(b_p, n_state + 1), numba.carray(a_p, n_state + 1)
    steady = numba.carray(steady_p, n_state)
    for i in range(n_edge):
        _reflect(filtered[i], signal[0], signal[n_edge - i])
        _reflect(filtered[n_edge + n + i], signal[n - 1], signal[n - 2 - i])
    for i in range(n):
        for lead in range(n_leads):
            filtered[n_edge + i, lead] = signal[i, lead]
    for lead in range(0, n_leads, 4):
        filter_four(samples, lead, n_leads, n_all, b, a, steady)
        filter_four(samples, (n_all - 1) * n_leads + lead, -n_leads, n_all, b, a, steady)


@_compiled
def _sort(value, bits, order, other, counts):
    """Places of the samples by value into the low bits of `order`.

    Two passes of a radix sort by sign, exponent and the first 16 bits of the fraction, the
    exponent counted down from the largest; then an insertion sort by the values themselves.
    """
    largest = U(0)
    for i in range(bits.size):
        largest = max(largest, bits[i] & _MAGNITUDE)
    largest >>= U(52)
    least = (largest - _EXPONENTS) << U(52) if largest > _EXPONENTS else U(0)
    for digit in range(counts.shape[1]):
        counts[0, digit] = 0
        counts[1, digit] = 0
    for i in range(bits.size):
        magnitude = bits[i] & _MAGNITUDE
        key = (magnitude - least) >> U(36) if magnitude > least else U(0)
        is_negative = U(0) - (bits[i] >> _IN_WORD)
        key = (key + _KEY_OF_ZERO) ^ (is_negative & _KEY)
        order[i] = (key << _N_PLACE) | U(i)
        counts[0, key & _DIGIT] += U(1)
        counts[1, key >> _N_DIGIT] += U(1)
    for k in range(2):
        total = np.uint32(0)
        for digit in range(counts.shape[1]):
            count = counts[k, digit]
            counts[k, digit] = total
            total = np.uint32(total + count)
    for entry in order:
        digit = (entry >> _N_PLACE) & _DIGIT
        other[counts[0, digit]] = entry
        counts[0, digit] += np.uint32(1)
    for entry in other:
        digit = entry >> (_N_PLACE + _N_DIGIT)
        order[counts[1, digit]] = entry
        counts[1, digit] += np.uint32(1)
    _insert(value, order)


@_compiled
def _insert(value, order):
    before = order[0]
    for i in range(1, order.size):
        entry = order[i]
        if entry >> _N_PLACE == before >> _N_PLACE:
            sample = value[entry & _PLACE]
            j = i
            while j > 0 and value[order[j - 1] & _PLACE] > sample:
                order[j] = order[j - 1]
                j -= 1
            order[j] = entry
        before = order[i]


@_compiled
def _first_median(window, half):
    """The rank that has `half` members of the window below it."""
    n_below = U(0)
    word = 0
    while True:
        members = window[word]
        while members != 0:
            if n_below == half:
                return (U(word) << _SIX) + _trailing_zeros(members)
            members &= members - _ONE
            n_below += _ONE
        word += 1


@_compiled
def _next_member(window, rank):
    word = rank >> _SIX
    members = window[word] & ~((U(2) << (rank & _IN_WORD)) - _ONE)
    while members == 0:
        word += _ONE
        members = window[word]
    return (word << _SIX) + _trailing_zeros(members)


@_compiled
def _previous_member(window, rank):
    word = rank >> _SIX
    members = window[word] & ((_ONE << (rank & _IN_WORD)) - _ONE)
    while members == 0:
        word -= _ONE
        members = window[word]
    return (word << _SIX) + _IN_WORD - _leading_zeros(members)


def subtract_median(  # noqa: PLR0917 - called by machine code
    signal_p,
    subtracted_p,
    value_p,
    ranked_p,
    bits_p,
    order_p,
    other_p,
    rank_p,
    window_p,
    counts_p,
    n,
    n_leads,
    half,
):
    """The signal less its running median over 2 half + 1 samples, zeros outside.

    The samples are ranked once. The window is a set of ranks, one bit each, and its median moves
    by at most one member per step.

    Args:
        signal_p: (n, n_leads).
        subtracted_p: (n_leads, n), written.
        value_p, bits_p: (n + 2 half,) to work in, twice the same memory.
        ranked_p, order_p, other_p, rank_p: each (n + 2 half,) to work in.
        window_p: (n + 2 half,) bits to work in, in whole words.
        counts_p: (2, 2048) to work in.
    """
    n_all = n + 2 * half
    signal = numba.carray(signal_p, (n, n_leads))
    subtracted = numba.carray(subtracted_p, (n_leads, n))
    value, bits = numba.carray(value_p, n_all), numba.carray(bits_p, n_all)
    ranked, rank = numba.carray(ranked_p, n_all), numba.carray(rank_p, n_all)
    order, other = numba.carray(order_p, n_all), numba.carray(other_p, n_all)
    window = numba.carray(window_p, (n_all + 63) // 64)
    counts = numba.carray(counts_p, (2, 2048))
    for lead in range(n_leads):
        for i in range(half):
            value[i] = 0.0
            value[half + n + i] = 0.0
        for i in range(n):
            value[half + i] = signal[i, lead]
        _sort(value, bits, order, other, counts)
        for i in range(n_all):
            place = order[i] & _PLACE
            rank[place] = U(i)
            ranked[i] = value[place] + 0.0  # no negative zero: a tie has one sign
        _slide(value, ranked, rank, window, subtracted[lead])


@_compiled
def _slide(value, ranked, rank, window, subtracted):
    for word in range(window.size):
        window[word] = 0
    half = (value.size - subtracted.size) // 2
    for i in range(2 * half + 1):
        window[rank[i] >> _SIX] |= _ONE << (rank[i] & _IN_WORD)
    median = _first_median(window, U(half))
    for i in range(subtracted.size - 1):
        subtracted[i] = value[half + i] - ranked[median]
        leaves, enters = rank[i], rank[i + 2 * half + 1]
        window[enters >> _SIX] |= _ONE << (enters & _IN_WORD)
        window[leaves >> _SIX] &= ~(_ONE << (leaves & _IN_WORD))
        n_more_below = (enters < median) - (leaves < median)
        if n_more_below > 0:
            median = _previous_member(window, median)
        elif n_more_below < 0 or leaves == median:
            median = _next_member(window, median)
    last = subtracted.size - 1
    subtracted[last] = value[half + last] - ranked[median]
