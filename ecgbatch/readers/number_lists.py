"""Lists of whole numbers as text, read all at once: a hundred thousand of them in milliseconds."""

import numpy as np
from numpy.typing import NDArray

from ecgbatch.records import Counts

_ALLOWED = b"0123456789-, \t\r\n"
_MINUS, _COMMA, _ZERO = b"-,0"
_MAX_CHARACTERS = 18
"""Of one number: more may not fit into 64 bits."""


def whole_numbers(text: str, *, commas: bool = False) -> Counts | None:
    """The numbers of a plain list, (n,); None for any other, which is then to be read with care.

    Plain are digits with at most a minus before them, between blanks and line breaks; with
    `commas` between exactly one comma each, of which one may stand at the end as well.
    """
    content = text.encode("ascii") if text.isascii() else b"?"
    if content.translate(None, _ALLOWED):
        return None
    codes = np.frombuffer(content, dtype=np.uint8)
    is_minus = codes == _MINUS
    # Within the allowed characters every digit lies above every separator.
    is_part = (codes >= _ZERO) | is_minus
    edges = np.flatnonzero(np.diff(is_part, prepend=False, append=False))
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    n_digits = lengths - is_minus[starts]
    if not starts.size or lengths.max() > _MAX_CHARACTERS or n_digits.min() < 1:
        return None
    if np.count_nonzero(is_minus) > np.count_nonzero(is_minus[starts]):
        return None
    if not _are_separated(codes == _COMMA, starts, commas):
        return None
    plain = text.replace(",", " ") if commas else text
    return np.fromstring(plain, dtype=np.int64, sep=" ")


def _are_separated(is_comma: NDArray[np.bool_], starts: Counts, commas: bool) -> bool:
    if not commas:
        return not is_comma.any()
    before = np.cumsum(is_comma)
    is_one_each = np.array_equal(before[starts], np.arange(starts.size))
    return is_one_each and before[-1] <= starts.size
