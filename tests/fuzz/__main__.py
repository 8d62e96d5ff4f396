"""Damage every format's sample files and print what came of it: `python -m tests.fuzz`."""

import argparse
import json
import sys
from pathlib import Path

from ecgbatch.isolation.decoder import Decoder
from ecgbatch.settings import load_settings
from tests.fuzz.control import silent_changes_of_wfdb
from tests.fuzz.corpus import CARRY_SIZE, seeds
from tests.fuzz.measure import Fate, Tally, measure

SECONDS = 5.0
MANY, FEW = 20_000, 5_000
"""For a format that carries a size or a checksum, and for the others."""


def main() -> None:
    options = _options()
    isolation = load_settings(
        overrides={"isolation": {"seconds": SECONDS}}, environment={}
    ).isolation
    found = {name: group for name, group in seeds().items() if name in (options.only or [name])}
    tallies: dict[str, Tally] = {}
    sys.stdout.write(_line("format", "files", "mutants", *Fate, "caught", "refused", "slowest ms"))
    with Decoder(isolation) as decoder:
        for name, group in found.items():
            if not group:
                sys.stdout.write(_line(name, 0))
                continue
            mutants = options.mutants or (MANY if name in CARRY_SIZE else FEW)
            tally = measure(name, group, range(mutants), decoder.decode)
            tallies[name] = tally
            counts = (tally.fates[fate] for fate in Fate)
            slowest_ms = round(tally.slowest_s * 1000)
            caught = (tally.caught, tally.caught_refusing)
            sys.stdout.write(_line(name, len(group), tally.n, *counts, *caught, slowest_ms))
            sys.stdout.flush()
    accepted, silent = silent_changes_of_wfdb(found.get("wfdb", []), range(options.control))
    sys.stdout.write(
        f"\ncontrol: the wfdb library read {accepted} of {options.control} damaged records,"
        f" {silent} of them with other samples than before\n"
    )
    if options.json:
        options.json.write_text(json.dumps({n: _plain(t) for n, t in tallies.items()}, indent=1))
    if any(tally.fates[fate] for name, tally in tallies.items() for fate in _forbidden(name)):
        sys.exit(1)


def _forbidden(name: str) -> tuple[Fate, ...]:
    always = (Fate.LOST, Fate.VALUES_UNDER_CHECKSUM)
    return (*always, Fate.COUNT) if name in CARRY_SIZE else always


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, help=f"per format instead of {MANY} or {FEW}")
    parser.add_argument("--control", type=int, default=500, help="for the wfdb library")
    parser.add_argument("--only", nargs="*", help="names of readers")
    parser.add_argument("--json", type=Path, help="where to write the counts and their turns")
    return parser.parse_args()


def _line(*cells: object) -> str:
    first, *others = map(str, cells)
    return f"{first:12}" + "".join(f" {cell:>{max(8, len(cell))}}" for cell in others) + "\n"


def _plain(tally: Tally) -> dict[str, object]:
    return {
        "mutants": tally.n,
        "fates": {fate: tally.fates[fate] for fate in Fate},
        "reasons": dict(tally.reasons.most_common()),
        "slowest_ms": round(tally.slowest_s * 1000, 1),
        "turns": {fate: turns[:50] for fate, turns in tally.turns.items()},
    }


if __name__ == "__main__":
    main()
