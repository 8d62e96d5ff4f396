"""Operating points as lines of text."""

from collections.abc import Iterator

from ecgbatch.bundle.operating_points import Estimate
from training.operating_points.points import OperatingPoints, SetCut, scope_name

HEAD = ("scope", "cut", "value (95 %)", "aimed at", "on the cut part", "held on the test part")


def rows(points: OperatingPoints) -> Iterator[tuple[str, ...]]:
    """The cells under HEAD: two rows per scope with cuts, one for a scope without."""
    for scope, cuts in points.scopes():
        name = scope_name(scope)
        if scope in points.experimental:
            name += " (experimental)"
        if cuts is None:
            yield (name, "none", "", "", "", "")
            continue
        for which, cut in (("low", cuts.low), ("high", cuts.high)):
            yield (name, which, *_cells(cut))


def plain(points: OperatingPoints) -> str:
    """A table for a terminal, then the warnings."""
    lines = [HEAD, *rows(points)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    text.append(f"{points.n_cut} index ECGs in the cut part, {points.n_test} in the test part")
    return "\n".join((*text, *(f"warning: {one}" for one in points.warnings)))


def _cells(cut: SetCut) -> tuple[str, ...]:
    value = f"{cut.value:.4f}"
    if cut.value_ci is not None:
        value += f" ({cut.value_ci[0]:.4f} to {cut.value_ci[1]:.4f})"
    what = "specificity" if cut.kind == "specificity" else "sensitivity"
    aim = "stated" if cut.kind == "absolute" else f"{what} {cut.target:.2f}"
    return value, aim, *(f"{what} {number(cut.reached(on))}" for on in (cut.set_on, cut.held))


def number(found: Estimate | None) -> str:
    """A share with its interval; a dash where it is not known."""
    if found is None:
        return "-"
    return f"{found.value:.3f} ({found.ci[0]:.3f} to {found.ci[1]:.3f})"
