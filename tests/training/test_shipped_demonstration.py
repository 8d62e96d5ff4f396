"""The demonstration bundle as it ships: reproduced on this machine, honest about itself."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ecgbatch.bundle.golden import golden_inputs, packaged_golden_ecgs
from ecgbatch.bundle.load import Bundle, load_bundle
from ecgbatch.net.checkpoint import build_net
from ecgbatch.preprocessing.apply import to_input
from ecgbatch.resources import demonstration, folder
from ecgbatch.scoring.scorer import Scorer
from ecgbatch.terms import DEMONSTRATION_NOTICE, Numerics, Vessel
from training.export.golden import golden_ecgs_of_file

FEW_POSITIVES = 100
CARD = Path(__file__).parents[2] / "docs" / "demonstration-bundle.md"


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return load_bundle(demonstration("bundle"))


def test_golden_ecgs_are_reproduced_through_the_whole_preparation(shipped: Bundle) -> None:
    scorer = Scorer(shipped)
    assert scorer.golden_difference <= shipped.manifest.golden_tolerance[Numerics.FP32]

    one = to_input(
        shipped.golden_signals_mv[0].astype(float), 500.0, shipped.manifest.preprocessing
    )
    (risks,) = scorer.score([one])
    assert [risk.task for risk in risks] == list(Vessel)
    assert [risk.logit for risk in risks] == pytest.approx(shipped.golden_logits[0], abs=1e-3)


def test_torch_in_bf16_stays_within_the_tolerance_of_bf16(shipped: Bundle) -> None:
    manifest = shipped.manifest
    inputs = torch.from_numpy(golden_inputs(shipped.golden_signals_mv, manifest.preprocessing))
    net = build_net(manifest.architecture, shipped.members[0])
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        finer = net(inputs).double()
    with torch.inference_mode():
        coarsest = net.bfloat16()(inputs.bfloat16()).double()
    expected = torch.from_numpy(shipped.golden_logits)
    for got in (finer, coarsest):
        difference = float((got - expected).abs().max())
        assert 0 < difference <= manifest.golden_tolerance[Numerics.BF16]


def test_synthetic_auc_of_every_vessel_lies_between_070_and_090(shipped: Bundle) -> None:
    found = {
        metric.task: metric.value
        for metric in shipped.manifest.metrics
        if metric.name == "synthetic AUROC" and metric.group == "overall"
    }
    assert found.keys() == {*Vessel, "any_vessel"}
    assert all(0.70 < value < 0.90 for value in found.values())


def test_every_cut_rests_on_enough_positives_and_lies_below_its_partner(shipped: Bundle) -> None:
    scopes = [task.cuts for task in shipped.manifest.tasks] + [shipped.manifest.any_vessel.cuts]
    for cuts in scopes:
        assert cuts is not None
        assert cuts.low.value < cuts.high.value
        assert min(cuts.low.n_positives, cuts.high.n_positives) >= FEW_POSITIVES
        assert "synthetic" in cuts.low.data


def test_it_calls_itself_a_synthetic_demonstration(shipped: Bundle) -> None:
    manifest = shipped.manifest
    assert not manifest.is_clinical
    assert DEMONSTRATION_NOTICE in manifest.notes
    assert "low does not exclude disease" in manifest.intended_use
    assert {task.vessel for task in manifest.tasks if task.is_experimental} == {Vessel.LM}


def test_golden_ecgs_are_those_that_the_settings_draw(shipped: Bundle) -> None:
    drawn = golden_ecgs_of_file(folder("config") / "train.demo.toml")

    # Another processor may round one quantisation step differently.
    assert np.abs(drawn - shipped.golden_signals_mv).max() <= 0.0051
    assert np.array_equal(shipped.golden_signals_mv, packaged_golden_ecgs())


def test_it_stays_small_enough_for_git(shipped: Bundle) -> None:
    sizes = [path.stat().st_size for path in shipped.location.rglob("*") if path.is_file()]
    assert sum(sizes) < 3_000_000


def test_the_card_is_of_this_bundle(shipped: Bundle) -> None:
    card = CARD.read_text(encoding="utf-8")
    assert shipped.digest in card
    assert DEMONSTRATION_NOTICE in card
