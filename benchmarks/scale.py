"""docs/scale.md from the figures in `benchmarks/results`: how cost grows, what 5 million ECGs cost.

Every figure is marked measured or computed. Where a benchmark has not been kept, the page says so.
Run with `python -m benchmarks.scale` after `benchmarks.memory --write` and
`benchmarks.end_to_end --write`.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import kept
from benchmarks.neighbours import LIMIT

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
N_ECGS = 5_000_000
CORES = (2, 8, 16)
GFLOP = 2.34
"""Of the net for one ECG."""
NOT_YET = "Not measured yet."
MEASURED, COMPUTED = "measured", "computed"
PRECISIONS = ("fp32", "bf16")
PRESETS = ("ecgfounder", "anyecg-ccta")

Figures = Mapping[str, Any]


def page(text: str, memory: Figures | None, end_to_end: Figures | None) -> str:
    """The page with the blocks between its marks made anew."""
    blocks = {
        "growth": growth(memory) if memory else NOT_YET,
        "server": server(memory, end_to_end) if memory and end_to_end else NOT_YET,
        "gpu": gpu(end_to_end) if end_to_end else NOT_YET,
    }
    for name, block in blocks.items():
        mark = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        text, n_replaced = re.subn(mark, _between(block), text, flags=re.DOTALL)
        if n_replaced != 1:
            raise LookupError(name)
    return text


def _between(block: str) -> Any:
    return lambda found: f"{found[1]}{block}\n{found[2]}"


def growth(memory: Figures) -> str:
    """One line for each size that was reached."""
    told = memory["growth"]
    rows = [
        [
            f"{one['recordings']:,}",
            f"{one['ecg_per_s']:.0f}",
            f"{one['core_ms']:.1f}",
            f"{one['look_s']:.2f}",
            f"{one['closing_s']:.2f}",
            f"{one['peak_pss_mb']:.0f}",
            f"{one['database_bytes'] / 1e6:.0f}",
        ]
        for one in told["sizes"]
    ]
    heads = "recordings", "ECG/s", "core-ms", "look s", "closing s", "peak memory MB", "database MB"
    return (
        f"{_table(heads, rows)}\n\nAll measured: {_where(memory)}, runtime {told['runtime']}; "
        f"{_bytes_each(told)}.{_disturbed(told['sizes'])}"
    )


def _disturbed(sizes: Sequence[Figures]) -> str:
    """What other processes took meanwhile, if it was more than a little."""
    most = max((one["others"] for one in sizes), default=0.0)
    if most <= LIMIT:
        return ""
    return f" Other processes took up to {most:.0%} of the machine; times hold for as busy a one."


def _bytes_each(told: Figures) -> str:
    each = told["database_bytes_per_ecg"]
    stored = f"{each:,} bytes of the database" if each else "the database's growth unknown"
    return f"an ECG takes {stored} and {told['file_bytes_per_ecg']:,} bytes of files"


def server(memory: Figures, end_to_end: Figures) -> str:
    """What 5 million ECGs take on the machine that was measured."""
    rows = []
    for preset in PRESETS:
        for precision in PRECISIONS:
            one = end_to_end["presets"][preset].get(precision)
            if one is not None:
                rows += _of_a_way(preset, precision, one)
    told = memory["growth"]
    each = told["database_bytes_per_ecg"]
    if each:
        rows.append(["database", f"{_gb(each)} GB", _how("bytes of an ECG in SQLite")])
    rows.append(
        [
            "files to read",
            f"{_gb(told['file_bytes_per_ecg'])} GB",
            _how("bytes of its files, half WFDB, half MUSE"),
        ]
    )
    rows.append(
        ["memory", f"{memory['peak_pss_mb']:.0f} MB", f"{MEASURED}, full net, all processes"]
    )
    return f"{_table(('what', 'figure', 'how'), rows)}\n\nFrom: {_where(end_to_end)}."


def _of_a_way(preset: str, precision: str, one: Figures) -> list[list[str]]:
    rate, core_ms = one["ecg_per_s"]["median"], one["core_ms"]
    runtime = one["runtime"].split()[0]
    way = f"`{preset}`, {precision}, {runtime}"
    return [
        [f"{way}: rate", f"{rate:.1f} ECG/s", f"{MEASURED}, end to end"],
        [f"{way}: time", _hours(N_ECGS / rate), _how("rate")],
        [f"{way}: core-hours", f"{N_ECGS * core_ms / 3.6e6:,.0f}", _how("CPU time of an ECG")],
    ]


def gpu(end_to_end: Figures) -> str:
    """What the processors leave to a GPU: it cannot be asked faster than ECGs are prepared."""
    rows = []
    for preset in PRESETS:
        core_ms = end_to_end["presets"][preset]["everything_but_the_net"]["core_ms"]
        rows += [_beside_a_gpu(preset, core_ms, cores) for cores in CORES]
    heads = "preset", "cores", "core-ms but the net", "ECG/s at most", "5 million", "net, TFLOP/s"
    return (
        f"{_table(heads, rows)}\n\nCore-ms measured ({_where(end_to_end)}), all else computed: "
        "1,000 x cores / core-ms, if as many cores of this kind do as many times the work."
    )


def _beside_a_gpu(preset: str, core_ms: float, cores: int) -> list[str]:
    rate = 1000.0 * cores / core_ms
    return [
        f"`{preset}`",
        f"{cores}",
        f"{core_ms:.2f}",
        f"{rate:,.0f}",
        _hours(N_ECGS / rate),
        f"{rate * GFLOP / 1000.0:.1f}",
    ]


def _how(source: str) -> str:
    return f"{COMPUTED} from the measured {source}"


def _gb(bytes_of_one: float) -> str:
    return f"{N_ECGS * bytes_of_one / 1e9:,.0f}"


def _hours(seconds: float) -> str:
    hours = seconds / 3600.0
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24.0:.1f} days"


def _where(figures: Figures) -> str:
    told = figures["machine"]
    return f"{told['cores']} cores of {told['cpu']}, {told['date']}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(page(text, kept.last("memory"), kept.last("end_to_end")), encoding="utf-8")


if __name__ == "__main__":
    main()
