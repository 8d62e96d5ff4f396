"""A cohort's report as lines for a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from ecgbatch.terms import ReasonCode
from training.data.screening import advice_of
from training.terms import Exclusion


def summary(report: Mapping[str, Any]) -> str:
    """What `check-data` prints of report.json."""
    return "\n".join(
        (
            f"{report['rows']} rows: {report['ecgs']} ECGs of {report['patients']} patients in the"
            f" cohort, {sum(report['excluded'].values())} excluded",
            f"{report['index_ecgs']} index ECGs; the others are kept for repeatability",
            *_counts("not index", report["not_index"]),
            *_excluded(report["excluded"]),
            "",
            *_tasks(report["tasks"]),
            *_groups(report["groups"]),
            "",
            *report["notes"],
        )
    ).rstrip()


def _counts(title: str, counts: Mapping[str, int]) -> Iterator[str]:
    for what, n in counts.items():
        yield f"  {n:>7}  {title}: {what}"


def _excluded(counts: Mapping[str, int]) -> Iterator[str]:
    for word, n in counts.items():
        reason = Exclusion(word) if word in set(Exclusion) else ReasonCode(word)
        yield f"  {n:>7}  excluded: {word}. {advice_of(reason)}"


def _tasks(tasks: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    width = max(map(len, tasks), default=0)
    yield f"{'index ECGs':<{max(width, 10)}}  positive  negative   missing  grades"
    for task, counts in tasks.items():
        grades = ", ".join(f"{n} {grade}" for grade, n in counts.get("grades", {}).items() if n)
        mark = " (experimental)" if counts["experimental"] else ""
        yield (
            f"{task:<{max(width, 10)}}  {counts['positives']:>8}  {counts['negatives']:>8}"
            f"  {counts['missing']:>8}  {grades}{mark}"
        )


def _groups(groups: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Iterator[str]:
    """Positives of known per part and fold."""
    if not groups:
        return
    tasks = list(next(iter(groups.values())))
    yield ""
    yield "positive / known  " + "  ".join(f"{task:>11}" for task in tasks)
    for group, counts in groups.items():
        cells = (
            f"{counts[task]['positives']} / {counts[task]['positives'] + counts[task]['negatives']}"
            for task in tasks
        )
        yield f"{group:<16}  " + "  ".join(f"{cell:>11}" for cell in cells)
