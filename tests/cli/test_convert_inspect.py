"""`formats`, `convert` and `inspect` as a user types them; truth from other decoders."""

import json
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyarrow import parquet

from ecgbatch.array_files import wfdb_gain
from ecgbatch.errors import Refusal
from ecgbatch.readers.registry import READERS
from ecgbatch.records import Millivolts
from ecgbatch.terms import LEADS
from tests.cli.command import Ended, ecgbatch
from tests.support.ecgs import MUSE, SAMPLES, heartbeats, write_muse, write_wfdb

_TRUTH = Path(__file__).parents[1] / "data" / "samples"
_AT_500_HZ = ("A0001", "E07500", "HR06000", "JS20000")


def _truth(name: str) -> Millivolts:
    """(12, 5000) in mV, rows in LEADS order, as an independent decoder read it."""
    kind = "wfdb" if name in _AT_500_HZ else "muse"
    known = np.load(_TRUTH / kind / f"{name}.expected.npz")
    order = [[lead.upper() for lead in known["leads"]].index(name.upper()) for name in LEADS]
    truth: Millivolts = known["signal_mv"][order, :5000]
    return truth


def _convert(kind: str, out: Path, *inputs: Path, **options: bool) -> Ended:
    flags = [f"--{name.replace('_', '-')}" for name, is_set in options.items() if is_set]
    return ecgbatch("convert", *inputs, "--out", out, "--to", kind, "--json", *flags)


def _nearest(found: NDArray[np.float32], names: tuple[str, ...]) -> tuple[str, float]:
    """Which of the samples it is, and how far from its truth, mV."""
    errors = {name: float(np.abs(found - _truth(name)).max()) for name in names}
    return min(errors.items(), key=lambda pair: pair[1])


def test_formats_names_every_reader_with_its_evidence_and_the_refused_formats() -> None:
    ended = ecgbatch("formats", "--json")

    assert ended.exit_code == 0
    assert [one["reader"] for one in ended.json["read"]] == [entry.name for entry in READERS]
    evidence = {one["reader"]: one["evidence"] for one in ended.json["read"]}
    assert evidence["muse"] == "real samples"
    assert evidence["schiller"] == "specification"
    assert {"ISHNE Holter", "MFER", "PDF"} <= {one["title"] for one in ended.json["refused"]}


def test_folder_becomes_wfdb_records_that_the_wfdb_library_reads_back(tmp_path: Path) -> None:
    ended = _convert("wfdb", tmp_path, SAMPLES)

    assert ended.exit_code == 0, ended.err
    assert len(ended.json["converted"]) == 7
    names = (*_AT_500_HZ, "guangxi_teaching_sinus_rhythm")
    found = {}
    for header in tmp_path.glob("*.hea"):
        record = wfdb.rdrecord(str(header.with_suffix("")))
        assert (record.fs, record.sig_name, record.units) == (500, list(LEADS), ["mV"] * 12)
        assert record.p_signal.shape == (5000, 12)
        name, error_mv = _nearest(record.p_signal.T.astype(np.float32), names)
        if error_mv <= 0.5 / min(record.adc_gain) + 1e-6:
            found[name] = header.stem
    assert sorted(found) == sorted(names)

    # Named by digest alone; what is beside them says nothing of who it is.
    assert all(len(path.stem) == 64 for path in tmp_path.iterdir())
    beside = json.loads((tmp_path / f"{found['A0001']}.json").read_text())
    assert beside["leads"] == list(LEADS)
    assert (beside["recorded_samples"], beside["recorded_sampling_frequency"]) == (7500, 500.0)
    everything = "".join(path.read_text() for path in tmp_path.glob("*.json"))
    assert not {"age_years", "acquired_at", "patient_identifier"} & set(everything.split('"'))


@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_array_is_the_first_ten_seconds_as_other_decoders_read_them(
    kind: str, tmp_path: Path
) -> None:
    ended = _convert(kind, tmp_path, MUSE, SAMPLES / "wfdb" / "A0001.hea")

    assert ended.exit_code == 0, ended.err
    for name, one in zip((MUSE.stem, "A0001"), ended.json["converted"], strict=True):
        path = tmp_path / one["array"]
        if kind == "npy":
            found = np.load(path, allow_pickle=False)
        else:
            table = parquet.read_table(path)
            assert table.column_names == list(LEADS)
            known = json.loads(table.schema.metadata[b"ecgbatch"])
            assert (known["unit"], known["sampling_frequency"]) == ("mV", 500.0)
            assert known["file_digest"] == path.stem
            found = np.stack([column.to_numpy() for column in table.columns])
        assert (found.shape, found.dtype) == ((12, 5000), np.dtype(np.float32))
        assert np.abs(found - _truth(name)).max() < 1e-6


