"""Where a filter starts so that a constant signal makes no transient, alike on every processor.

`scipy.signal.lfilter_zi` solves a linear system that is almost singular for the bandpass of the
published chain (its denominator sums to 2e-10). The last digits of the solution are then those
of the linear-algebra kernel that the processor happens to select, and the prepared signal moves
by up to 4e-6. So the system is solved here, in a fixed order with fused multiply-adds, which is
what the published reference numbers were made with.
"""

from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def steady_state(b: Array, a: Array) -> Array:
    """Initial state of a direct form II transposed filter at rest on a constant input of 1.

    Args:
        b, a: coefficients of equal length n, a[0] = 1.

    Returns:
        (n - 1,), as `scipy.signal.lfilter_zi` defines it.
    """
    return np.array(_steady_state(tuple(map(float, b)), tuple(map(float, a))))


@lru_cache(maxsize=32)
def _steady_state(b: tuple[float, ...], a: tuple[float, ...]) -> tuple[float, ...]:
    n = len(a) - 1
    matrix = [[float(row == column) for column in range(n)] for row in range(n)]
    for row in range(n):
        matrix[row][0] += a[row + 1]
        if row + 1 < n:
            matrix[row][row + 1] -= 1.0
    right = [b[k + 1] - a[k + 1] * b[0] for k in range(n)]
    _decompose(matrix, right)
    return tuple(_substituted(matrix, right))


def _decompose(matrix: list[list[float]], right: list[float]) -> None:
    """L and U in place of `matrix`, rows of both arguments exchanged for the largest pivot."""
    n = len(right)
    for column in range(n):
        for row in range(n):
            value = matrix[row][column]
            for k in range(min(row, column)):
                value = _fused(-matrix[row][k], matrix[k][column], value)
            matrix[row][column] = value
        pivot = max(range(column, n), key=lambda row: abs(matrix[row][column]))
        matrix[column], matrix[pivot] = matrix[pivot], matrix[column]
        right[column], right[pivot] = right[pivot], right[column]
        reciprocal = 1.0 / matrix[column][column]
        for row in range(column + 1, n):
            matrix[row][column] *= reciprocal


def _substituted(matrix: list[list[float]], right: list[float]) -> list[float]:
    n = len(right)
    solution = list(right)
    for row in range(n):
        for k in range(row):
            solution[row] = _fused(-matrix[row][k], solution[k], solution[row])
    for row in reversed(range(n)):
        for k in range(n - 1, row, -1):
            solution[row] = _fused(-matrix[row][k], solution[k], solution[row])
        solution[row] /= matrix[row][row]
    return solution


def _fused(x: float, y: float, z: float) -> float:
    """x y + z, rounded once."""
    return float(Fraction(x) * Fraction(y) + Fraction(z))
