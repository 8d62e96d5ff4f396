"""What is read at once is what is read with care, number by number."""

import base64

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ecgbatch.errors import InputFault
from ecgbatch.readers.leads import stack_leads
from ecgbatch.readers.number_lists import whole_numbers
from ecgbatch.readers.vendor_xml import base64_content
from ecgbatch.terms import LEADS

_BLANKS = st.text(" \n\t\r", max_size=3)


@given(content=st.binary(max_size=40), blanks=st.lists(_BLANKS, max_size=60))
@settings(max_examples=100, deadline=None)
def test_base64_is_read_whatever_blanks_stand_between(content: bytes, blanks: list[str]) -> None:
    written = base64.b64encode(content).decode()
    gaps = [*blanks, *[""] * len(written)]
    text = "".join(gap + letter for gap, letter in zip(gaps, written, strict=False))
    assert base64_content(text + "".join(gaps)) == content


@given(st.text("AQgz09+/= \n-\xa0", max_size=14))
@example("AA=A")
@example("AAAA====")
@example("AA= =")
@example("AAA\xa0A")
@settings(max_examples=300, deadline=None)
def test_base64_is_as_strict_as_the_standard_library(text: str) -> None:
    try:
        expected = base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        with pytest.raises(InputFault):
            base64_content(text)
    else:
        assert base64_content(text) == expected


@given(st.lists(st.integers(-(10**16), 10**16), min_size=1), st.sampled_from(" \n,"), _BLANKS)
@settings(max_examples=100, deadline=None)
def test_plain_list_is_read_to_the_last_digit(numbers: list[int], mark: str, blanks: str) -> None:
    text = blanks + (mark + blanks).join(map(str, numbers)) + blanks
    read = whole_numbers(text, commas=mark == ",")
    assert read is not None
    assert read.tolist() == numbers


@given(st.text("019-+., \n\xb2", max_size=12), st.booleans())
@example("1-2", False)
@example("1 2,,3", True)
@example(",1", True)
@example("- 1", False)
@example("1" * 19, False)
@settings(max_examples=400, deadline=None)
def test_list_is_plain_or_left_to_be_read_with_care(text: str, commas: bool) -> None:
    read = whole_numbers(text, commas=commas)
    if read is not None:
        parts = text.rstrip().removesuffix(",").split(",") if commas else text.split()
        assert read.tolist() == [int(part) for part in parts]


def test_matrix_of_a_reader_is_the_signal_itself_only_if_nothing_is_moved_or_derived() -> None:
    matrix = np.arange(36.0).reshape(12, 3)
    assert stack_leads(zip(LEADS, matrix, strict=True), matrix).signal is matrix

    for names in (LEADS[::-1], (*LEADS[1::-1], *LEADS[2:]), LEADS[1:7], ("V1", *LEADS[:2])):
        rows = matrix[: len(names)]
        stacked = stack_leads(zip(names, rows, strict=True), rows)
        expected = stack_leads(zip(names, rows, strict=True))
        assert stacked.names == expected.names
        np.testing.assert_array_equal(stacked.signal, expected.signal)
        for name, row in zip(names, rows, strict=True):
            np.testing.assert_array_equal(stacked.signal[stacked.names.index(name)], row)
