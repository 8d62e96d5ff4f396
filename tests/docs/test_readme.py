"""What the README shows is what the program prints and what the database answers."""

import re
from pathlib import Path

import pytest

from tests.cli.command import Ended, ecgbatch, rows

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
_NUMBER = re.compile(r"\d\.\d{3}")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Path]:
    folder = tmp_path_factory.mktemp("demo")
    return ecgbatch("demo", cwd=folder, is_new=True), folder / "ecgbatch-demo.db"


def test_demo_prints_what_the_readme_shows(demo: tuple[Ended, Path]) -> None:
    shown = next(
        block for block in re.findall(r"```\n(.*?)```", README, re.DOTALL) if "LCX" in block
    )

    def words(text: str) -> list[str]:
        # The third decimal may differ on another processor.
        return _NUMBER.sub("risk", text).split()

    assert words(demo[0].out) == words(shown)


def test_query_of_the_readme_runs(demo: tuple[Ended, Path]) -> None:
    (query,) = re.findall(r"```sql\n(.*?)```", README, re.DOTALL)

    found = rows(demo[1], query)

    assert found
    assert {"patient_key", "ecg_date", "near_cut_lad"} <= set(found[0])


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md")))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_command_stands_in_the_readme_or_the_docs() -> None:
    pages = README + "".join(p.read_text(encoding="utf-8") for p in (ROOT / "docs").glob("*.md"))

    for command in ("run-once", "status", "show", "doctor", "migrate", "acknowledge", "demo"):
        assert f"ecgbatch {command}" in pages or f"make {command}" in pages
    for command in ("show", "verify", "activate", "import-ecgfounder"):
        assert f"bundle {command}" in pages
