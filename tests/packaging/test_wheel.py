"""The wheel carries migrations, settings, bundle and samples, and works without the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.cli.command import rows


def test_wheel_has_what_the_program_needs_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    for part in (
        "ecgbatch/migrations/env.py",
        "ecgbatch/migrations/roles.sql",
        "ecgbatch/config/default.toml",
        "ecgbatch/demonstration/bundle/bundle.json",
        "ecgbatch/demonstration/PROVENANCE.md",
        "ecgbatch/demonstration/samples/muse/synthetic_muse.xml",
        "ecgbatch/py.typed",
        "training/cli/main.py",
    ):
        assert part in names
    assert any(name.startswith("ecgbatch/migrations/versions/0001") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"ecgbatch", "training"}


def test_installed_wheel_scores_the_samples_from_elsewhere(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", target, wheel],
        check=True,
    )
    environment = {**os.environ, "PYTHONPATH": str(target), "OMP_NUM_THREADS": "1"}
    where = subprocess.run(
        [sys.executable, "-c", "import ecgbatch; print(ecgbatch.__file__)"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(target)

    subprocess.run(
        [sys.executable, "-m", "ecgbatch", "demo"],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
    )

    assert len(rows(tmp_path / "ecgbatch-demo.db", "SELECT * FROM v_latest_risk")) == 7
