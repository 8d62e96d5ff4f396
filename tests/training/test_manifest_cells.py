"""The manifest: what a cell may hold, what is refused, and that nothing of it is repeated."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ecgbatch.errors import SetupFault
from ecgbatch.terms import ReasonCode
from tests.support.manifests import COLUMNS, row, settings, write_csv
from training.data.cells import moment_reader
from training.data.manifest import Manifest, parse_manifest
from training.data.reading import Patients, gate_settings
from training.data.sheet import read_sheet
from training.records import COVARIATES
from training.settings.experiment import Experiment
from training.terms import GRADES, Grade

_PLACEHOLDERS = Patients(b"", gate_settings().site.placeholders)
_PLANTED = "ZQPSECRET"
_at = datetime.fromisoformat


def parsed(path: Path, given_settings: Experiment | None = None) -> Manifest:
    of = given_settings or settings()
    return parse_manifest(
        read_sheet(path, of.data), of.data, of.labels, _PLACEHOLDERS.is_placeholder
    )


def refusal_of(path: Path, of: Experiment | None = None) -> str:
    with pytest.raises(SetupFault) as refused:
        parsed(path, of)
    assert refused.value.reason is ReasonCode.MANIFEST_INVALID
    assert _PLANTED not in str(refused.value)
    return refused.value.detail


def test_grades_are_read_without_case_and_blanks_and_positive_from_the_vessels_own_grade(
    tmp_path: Path,
) -> None:
    rows = [row("a", "x", RCA=" SEVERE ", LM="moderate", LAD="moderate", LCX="")]
    positive_from = {"RCA": "severe", "LM": "moderate", "LAD": "severe", "LCX": "severe"}
    of = settings(labels={"positive_from": positive_from})
    read = parsed(write_csv(tmp_path / "m.csv", rows), of)
    np.testing.assert_array_equal(read.labels, [[1, 1, 0, np.nan]])
    assert read.grades.tolist() == [[GRADES.index(Grade.SEVERE), 2, 2, -1]]


def test_an_unknown_grade_is_refused_with_row_and_column_and_without_its_content(
    tmp_path: Path,
) -> None:
    rows = [row("a", "x"), row("b", "y", LAD=_PLANTED)]
    assert refusal_of(write_csv(tmp_path / "m.csv", rows)) == (
        "row 3, LAD: no grade of data.grades"
    )


def test_all_cells_at_fault_are_counted_and_the_first_ten_named(tmp_path: Path) -> None:
    rows = [row("a", "x", RCA=_PLANTED, ecg_at=_PLANTED) for _ in range(8)]
    said = refusal_of(write_csv(tmp_path / "m.csv", rows))
    assert said.count("row ") == 10
    assert said.endswith("; and 6 more")


@pytest.mark.parametrize(
    ("column", "key", "value", "said"),
    [
        ("age", "age_years", "-1", "not within 0 to 130"),
        ("age", "age_years", "131", "not within 0 to 130"),
        ("age", "age_years", "63,5", "no number"),
        ("age", "age_years", "nan", "no number"),
        ("ptp", "pretest_probability", "1.5", "not within 0 to 1"),
        ("sex", "sex", _PLANTED, "no sex"),
        ("normal", "statement_normal", "perhaps", "no true or false"),
        ("gap", "gap_days", "-3", 'set data.gap_is = "signed"'),
        ("died", "death_at", "2020-13-01", "no date"),
        ("died", "death_at", "2020-01-01T10:00:00+01:00", "no date"),
        ("died", "death_at", "1900-01-01", "not within 1950 to 2100"),
        ("died", "death_at", "2020/1/5", "no date"),
        ("patient_id", "patient", "  ", "empty"),
        ("patient_id", "patient", "unknown", "placeholder"),
        ("patient_id", "patient", "00000", "placeholder"),
        ("patient_id", "patient", "1.23457E+12", "rounded"),
    ],
)
def test_what_no_cell_can_hold_is_refused(
    tmp_path: Path, column: str, key: str, value: str, said: str
) -> None:
    of = settings(columns={**COLUMNS, key: column})
    rows = [{**row("a", "x"), column: value}]
    assert said in refusal_of(write_csv(tmp_path / "m.csv", rows), of)


def test_a_column_that_is_not_there_is_named_with_its_setting(tmp_path: Path) -> None:
    of = settings(columns={**COLUMNS, "age_years": "Alter"})
    path = write_csv(tmp_path / "m.csv", [row("a", "x")])
    assert refusal_of(path, of) == "no column Alter (data.columns.age_years)"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"patient_id,ecg_path\n\n", "no rows"),
        (b"a,b\n1,2\n1,2,3\n", "row 3 has another number of cells than the header"),
        (b"a,a\n1,2\n", "a column name stands there twice"),
        (b"PK\x03\x04rest", "a workbook; save it as CSV (UTF-8) or Parquet"),
        (b"PAR1rest", "the Parquet file is damaged"),
        ("a\n轻度狭窄".encode("gb18030"), "the text is not utf-8; see data.encoding"),
        (b'a,b\n"x"y,2\n', "row 2 is no CSV"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(content)
    assert refusal_of(path) == said


def test_row_numbers_are_those_of_a_spreadsheet_also_after_empty_rows(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "m.csv", [row("a", "x"), row("b", "y", RCA="?")])
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1], "", ",,,,,,,", lines[2]]), encoding="utf-8")
    assert refusal_of(path) == "row 5, RCA: no grade of data.grades"


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_chinese_words_are_read_in_the_encoding_of_the_settings(
    tmp_path: Path, encoding: str, mark: str
) -> None:
    rows = [row("张", "x", RCA="重度狭窄", sex="女")]
    of = settings(
        columns={**COLUMNS, "sex": "sex"},
        grades={"重度狭窄": "severe", "none": "none"},
        encoding=encoding,
    )
    path = write_csv(tmp_path / "m.csv", rows, encoding)
    path.write_bytes(mark.encode(encoding) + path.read_bytes())
    read = parsed(path, of)
    assert (read.patients, read.labels[0, 0]) == (("张",), 1)
    assert list(read.covariates["sex"]) == ["female"]


def test_parquet_with_its_own_types_reads_as_the_same_text_in_csv(tmp_path: Path) -> None:
    columns = {
        **COLUMNS,
        "age_years": "age",
        "statement_normal": "normal",
        "death_at": "died",
        "gap_days": "gap",
    }
    of = settings(columns=columns, missing_words=["n/a"])
    text = [
        {**row("7", "x", RCA="severe"), "age": "61.5", "normal": "no", "died": "", "gap": "3"},
        {**row("8", "y"), "age": "n/a", "normal": "", "died": "2021-02-03", "gap": "3"},
    ]
    typed = pd.DataFrame(text).assign(
        patient_id=[7, 8],
        age=[61.5, np.nan],
        normal=pd.array([False, None], dtype="boolean"),
        died=[None, date(2021, 2, 3)],
        gap=[3, 3],
        ecg_at=pd.to_datetime(["2020-01-02", "2020-01-02"]),
    )
    typed.to_parquet(tmp_path / "m.parquet")
    one = parsed(write_csv(tmp_path / "m.csv", text), of)
    other = parsed(tmp_path / "m.parquet", of)
    assert one.patients == other.patients == ("7", "8")
    assert one.ecg_at == other.ecg_at
    pd.testing.assert_frame_equal(one.covariates, other.covariates)
    assert one.covariates.dtypes.astype(str).to_dict() == COVARIATES


def test_a_time_with_a_zone_in_parquet_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame([row("a", "x")])
    frame["ecg_at"] = pd.to_datetime(["2020-01-02T10:00:00Z"])
    frame.to_parquet(tmp_path / "m.parquet")
    assert "wall clock" in refusal_of(tmp_path / "m.parquet")


def test_labels_of_an_intermediate_stage_have_words_of_their_own(tmp_path: Path) -> None:
    task = {"name": "mi", "column": "mi", "positive": ["yes", "1"], "negative": ["no"]}
    path = write_csv(
        tmp_path / "m.csv",
        [{**row("a", "x"), "mi": word} for word in ("YES", "no", "", "1")],
    )
    of = settings()
    labels = of.labels.model_copy(
        update={"binary": (type(of.labels).model_validate({"binary": [task]}).binary)}
    )
    read = parse_manifest(read_sheet(path, of.data), of.data, labels, _PLACEHOLDERS.is_placeholder)
    assert read.tasks == ("mi",)
    np.testing.assert_array_equal(read.labels[:, 0], [1, 0, np.nan, 1])


@given(st.datetimes(_at("1950-01-01"), _at("2099-12-31")), st.sampled_from("T "))
@hypothesis_settings(max_examples=50, deadline=None)
def test_what_python_writes_as_iso_is_read_back_to_the_second(at: datetime, between: str) -> None:
    read = moment_reader(())(at.isoformat(between))
    assert read.at == at.replace(microsecond=0)
    assert read.is_day == (read.at.time() == datetime.min.time())


@given(st.text(max_size=12))
@hypothesis_settings(max_examples=100, deadline=None)
def test_any_text_is_a_date_or_a_value_error_of_ours(text: str) -> None:
    try:
        moment_reader(("%Y/%m/%d",))(text)
    except ValueError as wrong:
        assert str(wrong).startswith(("no date", "not within"))  # noqa: PT017


def test_a_date_that_two_patterns_read_differently_is_refused() -> None:
    read = moment_reader(("%d/%m/%Y", "%m/%d/%Y"))
    assert read("13/02/2020").at == _at("2020-02-13")
    assert read("02/02/2020").at == _at("2020-02-02")
    with pytest.raises(ValueError, match="several ways"):
        read("01/02/2020")


_CELLS = st.dictionaries(
    st.sampled_from([*"RLD", "age", "sex", "ecg_at"]), st.text(max_size=8), max_size=6
)


@given(_CELLS)
@hypothesis_settings(max_examples=60, deadline=None)
def test_any_content_is_parsed_or_refused_by_row_without_repeating_it(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, str]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    tagged: dict[str, Any] = {
        {"R": "RCA", "L": "LAD", "D": "LCX"}.get(name, name): f"{text}{_PLANTED}"
        for name, text in content.items()
    }
    line = {"age": "", "sex": "", **row("a", "x"), **tagged}
    path = write_csv(folder / "property.csv", [{k: str(v) for k, v in line.items()}])
    of = settings(columns={**COLUMNS, "age_years": "age", "sex": "sex"})
    if tagged:
        assert refusal_of(path, of).count("row 2") == len(tagged)
    else:
        assert len(parsed(path, of)) == 1
