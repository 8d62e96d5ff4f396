"""Every command's example, run for real in a scratch folder; kept in docs/examples: `make docs`.

The commands run in this order in one folder, each on what those before it left. To add one: a line
in EXAMPLES, then `make docs`.
"""

import getpass
import json
import os
import re
import shutil
import socket
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from shlex import split

import torch

from ecgbatch.net.architecture import Architecture
from ecgbatch.net.net1d import Net1D
from ecgbatch.resources import demonstration
from tests.cli.command import ecgbatch
from tests.support.bundles import save_small_bundle
from tests.support.ecgs import SAMPLES

FOLDER = Path(__file__).parents[2] / "docs" / "examples"
_DB = "--db sqlite:///ecg.db"
_BUNDLE = "demonstration-bundle"
_OTHER = "other-bundle"
_SHOWN_FOLDER = "/srv/ecg"
_WIDEST = 150
_LONGEST = 24


@dataclass(frozen=True)
class Example:
    """One command line.

    Attributes:
        command: the command it is shown under, as in `bundle show`.
        line: what is typed after `ecgbatch`.
        exit_code: how it ends.
    """

    command: str
    line: str
    exit_code: int = field(default=0)


EXAMPLES = (
    Example("demo", "demo --db demo.db"),
    Example("migrate", f"migrate {_DB}"),
    Example("run-once", f"run-once --source inbox {_DB} --settle 0", 1),
    Example("status", f"status --failures {_DB}", 1),
    Example("show", f"show 5 {_DB}"),
    Example("doctor", f"doctor {_DB}"),
    Example("sql", f'sql {_DB} "{{risks}}"'),
    Example("sql", f'sql {_DB} "SELECT risk_rac FROM v_latest_risk"', 2),
    Example("verify", f"verify {_DB}"),
    Example("export", f"export --out warehouse {_DB}"),
    Example("report", f"report --since {{today}} --worklist 3 --out report {_DB}"),
    Example("quarantine list", f"quarantine list {_DB}"),
    Example("retry", f'retry 3 --reason "exported again" {_DB}'),
    Example("work", f"work --drain {_DB}", 1),
    Example("acknowledge", f'acknowledge --code format_unknown --reason "a note" {_DB}'),
    Example("ignore", f'ignore 3 --reason "not an ECG" {_DB}'),
    Example("patient lookup", f'patient lookup --key {{key}} --reason "asked by the ward" {_DB}'),
    Example("patient merge", f'patient merge --key {{key}} {{other}} --reason "one person" {_DB}'),
    Example("patient unmerge", f'patient unmerge --key {{key}} --reason "two persons" {_DB}'),
    Example("halt", f'halt --reason "the cart is being repaired" {_DB}'),
    Example("resume", f'resume --reason "repaired" {_DB}'),
    Example("rescore", f'rescore --scope all --reason "after maintenance" {_DB}'),
    Example("ledger check", f"ledger check {_DB}"),
    Example("audit check", f"audit check {_DB}"),
    Example("bundle show", f"bundle show {_DB}"),
    Example("bundle verify", f"bundle verify {_BUNDLE}"),
    Example(
        "bundle activate", f'bundle activate {_BUNDLE} --reason "first use" --db sqlite:///demo.db'
    ),
    Example("bundle list", f"bundle list {_DB}"),
    Example(
        "bundle activate",
        f'bundle activate {_OTHER} --role challenger --since 1990-01-01 --reason "a trial" {_DB}',
    ),
    Example("work", f"work --drain {_DB}"),
    Example("bundle compare", f"bundle compare {_DB}"),
    Example("bundle promote", f'bundle promote --reason "the trial was good" {_DB}'),
    Example("bundle rollback", f'bundle rollback --reason "a fault was found" {_DB}'),
    Example(
        "bundle activate", f'bundle activate {_OTHER} --role challenger --reason "once more" {_DB}'
    ),
    Example("bundle retire", f'bundle retire --reason "the trial is over" {_DB}'),
    Example(
        "bundle import-ecgfounder",
        "bundle import-ecgfounder weights.pth --out backbone --no-use-bn",
    ),
    Example("formats", "formats"),
    Example("inspect", "inspect inbox/muse/guangxi_teaching_sinus_rhythm.xml"),
    Example("convert", "convert inbox/muse --to parquet --out arrays"),
)
NOTES = {
    "serve": "Runs until it is told to stop; [operations.md](operations.md) walks through it.",
    "bundle benchmark": "[performance.md](performance.md) shows what it prints.",
}
"""Commands without an example, and why."""

_RISKS = (
    "SELECT recording_id, age_years, sex, round(risk_lad, 3) AS risk_lad, stratum_lad"
    " FROM v_latest_risk ORDER BY risk_lad DESC LIMIT 3"
)


