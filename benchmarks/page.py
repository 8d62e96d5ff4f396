"""Writes the tables of docs/performance.md from benchmarks/results, between their markers.

A table without a results file says that it was not measured: no figure without a run. Run with
`make bench-page`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import goals, kept

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_NOT_MEASURED = "Not measured yet.\n"

Answer = Mapping[str, Any]


def text(page: str, kept: Callable[[str], Answer | None] = kept.last) -> str:
    """The page with its tables as they should be."""
    for name, table in TABLES.items():
        answer = kept(name)
        made = _NOT_MEASURED if answer is None else f"{_machine(answer)}\n\n{table(answer)}"
        page = _with(page, name, made)
    reached = list(goals.rows(kept))
    head = ("what", "goal", "measured", "reached")
    return _with(page, GOALS, _table(head, reached) if reached else _NOT_MEASURED)


def _with(page: str, name: str, made: str) -> str:
    between = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
    return re.sub(between, partial(_between, made), page, flags=re.DOTALL)


def _between(made: str, found: re.Match[str]) -> str:
    return found[1] + made + found[2]


def net(answer: Answer) -> str:
    """All sides, and eager before them."""
    head = (
        *("runtime", "batch", "ECG/s", "to published", "to tuned", "of GEMM peak"),
        *("core-ms", "faults per ECG", "largest difference"),
    )
    rows = [
        (
            f"eager, {name}",
            64,
            _number(one["ecg_per_s"]),
            "",
            "",
            "",
            one["core_ms"],
            one["faults_per_ecg"],
            "",
        )
        for name in ("published", "tuned")
        for one in (answer[name],)
    ]
    rows += [
        (
            f"{one['runtime']} {one['precision']}",
            one["batch"],
            _number(one["ecg_per_s"]),
            _spread(one["ratio_to_published"]),
            _spread(one["ratio_to_tuned"]),
            _number(one["share_of_peak"]),
            one["core_ms"],
            one["faults_per_ecg"],
            f"{one['agreement']:.1e}",
        )
        for one in answer["sides"]
    ]
    peaks = {name: peak for name, peak in answer["peaks_gflops"].items() if peak is not None}
    said = ", ".join(f"{name} {_spread(peak)} GFLOP/s" for name, peak in peaks.items())
    disturbed = f"{answer['disturbed_samples']} of {answer['samples']} samples were disturbed"
    return f"{_table(head, rows)}\nMeasured GEMM peak: {said}. {disturbed}.\n"


def startup(answer: Answer) -> str:
    head = ("command", "seconds [range]", "CPU seconds", "goal")
    names = {"help": "`ecgbatch --help`", "run_once": "`run-once`, nothing to do"}
    rows = [
        (
            title,
            f"{one['wall_s']} [{one['wall_from_s']}, {one['wall_to_s']}]",
            one["cpu_s"],
            one["goal_s"],
        )
        for name, title in names.items()
        for one in (answer[name],)
    ]
    return _table(head, rows)


def end_to_end(answer: Answer) -> str:
    head = ("preset", "way", "ECG/s", "core-ms", "to published", "of the bound", "peak PSS MB")
    rows: list[tuple[object, ...]] = []
    for preset, told in answer["presets"].items():
        for way in ("published", "fp32", "bf16"):
            if (one := told.get(way)) is None:
                continue
            over, share = one.get("over_published"), one.get("share_of_bound")
            rates = (_number(one.get("ecg_per_s")), _number(one.get("core_ms")))
            memory = one.get("peak_pss_mb", "")
            rows.append((f"`{preset}`", way, *rates, _spread(over), _spread(share), memory))
    return _table(head, rows)


def but_net(answer: Answer) -> str:
    head = ("database", "preset", "files", "ECG/s", "core-ms", "of the server")
    rows = [
        (
            database,
            f"`{one['preset']}`",
            one["files"],
            _number(one.get("ecg_per_s")),
            _number(one.get("core_ms")),
            one.get("server_core_ms", ""),
        )
        for database, lines in answer["databases"].items()
        for one in lines
    ]
    return _table(head, rows)


def writing(answer: Answer) -> str:
    ways = [
        (database, way, of_sizes)
        for database in ("sqlite", "postgresql")
        for way, of_sizes in answer.get(database, {}).items()
    ]
    sizes = sorted({size for _, _, of_sizes in ways for size in of_sizes}, key=int)
    rows = [
        (database, way, *(of_sizes.get(size, {}).get("ecgs_per_s", "") for size in sizes))
        for database, way, of_sizes in ways
    ]
    return _table(("database", "way", *sizes), rows)


def memory(answer: Answer) -> str:
    head = ("recordings", "peak PSS MB", "ECG/s", "core-ms")
    keys = ("recordings", "peak_pss_mb", "ecg_per_s", "core_ms")
    rows = [tuple(one[key] for key in keys) for one in answer["growth"]["sizes"]]
    return f"{_table(head, rows)}\nWith the full net: {answer['peak_pss_mb']} MB.\n"


def readers(answer: Answer) -> str:
    rows = sorted(answer["read"].items(), key=lambda pair: pair[1])
    return _table(("format", "CPU ms"), [(name, _number(ms)) for name, ms in rows])


def quality(answer: Answer) -> str:
    """The dearest checks, and all of them."""
    dearest = sorted(answer["by_check"].items(), key=lambda pair: -pair[1])[:5]
    rows = [("all", answer["cpu_ms"]), *((f"`{name}`", ms) for name, ms in dearest)]
    return _table(("check", "CPU ms"), [(name, _number(ms)) for name, ms in rows])


def preparation(answer: Answer) -> str:
    names = {
        "published_ms": "`ecgfounder`, published",
        "scipy_ms": "`ecgfounder`, scipy",
        "numba_ms": "`ecgfounder`, compiled",
        "anyecg_ccta_ms": "`anyecg-ccta`",
    }
    return _table(
        ("chain", "CPU ms"), [(name, _number(answer[key])) for key, name in names.items()]
    )


TABLES: dict[str, Callable[[Answer], str]] = {
    "net": net,
    "end_to_end": end_to_end,
    "but_net": but_net,
    "writing": writing,
    "readers": readers,
    "quality": quality,
    "preparation": preparation,
    "startup": startup,
    "memory": memory,
}
"""Name of a results file and of its marker -> its table."""
GOALS = "goals"
"""The marker of what is taken from all of them."""


def _machine(answer: Answer) -> str:
    one = answer.get("machine")
    if not one:
        return "Machine not noted."
    flags = ", ".join(one["vector_flags"])
    libraries = ", ".join(f"{name} {number}" for name, number in one["libraries"].items())
    cpu = f"{one['cpu']} (family/model {one['cpu_family_model']}; {flags})"
    return f"{one['date']}: {one['cores']} cores of {cpu}, Python {one['python']}, {libraries}."


def _number(value: object) -> str:
    """A median, or a plain number, with three digits."""
    if isinstance(value, Mapping):
        value = value["median"]
    return "" if value is None else f"{float(str(value)):.3g}"


def _spread(value: object) -> str:
    """The median with its range, where it has one."""
    if isinstance(value, Mapping) and {"low", "high"} <= value.keys():
        return f"{value['median']:.3g} [{value['low']:.3g}, {value['high']:.3g}]"
    return _number(value)


def _table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (head, *rows)]
    columns = lines[0].count(" | ") + 1
    return "\n".join([lines[0], "|" + "---|" * columns, *lines[1:]]) + "\n"


def main() -> None:
    PAGE.write_text(text(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
