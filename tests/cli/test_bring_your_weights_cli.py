"""docs/bring-your-weights.md, typed as it stands there, with a full-size checkpoint."""

import io
import re
from pathlib import Path

import pytest
import torch

from ecgbatch.net.architecture import Architecture
from ecgbatch.net.net1d import Net1D
from tests.cli.command import ecgbatch, rows
from tests.support.ecgs import heartbeats, write_wfdb

PAGE = Path(__file__).parents[2] / "docs" / "bring-your-weights.md"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with a checkpoint of random weights, the page's cuts file and one ECG."""
    torch.manual_seed(1)
    net = Net1D(Architecture.ecgfounder(4, use_bn=False, use_dropout=False))
    buffer = io.BytesIO()
    torch.save({"state_dict": net.state_dict()}, buffer)
    (tmp_path / "my-ccta.pth").write_bytes(buffer.getvalue())
    block = re.search(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block
    (tmp_path / "cuts.toml").write_text(block[1], encoding="utf-8")
    (tmp_path / "ecgs").mkdir()
    write_wfdb(tmp_path / "ecgs", "one", heartbeats(3))
    return tmp_path


def test_import_verify_activate_and_score(site: Path) -> None:
    imported = ecgbatch(
        *("bundle", "import-ecgfounder", "my-ccta.pth", "--out", "my-ccta", "--no-use-bn"),
        *("--preset", "anyecg-ccta", "--cuts", "cuts.toml"),
        *("--name", "Example Hospital CCTA", "--version", "2025.12", "--clinical", "--json"),
        cwd=site,
    )
    assert imported.exit_code == 0
    digest = imported.json["digest"]

    verified = ecgbatch("bundle", "verify", "my-ccta", "--json", cwd=site)
    assert verified.json["digest"] == digest

    url = "sqlite:///ecg.db"
    for command in (
        ("migrate", "--db", url),
        ("bundle", "activate", "my-ccta", "--db", url, "--reason", "first clinical bundle"),
        ("run-once", "--source", "ecgs", "--db", url, "--settle", "0"),
    ):
        done = ecgbatch(*command, cwd=site)
        assert done.exit_code == 0, done.err
        assert "not for clinical use" not in done.out

    risks = rows(site / "ecg.db", "SELECT * FROM v_latest_risk")
    assert [(r["bundle_name"], r["is_clinical"]) for r in risks] == [("Example Hospital CCTA", 1)]
    assert risks[0]["stratum_lm"] is None
    assert risks[0]["risk_lm"] is not None

    demonstration = ecgbatch("bundle", "show", "--db", url, "--json", cwd=site)
    assert demonstration.json["digest"] == digest


def test_checkpoint_with_a_lacking_tensor_is_refused_by_its_name(site: Path) -> None:
    tensors = torch.load(site / "my-ccta.pth", weights_only=True)["state_dict"]
    del tensors["first_conv.conv.bias"]
    torch.save(tensors, site / "lacking.pth")

    done = ecgbatch(
        *("bundle", "import-ecgfounder", "lacking.pth", "--out", "b", "--no-use-bn"), cwd=site
    )

    assert done.exit_code == 4
    assert "checkpoint_invalid" in done.err
    assert "first_conv.conv.bias" in done.err
