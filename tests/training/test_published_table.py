"""A table in the published layout goes through the shipped mapping."""

from pathlib import Path

import numpy as np
import pytest

from ecgbatch.errors import SetupFault
from ecgbatch.preprocessing.spec import preset
from ecgbatch.resources import folder
from tests.support.ecgs import heartbeats
from tests.support.manifests import write_csv
from training.data.prepare import PreparedCohort, prepare
from training.settings.data import LabelSettings
from training.settings.experiment import load_experiment

_HEADER = (
    "患者编号",
    "检查所见",
    "检查日期",
    "右冠状动脉主干_诊断结果",
    "左冠状动脉主干_诊断结果",
    "左前降支_诊断结果",
    "左回旋支_诊断结果",
    "文件名",
    "对应时间",
    "提取后的文件名",
    "时间差天数",
    "ECG文件路径",
)
_ROWS = (
    ("甲01", "2020/1/5", "完全堵塞", "未见明显狭窄", "轻度狭窄", "", "2020/1/3 9:05", "2"),
    ("甲01", "2020/1/5", "完全堵塞", "未见明显狭窄", "轻度狭窄", "", "2020/1/6 9:05", "1"),
    ("乙02", "2021-02-01", "中度狭窄", "重度狭窄", "重度狭窄", "轻度狭窄", "2021-01-31", "1"),
)


def table(**changed: str) -> list[dict[str, object]]:
    lines = []
    for place, (patient, ccta, *grades, ecg, gap) in enumerate(_ROWS):
        cells = (patient, "所见", ccta, *grades, "f", ecg, "g", gap, f"npy/{place}.npy")
        lines.append(dict(zip(_HEADER, cells, strict=True)))
    lines[-1].update(changed)
    return lines


def loaded(to: Path, lines: list[dict[str, object]], encoding: str = "utf-8") -> PreparedCohort:
    (to / "npy").mkdir()
    for place in range(len(lines)):
        # Both published shapes, (12, T) and (T, 12).
        signal = heartbeats(place)
        np.save(to / "npy" / f"{place}.npy", signal if place % 2 else signal.T)
    published = load_experiment(folder("config") / "train.anyecg-ccta.toml").data
    return prepare(
        published.model_copy(update={"encoding": encoding, "processes": 1}),
        LabelSettings(),
        preset(published.preset),
        manifest=write_csv(to / "table.csv", lines, encoding),
        root=to,
        cache=to / "cache",
        progress=lambda what, done, total: None,
    )


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_the_published_layout_loads_through_the_shipped_mapping(
    tmp_path: Path, encoding: str
) -> None:
    cohort = loaded(tmp_path, table(), encoding).cohort
    expected = [[1, 0, 0, np.nan], [1, 0, 0, np.nan], [0, 1, 1, 0]]
    np.testing.assert_array_equal(cohort.labels, expected)
    # The published code kept the second ECG, which was made after its CCTA.
    assert cohort.is_index.tolist() == [True, False, True]
    assert cohort.patients == ("p000001", "p000001", "p000002")
    assert cohort.covariates["gap_days"].tolist() == [2.0, -1.0, 1.0]


def test_a_typing_error_in_a_grade_is_refused_where_the_published_code_made_it_a_positive(
    tmp_path: Path,
) -> None:
    with pytest.raises(SetupFault) as refused:
        loaded(tmp_path, table(左前降支_诊断结果="轻度狭"))
    assert refused.value.detail == "row 4, 左前降支_诊断结果: no grade of data.grades"


def test_an_external_cohort_is_prepared_as_another_bundle_wants_it(tmp_path: Path) -> None:
    lines = table()
    one = loaded(tmp_path, lines)
    other = prepare(
        load_experiment(folder("config") / "train.anyecg-ccta.toml").data,
        LabelSettings(),
        preset("ecgfounder"),
        manifest=tmp_path / "table.csv",
        root=tmp_path,
        cache=tmp_path / "cache",
        progress=lambda what, done, total: None,
    )
    assert other.cohort.keys == one.cohort.keys
    rows = np.arange(3)
    assert not np.allclose(other.inputs.take(rows), one.inputs.take(rows), atol=0.1)
    # z-score over the whole recording, not per lead
    np.testing.assert_allclose(other.inputs.take(rows).std(axis=(1, 2)), 1.0, atol=1e-3)