def run() -> dict[str, str]:
    """What every command prints: text by command, without what changes from run to run."""
    shown: dict[str, list[str]] = {}
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="examples-") as name:
        folder = Path(name)
        _prepare(folder)
        for example in EXAMPLES:
            line = _filled(example.line, folder)
            done = ecgbatch(*split(line), cwd=folder, COLUMNS="100")
            if done.exit_code != example.exit_code:
                faults.append(f"ecgbatch {line}: {done.exit_code}\n{done.out}{done.err}")
            printed = [*done.out.splitlines(), *_errors(done.err)]
            text = "\n".join([f"$ ecgbatch {line}", *_shortened(printed)])
            shown.setdefault(example.command, []).append(_masked(text, folder))
    assert not faults, "\n".join(faults)
    return {command: "\n\n".join(texts) + "\n" for command, texts in shown.items()}


def path_of(command: str) -> Path:
    return FOLDER / f"{command.replace(' ', '-')}.txt"


def _prepare(folder: Path) -> None:
    """The shipped samples, a text file, the demonstration bundle, a site key, a checkpoint."""
    shutil.copytree(SAMPLES, folder / "inbox")
    (folder / "inbox" / "note.txt").write_text("The cart was repaired today.\n")
    shutil.copytree(demonstration("bundle"), folder / _BUNDLE)
    save_small_bundle(folder / _OTHER)
    for database in ("ecg", "demo"):
        key = folder / f"{database}.key"
        key.write_bytes(bytes(range(32)))
        key.chmod(0o600)
    torch.manual_seed(1)
    net = Net1D(Architecture.ecgfounder(4, use_bn=False, use_dropout=False))
    torch.save({"state_dict": net.state_dict()}, folder / "weights.pth")


def _filled(line: str, folder: Path) -> str:
    line = line.replace("{risks}", _RISKS).replace("{today}", f"{datetime.now(UTC):%Y-%m-%d}")
    if "{key}" not in line:
        return line
    asked = "SELECT DISTINCT patient_key FROM recording WHERE patient_key IS NOT NULL ORDER BY 1"
    found = ecgbatch("sql", "--db", "sqlite:///ecg.db", asked, "--json", cwd=folder)
    ((key,), *_) = json.loads(found.out)["rows"]
    return line.replace("{key}", key).replace("{other}", sha256(b"another").hexdigest())


def _errors(text: str) -> list[str]:
    """Standard error without the log and the warning that only this account gets."""
    return [
        one for one in text.splitlines() if not one.startswith(("{", "warning: running as root"))
    ]


def _shortened(lines: list[str]) -> list[str]:
    short = [one if len(one) <= _WIDEST else f"{one[: _WIDEST - 1].rstrip()}…" for one in lines]
    return short if len(short) <= _LONGEST else [*short[: _LONGEST - 1], "…"]


def _masked(text: str, folder: Path) -> str:
    """What differs from run to run and from machine to machine as placeholders."""
    text = "\n\n".join(_moved(block, str(folder)) for block in text.split("\n\n"))
    today = datetime.now(UTC)
    days = "|".join(str((today + timedelta(days=d)).date()) for d in (-1, 0, 1))
    for pattern, placeholder in (
        (rf"({days})[T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?UTC|Z|\+00:00)?", "<time>"),
        (rf"({days})", "<day>"),
        (rf"{re.escape(socket.gethostname())}\S*", "<worker>"),
        (rf"\b{re.escape(getpass.getuser())}\b", "<account>"),
        (r"\d+(\.\d+)? s ago", "<time> ago"),
        (r"[\d.]+ [KMGT]iB free", "<size> free"),
        (r"within \d\.\de[+-]\d\d", "within <difference>"),
        (r'\{"lxml".*\}', "<versions>"),
        (r"(?m)^.*\bnet_conver(?:sion|ted)\b.*\n", ""),  # only where the cache has no such net yet
        (r"(?m)^\d {2}(?= +2025-08-17 09:15:11)", "<n>"),  # numbered as they end
        (r"(?<=head: )[0-9a-f]{64}", "<hash>"),
        (r"(?<=to backbone\ndigest )[0-9a-f]{64}", "<digest>"),
    ):
        text = re.sub(pattern, partial(_placed, placeholder), text)
    return "\n".join(one.rstrip() for one in text.splitlines())


def _moved(block: str, folder: str) -> str:
    """The scratch folder as /srv/ecg; the column that it stands in gets that much narrower."""
    at = next((one.index(folder) for one in block.splitlines() if folder in one), None)
    if at is None:
        return block
    start, end = at + len(_SHOWN_FOLDER), at + len(folder)
    return "\n".join(
        f"{one[:at]}{_SHOWN_FOLDER}{one[end:]}" if folder in one else one[:start] + one[end:]
        for one in block.splitlines()
    )


def _placed(placeholder: str, found: re.Match[str]) -> str:
    """The placeholder, inside a table as wide as what it stands for."""
    text = found.expand(placeholder)
    in_table = found.string[found.end() : found.end() + 2] == "  "
    return text.ljust(len(found[0])) if in_table else text


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    fresh = run()
    for old in FOLDER.glob("*.txt"):
        old.unlink()
    for command, text in fresh.items():
        path_of(command).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    write()
