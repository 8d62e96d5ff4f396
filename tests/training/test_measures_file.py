"""Measures go into a file and come back equal."""

from pathlib import Path

import pytest

from ecgbatch.terms import Stratum, Vessel
from training.records import Estimate, Measure, load_measures, save_measures
from training.terms import Quantity

MEASURES = (
    Measure(Vessel.LAD, Quantity.AUROC, Estimate(0.7, 0.6, 0.8), n=90, n_positives=12),
    Measure("macro", Quantity.AUROC, Estimate(0.7, 0.6, 0.8), n=90, n_positives=12),
    Measure(
        "any_vessel",
        Quantity.CUMULATIVE_INCIDENCE,
        Estimate(0.02, 0.0, 0.05),
        n=30,
        n_positives=1,
        group="sex: female",
        cut="low",
        stratum=Stratum.LOW,
        at=300.0,
    ),
)


@pytest.mark.parametrize("measures", [MEASURES, ()])
def test_measures_come_back_as_they_were(measures: tuple[Measure, ...], tmp_path: Path) -> None:
    save_measures(tmp_path / "measures.parquet", measures)
    assert load_measures(tmp_path / "measures.parquet") == measures
