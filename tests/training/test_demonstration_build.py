"""A whole small build: fit, cuts, export, reload, and the same bytes again."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from ecgbatch.bundle.load import load_bundle
from ecgbatch.errors import SetupFault
from ecgbatch.net.architecture import Architecture
from ecgbatch.net.net1d import Net1D
from ecgbatch.preprocessing.spec import preset
from ecgbatch.resources import folder
from ecgbatch.terms import DEMONSTRATION_NOTICE, Vessel
from training.cli.main import main
from training.former.card import render_card
from training.former.demonstration import Demonstration, all_rows, build_demonstration, prepare
from training.former.export import PROBABILITY_TOLERANCE
from training.former.loop import Step, backward, fit, learning_rate_factor, reproducible
from training.former.settings import DemonstrationSettings, FitSettings, load_settings
from training.optimise.losses import UncertaintyWeights

CONFIG = folder("config") / "train.demo.toml"
TINY = Architecture(
    in_channels=12,
    base_filters=4,
    filter_list=(4, 8),
    m_blocks_list=(1, 1),
    kernel_size=8,
    stride=4,
    groups_width=4,
    ratio=1.0,
    n_classes=4,
    use_bn=True,
    use_dropout=False,
    dropout_p=0.0,
)


def tiny() -> DemonstrationSettings:
    """The real settings with everything small, so that a build takes seconds."""
    real = load_settings(CONFIG)
    often = dict.fromkeys(Vessel, (0.4, 0.1, 0.1, 0.2, 0.2))
    return real.model_copy(
        update={
            "architecture": TINY,
            "cohort": real.cohort.model_copy(update={"n_patients": 260, "grade_shares": often}),
            "split": real.split.model_copy(update={"cut_share": 0.5, "test_share": 0.25}),
            "fit": real.fit.model_copy(update={"epochs": 1, "batch_size": 16, "threads": 1}),
            "bootstrap": real.bootstrap.model_copy(update={"n_resamples": 20}),
            "bundle": real.bundle.model_copy(update={"n_golden": 2}),
        }
    )


def silent(_what: str, _done: int, _total: int) -> None:
    return None


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Demonstration, Path]:
    place = tmp_path_factory.mktemp("build") / "bundle"
    return build_demonstration(tiny(), place, silent), place


def test_the_exported_bundle_scores_as_training_did(built: tuple[Demonstration, Path]) -> None:
    demonstration, place = built

    assert demonstration.largest_difference <= PROBABILITY_TOLERANCE
    assert load_bundle(place).digest == demonstration.bundle.digest
    assert sum(demonstration.n_ecgs) == 260


def test_a_second_build_gives_the_same_bytes(
    built: tuple[Demonstration, Path], tmp_path: Path
) -> None:
    again = build_demonstration(tiny(), tmp_path / "again", silent)

    assert again.bundle.digest == built[0].bundle.digest
    assert again.last_step == built[0].last_step


def test_the_manifest_says_synthetic_and_demonstration(built: tuple[Demonstration, Path]) -> None:
    manifest = built[0].bundle.manifest

    assert not manifest.is_clinical
    assert DEMONSTRATION_NOTICE in manifest.notes
    assert all(metric.is_synthetic and "synthetic" in metric.name for metric in manifest.metrics)
    assert all("synthetic" in metric.data for metric in manifest.metrics)
    assert all(entry.is_synthetic for entry in manifest.strata)
    assert [task.is_experimental for task in manifest.tasks] == [False, True, False, False]


def test_the_card_holds_every_cut_of_the_manifest(built: tuple[Demonstration, Path]) -> None:
    demonstration, _ = built
    card = render_card(tiny(), demonstration, 12.0)

    assert demonstration.bundle.digest in card
    assert DEMONSTRATION_NOTICE in card
    for task in demonstration.bundle.manifest.tasks:
        assert task.cuts is not None
        assert f"{task.cuts.low.value:.4f}" in card
        assert f"{task.cuts.high.value:.4f}" in card


def learn(settings: FitSettings, seed: int = 5) -> tuple[dict[str, torch.Tensor], list[Step]]:
    whole = load_settings(CONFIG)
    inputs, labels, _ = prepare(whole.cohort, preset("anyecg-ccta"), all_rows(whole.cohort)[:24])
    steps: list[Step] = []
    with reproducible(seed, 1):
        net = Net1D(TINY)
        fit(net, inputs, labels, settings, steps.append)
    return net.state_dict(), steps


def test_two_fits_give_equal_weights_and_another_seed_gives_others() -> None:
    settings = load_settings(CONFIG).fit.model_copy(update={"epochs": 2, "batch_size": 8})
    first, second, other = learn(settings), learn(settings), learn(settings, seed=6)

    assert all(torch.equal(first[0][name], second[0][name]) for name in first[0])
    assert first[1] == second[1]
    assert not torch.equal(first[0]["dense.weight"], other[0]["dense.weight"])


def test_a_fit_lowers_the_loss_on_what_it_learns_from() -> None:
    settings = load_settings(CONFIG).fit.model_copy(
        update={"epochs": 30, "batch_size": 24, "learning_rate": 0.01}
    )
    _, steps = learn(settings)
    assert sum(steps[-1].losses) < 0.75 * sum(steps[0].losses)


def test_pcgrad_leaves_the_head_alone_and_equals_the_mean_where_nothing_conflicts() -> None:
    torch.manual_seed(0)
    net = Net1D(TINY)
    inputs = torch.randn(4, 12, 500)
    one_task = torch.full((4, 4), float("nan"))
    one_task[:, 2] = torch.tensor([1.0, 0.0, 1.0, 1.0])
    gradients = []
    for generator in (None, torch.Generator().manual_seed(1)):
        net.zero_grad()
        backward(net, UncertaintyWeights(4, 1.0), inputs, one_task, generator)
        gradients.append({name: p.grad for name, p in net.named_parameters() if p.grad is not None})
    plain, projected = gradients

    assert "dense.weight" in projected
    assert float(projected["dense.weight"][2].abs().sum()) > 0
    for name, gradient in plain.items():
        assert torch.allclose(gradient, projected[name], atol=1e-7)


def test_the_learning_rate_warms_up_and_comes_down() -> None:
    settings = load_settings(CONFIG).fit
    factors = [learning_rate_factor(step, 100, settings) for step in range(100)]

    assert factors[9] == 1.0
    assert factors[:10] == sorted(factors[:10])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[-1] == pytest.approx(settings.final_learning_rate_share, abs=0.01)


@pytest.mark.parametrize(
    ("line", "other", "key"),
    [
        ("epochs = 6", "epochs = 0", "fit.epochs"),
        ("epochs = 6", "epochs = 6\nunheard_of = 1", "fit.unheard_of"),
        ("seed = 11", "", "split.seed"),
    ],
)
def test_an_unfit_setting_is_named(tmp_path: Path, line: str, other: str, key: str) -> None:
    text = CONFIG.read_text(encoding="utf-8")
    assert line in text
    changed = tmp_path / "changed.toml"
    changed.write_text(text.replace(line, other), encoding="utf-8")

    with pytest.raises(SetupFault) as refused:
        load_settings(changed)
    assert key in refused.value.detail

    told = CliRunner().invoke(main, ["demo-bundle", "--config", str(changed), "--out", "x"])
    assert told.exit_code == 4
    assert key in told.stderr


def test_synthesise_writes_the_first_patients(tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["synthesise", "2", "--out", str(tmp_path / "cohort")])

    assert told.exit_code == 0, told.output
    assert len(list((tmp_path / "cohort").rglob("*.hea"))) == 2
    assert told.output.startswith("2 synthetic ECGs")
