"""Prints the tables of docs/quality.md: `python -m tests.support.measure_quality [FOLDER...]`.

Each FOLDER may hold further `*.expected.npz` beside those of the test data.
"""

import sys
from collections import Counter
from pathlib import Path
from statistics import median
from time import perf_counter

from ecgbatch.quality.checks import CHECKS, check
from ecgbatch.records import Finding, Recording
from ecgbatch.settings import load_settings
from tests.support.ecgs import heartbeats
from tests.support.faults import FAULTS, Fault, inject
from tests.support.real_ecgs import SAMPLES, real_ecgs, recording

_SETTINGS = load_settings(environment={})
_SEEDS = range(3)


def findings(ecg: Recording) -> tuple[Finding, ...]:
    """What the checks say under the default settings."""
    return check(ecg, _SETTINGS.quality, _SETTINGS.eligibility)


def false_alarms(ecgs: dict[str, Recording]) -> list[str]:
    """Per check, how many of the ECGs have a finding, and which leads."""
    flagged: dict[str, list[str]] = {one.__name__: [] for one in CHECKS}
    for name, ecg in ecgs.items():
        leads: dict[str, list[str]] = {}
        for finding in findings(ecg):
            leads.setdefault(finding.check, []).append(finding.lead or "all")
        for one, which in leads.items():
            flagged[one].append(f"{name} ({', '.join(which)})")
    return [
        f"| `{one}` | {len(who)} of {len(ecgs)} | {'; '.join(who)} |"
        for one, who in flagged.items()
    ]


def sensitivity(fault: Fault, ecgs: list[Recording]) -> list[str]:
    """Per strength, the share of ECGs in which the check fires that was silent before."""
    clean = [ecg for ecg in ecgs if fault.check not in {one.check for one in findings(ecg)}]
    cells = []
    for strength in fault.strengths:
        hits = [
            fault.check in {one.check for one in findings(inject(fault, ecg, strength, seed))}
            for seed in _SEEDS
            for ecg in clean
        ]
        cells.append(f"{strength:g}: {100 * sum(hits) / len(hits):.0f} %")
    return cells


def others(fault: Fault, ecgs: list[Recording]) -> Counter[str]:
    """At full strength, which other reasons come with the fault, and how often."""
    counts: Counter[str] = Counter()
    for seed in _SEEDS:
        for ecg in ecgs:
            before = {one.reason for one in findings(ecg)}
            after = {one.reason for one in findings(inject(fault, ecg, fault.strengths[-1], seed))}
            counts.update(reason.value for reason in after - before - {fault.reason})
    return counts


def cost_ms(ecgs: list[Recording]) -> float:
    """Median time of all checks of one ECG."""
    times = []
    for ecg in ecgs * 20:
        start = perf_counter()
        findings(ecg)
        times.append(perf_counter() - start)
    return 1000 * median(times)


def main(folders: list[str]) -> None:
    real = real_ecgs([SAMPLES, *map(Path, folders)])
    lines = [f"{len(real)} real ECGs", "", "| check | flagged | which |", "|---|---|---|"]
    lines += false_alarms(real)
    every = [*real.values(), *(recording(heartbeats(seed)) for seed in range(20))]
    lines += ["", "| fault | unit | check | found at | beside it |", "|---|---|---|---|---|"]
    for name, fault in FAULTS.items():
        cells = ", ".join(sensitivity(fault, every))
        beside = ", ".join(f"{code} {count}" for code, count in others(fault, every).items())
        lines.append(f"| {name} | {fault.unit} | `{fault.check}` | {cells} | {beside} |")
    at_500 = [ecg for ecg in real.values() if ecg.signal.shape == (12, 5000)]
    lines += ["", f"{cost_ms(at_500):.2f} ms per ECG of 12 x 5000 samples"]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
