"""File names that break terminals, logs, shells and spreadsheets (S5)."""

import json
import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from tests.cli.command import Ended, ecgbatch, rows
from tests.support.ecgs import MUSE

NAMES = (
    b"new\nline.xml",
    b"carriage\rreturn.xml",
    b"\x1b[31mred\x1b[0m.xml",
    b"\x1b]0;title\x07.xml",
    b"tab\tand\x7f.xml",
    b"\xff\xfe\x80.xml",
    b"half\xc3.xml",
    b"\xed\xa0\x80surrogate.xml",
    "n\u00e9.xml".encode(),
    "ne\u0301.xml".encode(),
    "\u202egnp.xml".encode(),
    "\u5fc3\u7535\u56fe.xml".encode(),
    "\U0001fac0.xml".encode(),
    b"x" * 251 + b".xml",
    b"a::b.xml",
    b"*.xml",
    b"?.xml",
    b"[a-z].xml",
    b"-rf",
    b"--config.xml",
    b"=cmd|calc!A1.xml",
    b"+1+1.xml",
    b"@SUM(A1).xml",
    b"$(reboot).xml",
    b"`id`.xml",
    b"a;b&c|d.xml",
    b"quote'and\".xml",
    b"back\\slash.xml",
    b"%2e%2e%2fpasswd.xml",
    b" blank .xml",
)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Path]:
    """The first is an ECG, so that names reach every step; the others are not."""
    source = tmp_path_factory.mktemp("names")
    for name in NAMES:
        content = MUSE.read_bytes() if name is NAMES[0] else b"no ECG at all"
        with open(os.path.join(os.fsencode(source), name), "wb") as file:  # noqa: PTH118, PTH123
            file.write(content)
    database = source.parent / f"{source.name}.db"
    done = ecgbatch(
        *("run-once", "--settle", 0, "--json", "--source", source),
        *("--db", f"sqlite:///{database}"),
        ECGBATCH_LOG__LEVEL="debug",
    )
    return done, database


def is_safe(text: str) -> bool:
    """Nothing that a terminal acts on, and nothing that UTF-8 cannot say."""
    return text.isascii() and all(one.isprintable() for line in text.splitlines() for one in line)


def test_each_name_is_one_item_and_its_locator_leads_back_to_it(job: tuple[Ended, Path]) -> None:
    found = rows(job[1], "SELECT locator, disposition FROM v_disposition")

    assert len(NAMES) == 30
    assert {unquote_to_bytes(row["locator"]) for row in found} == set(NAMES)
    assert len(found) == len(NAMES)
    assert job[0].json["counts"]["scored"] == 1
    assert job[0].json["counts"]["unsupported"] == len(NAMES) - 1
    assert job[0].exit_code == 1


def test_every_line_of_the_log_is_json(job: tuple[Ended, Path]) -> None:
    lines = [line for line in job[0].err.splitlines() if line.startswith("{")]
    others = [line for line in job[0].err.splitlines() if not line.startswith("{")]

    events = [json.loads(line)["event"] for line in lines]
    assert events.count("not_scored") == len(NAMES) - 1
    assert {"run_started", "run_ended"} <= set(events)
    assert all(
        line.startswith(("created ", "first use: ", "warning: running as root")) for line in others
    ), others


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_list_of_failures_is_safe_to_print(
    job: tuple[Ended, Path], arguments: tuple[str, ...]
) -> None:
    listed = ecgbatch("status", "--failures", *arguments, "--db", f"sqlite:///{job[1]}")

    assert listed.exit_code == 1
    assert is_safe(listed.out)
    assert is_safe(listed.err)
    if arguments:
        assert len(listed.json["failures"]) == len(NAMES) - 1


def test_control_the_names_themselves_are_not_safe() -> None:
    unsafe = [name for name in NAMES if not is_safe(os.fsdecode(name))]

    assert len(unsafe) > 8
