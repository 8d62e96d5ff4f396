"""The walk of docs/bring-your-weights.md with a full-size checkpoint of random weights."""

import io
import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgbatch.bundle.cuts_file import CutsFile, parse_cuts
from ecgbatch.bundle.golden import packaged_golden_ecgs
from ecgbatch.bundle.import_ecgfounder import (
    Flags,
    Label,
    import_backbone,
    import_bundle,
    load_backbone,
)
from ecgbatch.bundle.load import Bundle, load_bundle
from ecgbatch.errors import SetupFault
from ecgbatch.net.architecture import Architecture
from ecgbatch.net.checkpoint import load_strict
from ecgbatch.net.net1d import Net1D
from ecgbatch.preprocessing.apply import to_input
from ecgbatch.preprocessing.spec import preset
from ecgbatch.scoring.scorer import Scorer
from ecgbatch.strata import stratify
from ecgbatch.terms import Numerics, ReasonCode, Vessel

PAGE = Path(__file__).parents[2] / "docs" / "bring-your-weights.md"
OFF = Flags(use_bn=False, use_dropout=False)
LABEL = Label(name="Example Hospital CCTA", version="2025.12", is_clinical=True)
SPEC = preset("anyecg-ccta")


def _checkpoint(n_classes: int) -> bytes:
    """As the public file: full geometry, both flags off, under `state_dict`."""
    torch.manual_seed(20260101)
    net = Net1D(Architecture.ecgfounder(n_classes, use_bn=False, use_dropout=False))
    buffer = io.BytesIO()
    torch.save({"state_dict": net.state_dict(), "epoch": 1}, buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def checkpoint() -> bytes:
    return _checkpoint(4)


def _example() -> bytes:
    block = re.search(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block
    return block[1].encode("utf-8")


@pytest.fixture(scope="module")
def cuts() -> CutsFile:
    return parse_cuts(_example(), "toml")


@pytest.fixture(scope="module")
def imported(checkpoint: bytes, cuts: CutsFile, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("imported") / "bundle"
    digest = import_bundle(checkpoint, folder, OFF, label=LABEL, spec=SPEC, cuts=cuts)
    return load_bundle(folder, expected_digest=digest)


def test_the_pages_cuts_file_scores_a_full_size_checkpoint(
    imported: Bundle, cuts: CutsFile
) -> None:
    assert imported.manifest.is_clinical
    assert imported.manifest.tasks == cuts.tasks
    signal = packaged_golden_ecgs()[0].astype(np.float64)
    [risks] = Scorer(imported).score([to_input(signal, 500.0, SPEC)])
    logits = [risk.logit for risk in risks]
    np.testing.assert_allclose(logits, imported.golden_logits[0], rtol=0, atol=1e-4)
    assessment = stratify(risks, imported.manifest, Numerics.FP32)
    assert [one.risk.task for one in assessment.tasks] == list(Vessel)
    assert [one.stratum is None for one in assessment.tasks] == [False, True, False, False]
    counted = (risks[0], risks[2], risks[3])
    assert assessment.any_vessel_risk == max(risk.probability for risk in counted)


def test_the_imported_logits_are_the_checkpoints(imported: Bundle, checkpoint: bytes) -> None:
    net = Net1D(imported.manifest.architecture).eval()
    load_strict(net, torch.load(io.BytesIO(checkpoint), weights_only=True)["state_dict"])
    signal = packaged_golden_ecgs()[1].astype(np.float64)
    mean, deviation = signal.mean(1, keepdims=True), signal.std(1, keepdims=True)
    x = torch.from_numpy(((signal - mean) / (deviation + 1e-8)).astype(np.float32))
    with torch.inference_mode():
        expected = net(x[None])[0].numpy()
    np.testing.assert_allclose(imported.golden_logits[1], expected, rtol=0, atol=1e-5)
    tolerance = imported.manifest.golden_tolerance[Numerics.FP32]
    assert 1e-4 <= tolerance < 1e-2


def test_a_head_of_any_width_gives_a_backbone_and_no_bundle(cuts: CutsFile, tmp_path: Path) -> None:
    public = _checkpoint(150)
    with pytest.raises(SetupFault, match="150 rows"):
        import_bundle(public, tmp_path / "no", OFF, label=LABEL, spec=SPEC, cuts=cuts)
    digest = import_backbone(public, tmp_path / "backbone", OFF)
    backbone = load_backbone(tmp_path / "backbone")
    assert backbone.digest == digest
    assert backbone.architecture.n_classes == 150
    net = Net1D(Architecture.ecgfounder(4, use_bn=False, use_dropout=False))
    load_strict(net, backbone.tensors, replace_head=True)
    assert not (tmp_path / "no").exists()


def test_what_the_caller_states_wrongly_is_refused(
    checkpoint: bytes, cuts: CutsFile, tmp_path: Path
) -> None:
    wrong = [
        (Flags(use_bn=True, use_dropout=False), LABEL, ReasonCode.USE_BN_CONTRADICTED),
        (Flags(False, True, dropout_p=2.0), LABEL, ReasonCode.CHECKPOINT_INVALID),
    ]
    for flags, label, reason in wrong:
        with pytest.raises(SetupFault) as fault:
            import_bundle(checkpoint, tmp_path / "b", flags, label=label, spec=SPEC, cuts=cuts)
        assert fault.value.reason is reason
    assert list(tmp_path.iterdir()) == []


def test_without_clinical_the_name_says_demonstration(
    checkpoint: bytes, cuts: CutsFile, tmp_path: Path
) -> None:
    unmarked = Label(name="Example Hospital CCTA", version="2025.12")
    with pytest.raises(SetupFault, match="demonstration"):
        import_bundle(checkpoint, tmp_path / "b", OFF, label=unmarked, spec=SPEC, cuts=cuts)


def test_toml_and_json_are_the_same_cuts(cuts: CutsFile) -> None:
    document = json.dumps(tomllib.loads(_example().decode()), default=lambda day: day.isoformat())
    assert parse_cuts(document.encode(), "json") == cuts


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("near_cut = 0.005", "near_cut = nan", "finite numbers"),
        ("near_cut = 0.005", "near_cuts = 0.005", "near_cuts: unknown key"),
        ("near_cut = 0.005", "near_cut = 0.005\nnear_cut = 0.1", "not TOML"),
        ("value = 0.31", "value = 0.05", "RCA"),
        ("value = 0.42", "value = 0.10", "any_vessel"),
        ("date = 2025-12-01", "date = 2025-12-01T10:00:00", "not TOML"),
        ('citation = "', 'citation = ["', "not TOML"),
    ],
)
def test_a_cuts_file_that_does_not_hold_is_refused_by_name(old: str, new: str, named: str) -> None:
    text = _example().decode()
    assert old in text
    with pytest.raises(SetupFault, match=named):
        parse_cuts(text.replace(old, new, 1).encode(), "toml")


def test_cuts_missing_for_a_task_that_counts_are_refused(checkpoint: bytes, tmp_path: Path) -> None:
    text = _example().decode()
    lm = "is_experimental = true  # probability stored, no stratum, never in any vessel"
    uncut = parse_cuts(text.replace(lm, "is_experimental = false").encode(), "toml")
    with pytest.raises(SetupFault, match="LM") as fault:
        import_bundle(checkpoint, tmp_path / "b", OFF, label=LABEL, spec=SPEC, cuts=uncut)
    assert fault.value.reason is ReasonCode.CUTS_MISSING
