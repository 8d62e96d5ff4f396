"""What an explanation says, against nets whose answer is known beforehand."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread
from torch import Tensor, nn

from ecgbatch.bundle.golden import golden_inputs
from ecgbatch.bundle.load import load_bundle
from ecgbatch.errors import InputFault
from ecgbatch.net.architecture import Architecture
from ecgbatch.net.net1d import Net1D
from ecgbatch.picture import Overlay, draw
from ecgbatch.records import Recording
from ecgbatch.resources import folder
from ecgbatch.scoring.scorer import Scorer
from ecgbatch.terms import LEADS, Vessel
from tests.support.experiments import TINY_NET
from training.cli.main import main
from training.explain.attribution import (
    Method,
    attribute,
    completeness_limit,
    grad_cam,
    integrate,
)
from training.explain.files import save_sanity
from training.explain.model import Model, load_model
from training.explain.page import MEANING, smoothed
from training.explain.reading import read_bytes
from training.explain.sanity import SanityCheck, Similarity, cascade, check_sanity, layers

BUNDLE = folder("demonstration") / "bundle"
SAMPLE = folder("demonstration") / "samples" / "wfdb" / "E07500.hea"
SAMPLES = Path(__file__).parents[1] / "data" / "samples"
V2 = LEADS.index("V2")


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(BUNDLE)


def tiny_net(seed: int) -> Net1D:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Net1D(Architecture.model_validate(TINY_NET)).eval()


def noise(seed: int, n: int = 5000) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal((12, n)).astype(np.float32)


class OneLead(nn.Module):
    """A weighted sum of some samples of V2, and another output that is constant."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.linspace(-1.0, 1.0, 200))

    def forward(self, x: Tensor) -> Tensor:
        weighted = (x[:, V2, 1000:1200] * self.weights).sum(-1)
        return torch.stack((weighted, 0.0 * weighted + 3.0), dim=1)


def test_of_a_linear_net_each_sample_has_its_weight_times_its_value() -> None:
    x = torch.from_numpy(noise(1)[np.newaxis])
    relevance = integrate(OneLead(), x, 0, 4)[0]

    expected = np.zeros((12, 5000))
    expected[V2, 1000:1200] = np.linspace(-1.0, 1.0, 200) * x[0, V2, 1000:1200].numpy()
    np.testing.assert_allclose(relevance, expected, atol=1e-5)
    assert not integrate(OneLead(), x, 1, 4).any()


def test_a_lead_that_the_net_does_not_see_has_no_relevance() -> None:
    net = tiny_net(2)
    with torch.no_grad():
        weight = net.first_conv.conv.weight
        weight[:, [row for row in range(12) if row != V2]] = 0.0
    relevance = attribute([net], noise(3), 0, Method.INTEGRATED_GRADIENTS).relevance

    assert np.abs(relevance[V2]).sum() > 0
    assert not np.delete(relevance, V2, axis=0).any()


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000), output=st.integers(0, 3))
def test_relevances_add_up_to_the_change_of_the_logit(seed: int, output: int) -> None:
    net, signal = tiny_net(seed), noise(seed + 1, 1000)
    got = attribute([net], signal, output, Method.INTEGRATED_GRADIENTS)
    with torch.no_grad():
        logit, at_zero = (
            float(net(torch.from_numpy(x[np.newaxis]))[0, output])
            for x in (signal, np.zeros_like(signal))
        )

    assert got.is_complete
    assert got.relevance.sum() == pytest.approx(
        logit - at_zero, abs=completeness_limit(logit - at_zero)
    )
    assert (got.logit, got.baseline_logit) == pytest.approx((logit, at_zero))


def test_the_demonstration_bundle_adds_up_and_gives_the_risk_that_ecgbatch_gives(
    model: Model,
) -> None:
    bundle = load_bundle(BUNDLE)
    signal = golden_inputs(bundle.golden_signals_mv[:1], bundle.manifest.preprocessing)[0]
    got = attribute(model.nets, signal, 2, Method.INTEGRATED_GRADIENTS)

    assert got.is_complete
    assert got.logit == pytest.approx(bundle.golden_logits[0, 2], abs=1e-4)


def test_an_ensemble_is_the_mean_of_its_members() -> None:
    nets, signal = [tiny_net(5), tiny_net(6)], noise(7, 1000)
    for method in Method:
        both = attribute(nets, signal, 1, method).relevance
        each = [attribute([net], signal, 1, method).relevance for net in nets]
        np.testing.assert_allclose(both, np.mean(each, axis=0), atol=1e-6)