def test_array_and_its_sidecar_are_read_again_as_an_ecg(tmp_path: Path) -> None:
    first = _convert("npy", tmp_path, MUSE).json["converted"][0]["array"]
    ended = ecgbatch("inspect", tmp_path / first, "--json")

    assert ended.exit_code == 0, ended.err
    assert (ended.json["format"], ended.json["stored_leads"]) == ("npy", list(LEADS))


def test_each_refused_ecg_has_a_line_and_the_others_are_converted(tmp_path: Path) -> None:
    inbox, out = tmp_path / "inbox", tmp_path / "inbox" / "out"
    inbox.mkdir()
    write_muse(inbox, "doe-jane-1947.xml").write_bytes(MUSE.read_bytes()[:-30_000])
    write_wfdb(inbox, "short", heartbeats(1, 4000))
    write_wfdb(inbox, "seven", heartbeats(2)[:7], LEADS[:7])
    write_wfdb(inbox, "whole", heartbeats(3))
    typed = tmp_path / "letter.txt"
    typed.write_text("no ECG")

    ended = _convert("npy", out, inbox, typed)

    assert ended.exit_code == 1
    assert len(ended.json["converted"]) == 1
    reasons = [one["reason"] for one in ended.json["refused"]]
    assert sorted(reasons) == ["format_unknown", "incomplete", "lead_missing", "too_short"]
    lines = [line for line in ended.err.splitlines() if not line.startswith("warning")]
    assert len(lines) == 4
    assert str(typed) in ended.err
    assert "doe-jane" not in ended.err + ended.out

    # Asked for, the places are named; and what was written there is no input.
    again = _convert("npy", out, inbox, with_places=True)
    assert "doe-jane-1947.xml" in again.err
    assert (len(again.json["converted"]), len(again.json["refused"])) == (1, 3)


def test_findings_refuse_only_with_strict(tmp_path: Path) -> None:
    signal = heartbeats(4)
    signal[8] = 0.25
    header = write_wfdb(tmp_path, "flat", signal)

    lenient = _convert("npy", tmp_path / "out", header)
    strict = _convert("npy", tmp_path / "strict", header, strict=True)

    assert lenient.exit_code == 0
    assert "lead_flat" in lenient.json["converted"][0]["findings"]
    (written,) = (path for path in (tmp_path / "out").glob("*.json") if path.stem.isalnum())
    found = json.loads(written.read_text())["findings"]
    assert any((one["reason"], one["lead"]) == ("lead_flat", "V3") for one in found)
    assert strict.exit_code == 1
    assert [one["reason"] for one in strict.json["refused"]] == ["lead_flat"]
    assert list((tmp_path / "strict").iterdir()) == []


def test_inspect_says_what_was_understood_and_hides_who_it_is(tmp_path: Path) -> None:
    picture = tmp_path / "page.svg"

    hidden = ecgbatch("inspect", MUSE, "--plot", picture)
    shown = ecgbatch("inspect", MUSE, "--with-identity", "--json")

    assert (hidden.exit_code, shown.exit_code) == (0, 0), hidden.err
    for text in ("muse", "III aVR aVL aVF", "500.0", "4.88", "MAC P 51", "age_under_18"):
        assert text in hidden.out
    identity = shown.json["identity"]
    assert identity["acquired_at"]
    assert identity["patient_identifier"]
    for name in ("patient_identifier", "acquired_at", "age_years", "sex", "site", "order_number"):
        if identity[name] is not None:
            assert f"{name.replace('_', ' '):<20}in the file, hidden" in hidden.out
            assert f" {identity[name]}\n" not in hidden.out
    assert picture.read_text().startswith("<?xml")


def test_inspect_of_what_no_reader_reads_exits_1_with_the_reason(tmp_path: Path) -> None:
    page = tmp_path / "report.pdf"
    page.write_bytes(b"%PDF-1.7\n")

    ended = ecgbatch("inspect", page, "--json", "--plot", tmp_path / "page.png")

    assert ended.exit_code == 1
    assert ended.json["refused"]["reason"] == "format_pdf"
    assert ended.err.splitlines()[-1].startswith(f"{page}: format_pdf")
    assert not (tmp_path / "page.png").exists()


def test_wrong_use_exits_2(tmp_path: Path) -> None:
    assert ecgbatch("inspect", tmp_path / "absent.xml").exit_code == 2
    assert ecgbatch("inspect", MUSE, "--plot", tmp_path / "page.jpg").exit_code == 2
    assert ecgbatch("convert", MUSE, "--out", tmp_path, "--to", "mat").exit_code == 2


@given(peak_mv=st.floats(0, 3e6))
def test_wfdb_gain_keeps_16_bits_and_wastes_at_most_a_factor_of_two_and_a_half(
    peak_mv: float,
) -> None:
    gain = wfdb_gain(peak_mv)
    assert gain * peak_mv <= 32767
    assert gain == 10_000 or gain * peak_mv * 2.51 > 32767


def test_amplitude_beyond_wfdb_is_refused() -> None:
    with pytest.raises(Refusal):
        wfdb_gain(1e9)
