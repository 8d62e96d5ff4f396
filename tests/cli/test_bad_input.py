"""What bad input gets: a reason, a sentence, no traceback; the other ECGs are still scored."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import Ended, ecgbatch, rows
from tests.support.ecgs import SAMPLES, heartbeats, write_muse, write_wfdb

_PRIVATE = "doe-jane-1947"


def _truncated_muse(folder: Path) -> None:
    path = write_muse(folder, "bad.xml")
    path.write_bytes(path.read_bytes()[:-30_000])


def _truncated_signal(folder: Path) -> None:
    header = write_wfdb(folder, "bad", heartbeats(1))
    signal = header.with_suffix(".dat")
    signal.write_bytes(signal.read_bytes()[:-1000])


def _longer_signal(folder: Path) -> None:
    header = write_wfdb(folder, "bad", heartbeats(1))
    signal = header.with_suffix(".dat")
    signal.write_bytes(signal.read_bytes() + b"\0" * 24)


def _header_alone(folder: Path) -> None:
    write_wfdb(folder, "bad", heartbeats(1)).with_suffix(".dat").unlink()


def _changed_sample(folder: Path) -> None:
    header = write_wfdb(folder, "bad", heartbeats(1))
    signal = header.with_suffix(".dat")
    content = bytearray(signal.read_bytes())
    content[5000] ^= 1
    signal.write_bytes(content)


def _nan(folder: Path) -> None:
    signal = heartbeats(1)
    signal[4, 100:200] = np.nan
    write_wfdb(folder, "bad", signal)


def _link(folder: Path) -> None:
    (folder / "bad.xml").symlink_to(SAMPLES / "muse" / "synthetic_muse.xml")


CASES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "random bytes": (
        lambda f: (f / "bad.xml").write_bytes(np.random.default_rng(0).bytes(4096)),
        "unsupported",
        "format_unknown",
    ),
    "another format": (
        lambda f: (f / "bad.json").write_text('{"ecg": [1, 2, 3]}'),
        "unsupported",
        "format_unknown",
    ),
    "several segments": (
        lambda f: (f / "bad.hea").write_text("bad/2 12 500 5000\nb1 2500\nb2 2500\n"),
        "unsupported",
        "wfdb_format_rare",
    ),
    "cut XML": (_truncated_muse, "waiting", "incomplete"),
    "short signal file": (_truncated_signal, "waiting", "incomplete"),
    "header without signal file": (_header_alone, "waiting", "incomplete"),
    "empty file": (lambda f: (f / "bad.xml").touch(), "waiting", "incomplete"),
    "long signal file": (_longer_signal, "failed", "size_mismatch"),
    "changed sample": (_changed_sample, "failed", "checksum_mismatch"),
    "unknown unit in WFDB": (
        lambda f: write_wfdb(f, "bad", heartbeats(1), units="mmHg"),
        "failed",
        "unit_unknown",
    ),
    "unknown unit in MUSE": (
        lambda f: write_muse(f, "bad.xml", ("MICROVOLTS", "FURLONGS")),
        "failed",
        "unit_unknown",
    ),
    "entities": (
        lambda f: write_muse(f, "bad.xml", ('SYSTEM "restecg.dtd"', '[<!ENTITY x "y">]')),
        "failed",
        "xml_entity",
    ),
    "link": (_link, "failed", "not_regular"),
    "three leads": (
        lambda f: write_wfdb(f, "bad", heartbeats(1)[:3], leads=("I", "II", "III")),
        "rejected",
        "lead_missing",
    ),
    "four seconds": (
        lambda f: write_wfdb(f, "bad", heartbeats(1, n_samples=2000)),
        "rejected",
        "too_short",
    ),
    "all zero": (
        lambda f: write_wfdb(f, "bad", np.zeros((12, 5000))),
        "rejected",
        "lead_flat",
    ),
    "marked as invalid": (_nan, "rejected", "invalid_samples"),
    "twenty times too large": (
        lambda f: write_wfdb(f, "bad", 20 * heartbeats(1)),
        "rejected",
        "amplitude_implausible",
    ),
    "median beat alone": (
        lambda f: write_muse(f, "bad.xml", ("<WaveformType>Rhythm", "<WaveformType>Median")),
        "rejected",
        "no_rhythm_waveform",
    ),
}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Path]:
    """All cases in one source, each in a folder of its own, beside two good ECGs."""
    source = tmp_path_factory.mktemp("source")
    for number, (make, _, _) in enumerate(CASES.values()):
        folder = source / f"{_PRIVATE}-{number:02}"
        folder.mkdir()
        make(folder)
    write_wfdb(source, "good", heartbeats(7))
    write_muse(source, "good.xml")
    database = source.parent / "bad-input.db"
    done = ecgbatch("run-once", "--source", source, "--db", f"sqlite:///{database}", "--settle", 0)
    return done, database


@pytest.mark.parametrize("case", CASES)
def test_bad_input_gets_its_reason(job: tuple[Ended, Path], case: str) -> None:
    _, disposition, reason = CASES[case]
    number = list(CASES).index(case)

    found = rows(
        job[1],
        f"SELECT disposition, reason FROM v_disposition WHERE locator LIKE '%-{number:02}/bad.%'",
    )

    assert found == [{"disposition": disposition, "reason": reason}]


def test_good_ones_are_scored_all_the_same(job: tuple[Ended, Path]) -> None:
    scored = rows(job[1], "SELECT locator FROM v_disposition WHERE disposition = 'scored'")

    assert sorted(row["locator"] for row in scored) == ["good.hea", "good.xml"]


def test_nothing_rejected_or_failed_has_a_score(job: tuple[Ended, Path]) -> None:
    found = rows(job[1], "SELECT outcome, count(*) AS n FROM result GROUP BY outcome")
    scores = rows(job[1], "SELECT count(*) AS n FROM score")

    assert {row["outcome"]: row["n"] for row in found} == {"scored": 2, "rejected": 6}
    assert scores[0]["n"] == 2 * 4


def test_every_reason_is_printed_with_what_to_do(job: tuple[Ended, Path]) -> None:
    done, _ = job

    assert done.exit_code == 1
    for _, disposition, reason in CASES.values():
        line = next(x for x in done.out.splitlines() if reason in x)
        assert disposition in line
        assert line.strip().endswith(".")


def test_no_place_or_name_leaves_by_the_log(job: tuple[Ended, Path]) -> None:
    done, _ = job

    assert _PRIVATE not in done.out + done.err
    assert "bad." not in done.err


def test_failures_name_the_place_for_operators(job: tuple[Ended, Path]) -> None:
    listed = ecgbatch("status", "--failures", "--db", f"sqlite:///{job[1]}")

    assert listed.exit_code == 1
    failed = [name for name, (_, d, _) in CASES.items() if d in {"failed", "unsupported"}]
    assert listed.out.count(_PRIVATE) >= len(failed)


def test_acknowledged_failures_no_longer_raise_the_exit_code(
    job: tuple[Ended, Path], tmp_path: Path
) -> None:
    database = tmp_path / "copy.db"
    database.write_bytes(job[1].read_bytes())
    url = f"sqlite:///{database}"
    reasons = {r for _, d, r in CASES.values() if d in {"failed", "unsupported"}}

    for reason in reasons:
        done = ecgbatch(
            "acknowledge", "--code", reason, "--reason", "known to the vendor", "--db", url
        )
        assert done.exit_code == 0

    assert ecgbatch("status", "--db", url).exit_code == 0
    assert {row["reason"] for row in rows(database, "SELECT * FROM audit")} == {
        "known to the vendor"
    }


def test_two_files_that_are_the_same_ecg_are_scored_once(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    write_muse(source, "first.xml")
    write_muse(source, "copy.xml")
    write_muse(source, "exported-again.xml", ("UTF-8", "utf-8"))
    database = tmp_path / "r.db"

    done = ecgbatch("run-once", "--source", source, "--db", f"sqlite:///{database}", "--settle", 0)

    assert done.exit_code == 0
    found = rows(
        database, "SELECT locator, disposition, reason FROM v_disposition ORDER BY item_id"
    )
    assert sorted(row["disposition"] for row in found) == ["duplicate", "scored", "superseded"]
    assert {row["reason"] for row in found} == {None, "same_bytes", "same_acquisition"}
    assert len(rows(database, "SELECT * FROM v_latest_risk")) == 1
