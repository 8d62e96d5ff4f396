"""What was aimed at and what the kept runs came to, for docs/performance.md.

The goals come from measurements on two cores of a processor with AVX-512; they are of that machine,
not of the one that is measured.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Figures = Mapping[str, Any]
_Row = tuple[str, str, str, str]


def rows(kept: Callable[[str], Figures | None]) -> Iterator[_Row]:
    """What is measured, the goal, the figure, and whether it is reached."""
    for name, of in _GOALS:
        if (figures := kept(name)) is not None:
            yield from of(figures)


def _net(figures: Figures) -> Iterator[_Row]:
    yield _at_least("net, fp32 over published", 1.8, figures["fp32_over_published"])
    shares = [one["share_of_peak"]["median"] for one in figures["sides"]]
    yield _at_least("net, fp32, share of the GEMM peak", 0.7, max(shares))
    yield _at_least("net, bf16 over published", 3.5, figures["bf16_over_published"])


def _end_to_end(figures: Figures) -> Iterator[_Row]:
    yield _at_least("files to rows, fp32 over published", 2.5, figures["fp32_over_published"])
    yield _at_least("files to rows, bf16 over published", 4.8, figures["bf16_over_published"])
    yield _at_least("files to rows, share of the bound", 0.95, figures["share_of_bound"])
    yield _at_most("core-ms of all but the net", 4.0, figures["other_core_ms"])
    yield _at_most("peak PSS MB, full net", 900.0, figures["peak_pss_mb"])


def _but_net(figures: Figures) -> Iterator[_Row]:
    for database in ("sqlite", "postgresql"):
        for preset, goal in (("ecgfounder", 400.0), ("anyecg-ccta", 700.0)):
            key = f"{database}_{preset.replace('-', '_')}_per_s"
            if key in figures:
                words = f"all but the net, `{preset}`, {database}, ECG/s"
                yield _at_least(words, goal, figures[key])


def _writing(figures: Figures) -> Iterator[_Row]:
    ways = (
        ("sqlite", "set-wise", 5000),
        ("postgresql", "arrays", 2500),
        ("postgresql", "copy", 5000),
    )
    for database, way, goal in ways:
        if (of_sizes := figures.get(database, {}).get(way)) is not None:
            best = max(one["ecgs_per_s"] for one in of_sizes.values())
            yield _at_least(f"writing alone, {database}, {way}, ECG/s", goal, best)


def _preparation(figures: Figures) -> Iterator[_Row]:
    yield _at_most("`ecgfounder` chain, compiled, ms", 2.5, figures["numba_ms"])
    yield _at_most("`ecgfounder` chain, scipy, ms", 6.0, figures["scipy_ms"])


def _startup(figures: Figures) -> Iterator[_Row]:
    yield _at_most("`ecgbatch --help`, s", 0.3, figures["help"]["wall_s"])
    yield _at_most("`run-once` with nothing to do, s", 2.0, figures["run_once"]["wall_s"])


_GOALS: tuple[tuple[str, Callable[[Figures], Iterator[_Row]]], ...] = (
    ("net", _net),
    ("end_to_end", _end_to_end),
    ("but_net", _but_net),
    ("writing", _writing),
    ("preparation", _preparation),
    ("startup", _startup),
)


def _at_least(words: str, goal: float, figure: float | None) -> _Row:
    return _row(words, f"at least {goal:g}", figure, figure is not None and figure >= goal)


def _at_most(words: str, goal: float, figure: float | None) -> _Row:
    return _row(words, f"at most {goal:g}", figure, figure is not None and figure <= goal)


def _row(words: str, goal: str, figure: float | None, is_reached: bool) -> _Row:
    if figure is None:
        return (words, goal, "not on this processor", "")
    said = f"{figure:.0f}" if figure >= 100 else f"{figure:.3g}"
    return (words, goal, said, "yes" if is_reached else "no")
