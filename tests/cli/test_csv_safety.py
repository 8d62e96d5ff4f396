"""CSV that a spreadsheet neither runs nor rewrites, read back by Python's own csv module."""

import csv
import io
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgbatch.csv_safety import line, protected

_RUN = "=+-@＝＋－＠"
_TEXTS = st.text(st.sampled_from([*_RUN, *" \t\r\n;,\"'", "0", "1", "e", ".", "\u200b", "Ä"]))


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "=cmd|' /C calc'!A0",
        "+49 30 1234",
        "-a",
        "@SUM(A1)",
        "＝1+1",
        "－1",
        "\tx",
        "\rx",
        "\nx",
        " =1",
        "\ufeff=1",
        "\x01=1",
        "\u200e\u202d@A1",
        "\u3000＝1",
        "00123",
        "-007",
        "12345678901234567",
        "12E5",
        "3-4",
        "1/2/2026",
        " 00123",
        "1.10",
        "10:30",
        "MAR1",
        "2-Sep",
        "3 may 2026",
    ],
)
def test_what_a_spreadsheet_would_run_or_rewrite_gets_an_apostrophe(text: str) -> None:
    assert protected(text).startswith("'")
    assert protected(text).replace("'", "") == text.replace("'", "")


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "-0.5", "+1", "-.5", "1e", "123456789012345", "0.125", "-1.5e-3"),
        *("2026-03-01", "2026-03-01T07:05:09.123456Z", "high", "RCA, LAD", "a=b", "x-y", "'a"),
        *("2024-03-01 intermediate; 2025-01-02 low", "Ä", "1-", "12-lead"),
        *("march 1st", "Mayer 12", "1.2.3", "DECT 1", "MAC 55"),
    ],
)
def test_what_is_harmless_stays(text: str) -> None:
    assert protected(text) == text


def test_a_formula_behind_the_separator_of_other_locales_is_defused() -> None:
    assert protected("b;=1+1;c") == "b;'=1+1;c"
    assert protected("b;\n=1") == "b;'\n'=1"


@given(_TEXTS)
def test_no_cell_starts_a_formula_whatever_separates_cells(text: str) -> None:
    written = line([text, 1])
    for delimiter in (",", ";", "\t"):
        for record in csv.reader(io.StringIO(written, newline=""), delimiter=delimiter):
            for cell in record:
                first = cell.strip("\"' \t\r\n\u200b")[:1]
                # The comma is no separator here: the number stays a part of the cell.
                is_number = _is_number(cell.removesuffix(",1"))
                assert first not in _RUN or not first or "'" in cell or is_number


@given(_TEXTS)
def test_nothing_but_apostrophes_is_added(text: str) -> None:
    ((cell, _),) = csv.reader(io.StringIO(line([text, 1]), newline=""))

    assert cell.replace("'", "") == text.replace("'", "")
    assert len(cell) >= len(text)


@given(st.lists(st.floats(allow_nan=False) | st.integers(), min_size=1))
def test_numbers_keep_all_their_digits(values: list[float]) -> None:
    (cells,) = csv.reader(io.StringIO(line(values), newline=""))

    assert [type(value)(cell) for value, cell in zip(values, cells, strict=True)] == values


def test_a_record_has_its_types() -> None:
    east = timezone(timedelta(hours=8))
    values = [
        *(None, "", 'say "no"', True, Decimal("0.10"), b"\x01\xff", date(2026, 3, 1)),
        datetime(2026, 3, 1, 15, 5, 9, tzinfo=east),
        datetime(2026, 3, 1, 8, 5, 9),  # noqa: DTZ001 - a file's wall clock
        datetime(2026, 3, 1, tzinfo=UTC),
    ]

    assert line(values) == (
        ',"","say ""no""",true,0.10,"01ff","2026-03-01","2026-03-01T07:05:09.000000Z",'
        '"2026-03-01T08:05:09","2026-03-01T00:00:00.000000Z"\r\n'
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