def test_grad_cam_is_the_class_activation_map_of_a_linear_head() -> None:
    """Zhou and others 2016: with averaging before a linear head it is known in closed form."""
    net, x = tiny_net(8), torch.from_numpy(noise(9)[np.newaxis])
    with torch.no_grad():
        out = nn.functional.silu(net.first_bn(net.first_conv(x)))
        for stage in net.stage_list:
            out = stage(out)
        coarse = (net.dense.weight[1] @ out[0] / out.shape[-1]).double().numpy()
        logit = float(net(x)[0, 1] - net.dense.bias[1])
    assert coarse.sum() == pytest.approx(logit, rel=1e-4)

    got, resolution = grad_cam(net, x, 1)
    assert got.shape == (1, 12, 5000)
    assert resolution == -(-5000 // len(coarse))
    places = (np.arange(5000) + 0.5) * len(coarse) / 5000 - 0.5
    for lead in got[0]:
        np.testing.assert_allclose(lead, np.interp(places, range(len(coarse)), coarse), atol=1e-6)


def recording(sampling_frequency: float) -> Recording:
    n_samples = round(10 * sampling_frequency)
    return Recording(
        signal=np.zeros((12, n_samples)),
        lead_names=LEADS,
        sampling_frequency=sampling_frequency,
        signal_digest="",
        format="",
        reader="",
        reader_version="",
    )


def overlay(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Overlay:
    return Overlay(values, LEADS, 500.0, limit=1.0, below="lowers", above="raises")


def test_colour_lies_where_the_relevance_is_in_time_and_lead(tmp_path: Path) -> None:
    values = np.zeros((12, 5000))
    values[V2, 3000:3100] = 1.0  # 6.0 to 6.2 s
    values[LEADS.index("V5"), :3000] = -1.0  # not on the page: V5 is drawn from 7.5 s on
    path = tmp_path / "page.png"
    path.write_bytes(draw(recording(250.0), (), "png", overlay(values)))
    red, _, blue = np.moveaxis(imread(path)[..., :3], -1, 0)

    grid = slice(2100 - 1870, 2100 - 170)
    rows, columns = np.nonzero((red - blue)[grid] > 0.8)
    assert rows.size > 500
    left = 285 + 5000 / 4 + 1.0 * 250  # V2 is the third column, 5 s, and 6 s lies 25 mm further
    assert abs(columns.min() - left) <= 3
    assert abs(columns.max() - (left + 0.2 * 250)) <= 3
    assert abs(np.median(rows + grid.start) - (2100 - 1120)) < 15
    assert not ((blue - red)[grid] > 0.5).any()


def test_a_page_without_relevance_is_coloured_nowhere_and_is_drawn_alike_twice() -> None:
    nothing = overlay(np.zeros((12, 5000)))
    once, twice = (draw(recording(500.0), ("a",), "png", nothing) for _ in range(2))
    assert once == twice
    assert once != draw(recording(500.0), ("a",), "png")


def test_an_overlay_is_read_by_time_and_is_nothing_where_it_ends() -> None:
    values = np.zeros((12, 4900))
    values[0] = np.arange(4900)
    got = overlay(values).at("I", np.array([0.0, 1.0, 1.001, 9.9]))
    np.testing.assert_allclose(got, [0.0, 500.0, 500.5, 0.0])


def test_smoothing_for_the_eye_keeps_the_sum() -> None:
    relevance = np.zeros((12, 5000))
    relevance[3, 2000] = 0.5
    assert smoothed(relevance).sum() / 500.0 == pytest.approx(0.5)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["explain", *map(str, arguments)])


def test_an_ecg_gets_its_pages_arrays_and_numbers_and_others_their_reason(tmp_path: Path) -> None:
    hostile = tmp_path / "garbage.xml"
    hostile.write_bytes(b"<!DOCTYPE x [<!ENTITY a 'b'>]><RestingECG>&a;</RestingECG>")
    out = tmp_path / "out"
    three_leads = SAMPLES / "wfdb" / "100_3chan.hea"
    ecgs = (SAMPLE, hostile, three_leads)
    got = run("--bundle", BUNDLE, "--out", out, "--vessel", "LAD", "--json", *ecgs)
    answer = json.loads(got.stdout)

    assert got.exit_code == 1
    assert [(one["file"], one["reason"]) for one in answer["refused"]] == [
        (str(hostile), "format_unknown"),
        (str(three_leads), "lead_missing"),
    ]
    (ecg,) = answer["ecgs"]
    (vessel,) = ecg["vessels"]
    assert ecg["notice"] == "demonstration model, synthetic training data, not for clinical use"
    assert ecg["meaning"] == MEANING
    assert vessel["is_complete"]
    with np.load(out / ecg["arrays"], allow_pickle=False) as arrays:
        assert arrays["relevance_LAD"].shape == (12, 5000)
        assert sum(vessel["relevance_per_lead"].values()) == pytest.approx(
            arrays["relevance_LAD"].sum(), abs=1e-4
        )
        scored = Scorer(load_bundle(BUNDLE))._runtime.logits(arrays["input"][np.newaxis])
    assert vessel["logit"] == pytest.approx(scored[0, list(Vessel).index(Vessel.LAD)], abs=1e-5)
    assert (out / vessel["page"]).read_bytes().startswith(b"\x89PNG")
    assert {path.suffix for path in out.iterdir()} == {".png", ".npz", ".json"}


def test_a_map_of_grad_cam_tells_no_lead_and_claims_no_sum(tmp_path: Path) -> None:
    asked = ("--method", "grad-cam", "--vessel", "RCA", SAMPLE)
    got = run("--bundle", BUNDLE, "--out", tmp_path, *asked)
    assert got.exit_code == 0
    assert MEANING in got.stdout
    (written,) = tmp_path.glob("*.json")
    (vessel,) = json.loads(written.read_text(encoding="utf-8"))["vessels"]
    assert vessel["relevance_per_lead"] is None
    assert vessel["is_complete"] is None


def test_a_bundle_that_is_none_is_refused(tmp_path: Path) -> None:
    got = run("--bundle", tmp_path, "--out", tmp_path / "out", SAMPLE)
    assert got.exit_code == 4
    assert "bundle_" in got.stderr


def test_nothing_to_do_is_said() -> None:
    assert run("--bundle", BUNDLE, "--out", "x").exit_code == 2


def test_a_header_is_read_with_its_signal_files_and_without_those_that_are_gone(
    tmp_path: Path,
) -> None:
    assert len(read_bytes(SAMPLE).members) == 2
    alone = tmp_path / SAMPLE.name
    shutil.copy(SAMPLE, alone)
    assert len(read_bytes(alone).members) == 1
    with pytest.raises(InputFault, match="not_regular"):
        read_bytes(tmp_path)
    link = tmp_path / "link.hea"
    link.symlink_to(SAMPLE)
    assert read_bytes(link).file_digest == read_bytes(SAMPLE).file_digest


def test_the_demonstration_bundle_passes_the_randomisation_test(model: Model) -> None:
    signals = golden_inputs(model.bundle.golden_signals_mv[:2], model.bundle.manifest.preprocessing)
    got = check_sanity(
        model.nets, signals, 2, Method.INTEGRATED_GRADIENTS, name="LAD", seed=42, n_steps=8
    )
    first, last = got.similarities[0], got.similarities[-1]

    assert got.has_passed
    assert (first.magnitude, first.signed, first.sensitivity) == pytest.approx((1.0, 1.0, 1.0))
    assert last.magnitude < 0.6
    assert abs(last.signed) < 0.2
    assert [one.layer for one in got.similarities] == ["none", *layers(model.nets[0])]


def test_what_does_not_depend_on_the_net_does_not_pass() -> None:
    def result(magnitude: float, sensitivity: float) -> SanityCheck:
        similarities = (
            Similarity("none", 1.0, 1.0, 1.0),
            Similarity("first_conv", magnitude, 0.0, sensitivity),
        )
        return SanityCheck(Method.INTEGRATED_GRADIENTS, "LAD", 1, 6, similarities, 0.6)

    assert result(0.5, 0.1).has_passed
    assert not result(0.7, 0.1).has_passed
    assert not result(0.5, 0.5).has_passed


def test_the_result_of_the_randomisation_test_is_a_table_and_a_figure(
    model: Model, tmp_path: Path
) -> None:
    signals = golden_inputs(model.bundle.golden_signals_mv[:1], model.bundle.manifest.preprocessing)
    tested = check_sanity(model.nets, signals, 0, Method.GRAD_CAM, name="RCA", seed=42)
    numbers = save_sanity((tested,), model.bundle, tmp_path, "png")

    assert numbers == json.loads((tmp_path / "sanity-grad-cam.json").read_text(encoding="utf-8"))
    assert numbers["has_passed"] is tested.has_passed
    assert (tmp_path / "sanity-grad-cam.png").read_bytes().startswith(b"\x89PNG")
    assert tested.input_magnitude is None


def test_randomising_goes_down_layer_by_layer_and_can_be_repeated() -> None:
    net = tiny_net(11)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    weights = {}
    for name, randomised in cascade(net, 3):
        weights[name] = {key: value.clone() for key, value in randomised.state_dict().items()}
    again = [
        {key: value.clone() for key, value in randomised.state_dict().items()}
        for _, randomised in cascade(net, 3)
    ]

    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert not torch.equal(weights["dense"]["dense.weight"], before["dense.weight"])
    lowest = "first_conv.conv.weight"
    assert torch.equal(weights["first_bn"][lowest], before[lowest])
    assert not torch.equal(weights["first_conv"][lowest], before[lowest])
    assert all(torch.equal(again[-1][key], value) for key, value in weights["first_conv"].items())
