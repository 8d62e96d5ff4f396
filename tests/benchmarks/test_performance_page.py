"""docs/performance.md says what the kept runs say, and the harness knows whose time it was."""

import json
import os
import subprocess
import sys
import time

import pytest

from benchmarks import goals, neighbours, page, say
from benchmarks.neighbours import LIMIT, Watch, sample

_MACHINE = {
    "cpu": "a CPU",
    "cpu_family_model": "1/2",
    "vector_flags": ["avx2"],
    "cores": 2,
    "python": "3.11",
    "libraries": {"torch": "2"},
    "date": "2026-01-02",
}
_STARTED = {"wall_s": 0.25, "wall_from_s": 0.2, "wall_to_s": 0.5, "cpu_s": 0.1, "goal_s": 0.3}


def test_the_page_is_what_the_kept_runs_say() -> None:
    written = page.PAGE.read_text(encoding="utf-8")
    assert page.text(written) == written, "run `make bench-page`"


def test_every_table_has_its_place_and_no_figure_without_a_run() -> None:
    written = page.PAGE.read_text(encoding="utf-8")
    names = [*page.TABLES, page.GOALS]
    assert all(written.count(f"<!-- {name} -->\n") == 1 for name in names)
    emptied = page.text(written, lambda _: None)
    tables = emptied.split("<!-- ")[1:]
    assert [part.split(" -->\n")[1] for part in tables[::2]] == ["Not measured yet.\n"] * len(names)


def test_a_kept_run_stands_between_its_markers_alone() -> None:
    kept = {"startup": {"machine": _MACHINE, "help": _STARTED, "run_once": _STARTED}}
    before = "a\n<!-- startup -->\nold\n<!-- end -->\nb\n<!-- net -->\nold\n<!-- end -->\n"
    lines = page.text(before, kept.get).splitlines()
    assert lines[2].startswith("2026-01-02: 2 cores of a CPU (family/model 1/2; avx2)")
    assert "| `ecgbatch --help` | 0.25 [0.2, 0.5] | 0.1 | 0.3 |" in lines
    assert lines[-3:] == ["<!-- net -->", "Not measured yet.", "<!-- end -->"]


def test_a_goal_is_reached_or_not_by_its_figure() -> None:
    slow = {"wall_s": 2.5}
    kept = {"startup": {"help": {"wall_s": 0.25}, "run_once": slow}}
    reached = {what: said for what, _, *said in goals.rows(kept.get)}
    assert reached["`ecgbatch --help`, s"] == ["0.25", "yes"]
    assert reached["`run-once` with nothing to do, s"] == ["2.5", "no"]


def test_time_of_an_ended_child_is_ours() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    with Watch() as watch:
        subprocess.run([sys.executable, "-c", burn], check=True)
    assert watch.cpu_s >= 0.25
    assert 0 <= watch.others <= 1


def test_time_of_a_strange_process_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = iter([100.0, 100.0 + 0.5 * (os.cpu_count() or 1)])
    monkeypatch.setattr(neighbours, "machine_seconds", lambda: next(machine))
    monkeypatch.setattr(neighbours, "own_seconds", lambda _: 7.0)
    clock = iter([0.0, 1.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    with Watch() as watch:
        pass
    assert watch.others == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("shares", "kept", "is_disturbed"),
    [([0.0], 1, False), ([0.4, LIMIT], 2, False), ([0.4, 0.2, 0.3, 0.0], 2, True)],
)
def test_a_disturbed_sample_is_measured_again_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, shares: list[float], kept: int, is_disturbed: bool
) -> None:
    found, tries = iter(shares), iter(range(1, 9))

    class Told(Watch):
        def __exit__(self, *_: object) -> None:
            self.others = next(found)

    monkeypatch.setattr(neighbours, "Watch", Told)
    got = sample(lambda: next(tries), tries=3)
    assert (got.value, got.disturbed) == (kept, is_disturbed)


def test_the_last_line_is_json_and_refuses_what_json_has_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    say.last_line({"a": None})
    assert json.loads(capsys.readouterr().out) == {"a": None}
    with pytest.raises(ValueError, match="JSON"):
        say.last_line({"a": float("nan")})
