"""`ecgbatch patient` as an operator has it: identifiers come in by file, and go nowhere."""

import shutil
from pathlib import Path

import pytest

from ecgbatch.identity import Pseudonymiser, load_site_key
from tests.cli.command import Ended, ecgbatch, rows
from tests.support.ecgs import SAMPLES

FIRST, SECOND = "MRN-7731-FIRST", "MRN-7731-SECOND"


@pytest.fixture(scope="module")
def two_patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scored database: one ECG of each of the two."""
    folder = tmp_path_factory.mktemp("patients")
    (folder / "in").mkdir()
    for sample, patient, identifier in (
        ("guangxi_teaching_sinus_rhythm.xml", "00000000", FIRST),
        ("synthetic_muse.xml", "SYNTH0001", SECOND),
    ):
        text = (SAMPLES / "muse" / sample).read_text(encoding="utf-8")
        stated = f"<PatientID>{patient}<"
        assert stated in text
        (folder / "in" / sample).write_text(text.replace(stated, f"<PatientID>{identifier}<"))
    done = ecgbatch("run-once", "--source", folder / "in", "--db", _db(folder), "--settle", 0)
    assert "scored 2" in done.out, done.out + done.err
    return folder


@pytest.fixture
def folder(two_patients: Path, tmp_path: Path) -> Path:
    for name in ("ecg.db", "ecg.key"):
        shutil.copy2(two_patients / name, tmp_path / name)
    return tmp_path


def _db(folder: Path) -> str:
    return f"sqlite:///{folder / 'ecg.db'}"


def _patient(folder: Path, act: str, text: str | bytes, *more: object) -> Ended:
    file = folder / "identifiers.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    file.chmod(0o600)
    options = ("--file", file, "--db", _db(folder), "--reason", "ADT A40")
    return ecgbatch("patient", act, *options, *more)


def _key(folder: Path, identifier: str, authority: str = "local") -> str:
    key = Pseudonymiser(load_site_key(folder / "ecg.key"), authority, ()).patient_key(identifier)
    assert key is not None
    return key


def _shown(folder: Path) -> list[str]:
    return sorted(
        row["patient_key"]
        for row in rows(folder / "ecg.db", "SELECT patient_key FROM v_latest_risk")
    )


def test_merge_look_up_and_unmerge(folder: Path) -> None:
    first, second = _key(folder, FIRST), _key(folder, SECOND)
    apart = _shown(folder)

    merged = _patient(folder, "merge", f"{FIRST}\t{SECOND}\n", "--json")
    together = _shown(folder)
    found = _patient(folder, "lookup", FIRST, "--json")
    parted = _patient(folder, "unmerge", FIRST)

    assert (merged.exit_code, merged.json) == (0, {"merged": 1, "recordings": [1]})
    assert apart == sorted([first, second])
    assert together == [second, second]
    (patient,) = found.json["patients"]
    assert (patient["current_key"], patient["keys"]) == (second, [second, first])
    assert [one["dispositions"] for one in patient["recordings"]] == [["scored"], ["scored"]]
    assert parted.exit_code == 0
    assert _shown(folder) == apart


def test_the_audit_and_every_output_hold_pseudonyms_alone(folder: Path) -> None:
    ended = [
        _patient(folder, "merge", f"{FIRST}\t{SECOND}\n"),
        _patient(folder, "lookup", FIRST),
        _patient(folder, "merge", f"{FIRST}\t{SECOND}\n"),
        _patient(folder, "unmerge", FIRST, "--json"),
        _patient(folder, "merge", f"{FIRST}\t0000\n"),
        _patient(folder, "merge", f"{FIRST} {SECOND}\n"),
        ecgbatch("patient", "lookup", "--key", FIRST, "--reason", "x", "--db", _db(folder)),
    ]

    assert [one.exit_code for one in ended] == [0, 0, 2, 0, 2, 2, 2]
    assert not any("MRN-7731" in one.out + one.err for one in ended)
    kept = rows(folder / "ecg.db", "SELECT * FROM audit ORDER BY audit_id")
    first, second = _key(folder, FIRST), _key(folder, SECOND)
    assert [(row["act"], row["selector"], row["count"]) for row in kept] == [
        ("patient merge", f"patient={first} into={second}", 1),
        ("patient lookup", f"patient={first}", 2),
        ("patient unmerge", f"patient={first}", 1),
    ]
    assert b"MRN-7731" not in (folder / "ecg.db").read_bytes()


def test_one_bad_line_undoes_the_others(folder: Path) -> None:
    apart = _shown(folder)

    ended = _patient(folder, "merge", f"{FIRST}\t{SECOND}\n{SECOND}\t{FIRST}\n")

    assert ended.exit_code == 2
    assert "patient_merge_refused" in ended.err
    assert _shown(folder) == apart
    assert rows(folder / "ecg.db", "SELECT * FROM audit") == []


@pytest.mark.parametrize("text", ["", "\n\n", "000-000\n", "Unknown\n", "a\tb\n", b"\xff\xfe\n"])
def test_what_names_nobody_is_refused(folder: Path, text: str | bytes) -> None:
    assert _patient(folder, "lookup", text).exit_code == 2
    assert rows(folder / "ecg.db", "SELECT * FROM audit") == []


def test_identifiers_of_another_authority_are_other_patients(folder: Path) -> None:
    elsewhere = _patient(folder, "lookup", FIRST, "--authority", "elsewhere", "--json")

    assert elsewhere.json["patients"][0]["current_key"] == _key(folder, FIRST, "elsewhere")
    assert elsewhere.json["patients"][0]["recordings"] == []


def test_pseudonyms_may_be_arguments(folder: Path) -> None:
    first, second = _key(folder, FIRST), _key(folder, SECOND)
    common = ("--db", _db(folder), "--reason", "ADT A40")

    merged = ecgbatch("patient", "merge", "--key", first, second, *common)

    assert merged.exit_code == 0
    assert _shown(folder) == [second, second]
    assert ecgbatch("patient", "unmerge", "--key", first, *common).exit_code == 0


def test_a_file_that_others_can_read_is_warned_of(folder: Path) -> None:
    file = folder / "open.txt"
    file.write_text(FIRST)
    file.chmod(0o644)
    common = ("--db", _db(folder), "--reason", "asked")

    ended = ecgbatch("patient", "lookup", "--file", file, *common)

    assert ended.exit_code == 0
    assert "others can read" in ended.err
    assert "others can read" not in _patient(folder, "lookup", FIRST).err


def test_a_reason_is_needed_and_says_something(folder: Path) -> None:
    ended = _patient(folder, "lookup", FIRST, "--reason", "  ")

    assert ended.exit_code == 2
    assert rows(folder / "ecg.db", "SELECT * FROM audit") == []


def test_without_a_key_nothing_is_made(folder: Path) -> None:
    empty = folder / "empty"
    empty.mkdir()
    ecgbatch("migrate", "--db", _db(empty))

    ended = _patient(empty, "lookup", FIRST)

    assert ended.exit_code == 4
    assert "site_key_missing" in ended.err
    assert not (empty / "ecg.key").exists()
