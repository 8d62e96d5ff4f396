"""The synthetic cohort as files: what readers get back, and what a kill leaves."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wfdb
from click.testing import CliRunner

from ecgbatch.errors import SetupFault
from ecgbatch.quality.checks import check, refusal
from ecgbatch.readers.registry import decode
from ecgbatch.records import Member, Recording, RecordingBytes
from ecgbatch.settings import load_settings
from ecgbatch.terms import LEADS, Vessel
from tests.support.experiments import COLUMNS
from training.cli.main import main
from training.records import Progress
from training.settings.cohort import CohortSettings, load_cohort
from training.synthetic import files, manifest
from training.synthetic.cohort import SyntheticEcg, cohort
from training.synthetic.device import counts_per_mv
from training.synthetic.files import write_cohort
from training.synthetic.muse_export import muse_export
from training.synthetic.wfdb_record import wfdb_record

EXAMPLE = Path(__file__).parents[2] / "docs" / "training" / "synthetic.md"


def silent(_what: str, _done: int, _total: int) -> None:
    return None


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> CohortSettings:
    """Those that the documentation shows."""
    text = EXAMPLE.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    place = tmp_path_factory.mktemp("settings") / "cohort.toml"
    place.write_text(text, encoding="utf-8")
    return load_cohort(place).model_copy(update={"n_patients": 30})


@pytest.fixture(scope="module")
def ecgs(settings: CohortSettings) -> list[SyntheticEcg]:
    return list(cohort(settings))


def of_muse(ecg: SyntheticEcg) -> Recording:
    return decode(RecordingBytes((Member("one.xml", muse_export(ecg)),)))


def of_wfdb(ecg: SyntheticEcg) -> Recording:
    written = wfdb_record(ecg)
    members = (".hea", ".dat")
    return decode(
        RecordingBytes(tuple(Member(f"{ecg.name}{suffix}", written[suffix]) for suffix in members))
    )


def test_both_files_of_an_ecg_are_read_back_to_the_count(ecgs: list[SyntheticEcg]) -> None:
    assert {ecg.device.name for ecg in ecgs[:12]} == {"cart A", "cart B", "cart C"}
    for ecg in ecgs[:12]:
        for found in (of_muse(ecg), of_wfdb(ecg)):
            assert found.lead_names == LEADS
            assert found.sampling_frequency == 500.0
            assert np.abs(found.signal - ecg.signal).max() < 1e-12
            again = found.signal * counts_per_mv(ecg.device)
            assert np.array_equal(np.rint(again), ecg.counts)


def test_both_files_say_who_and_when(ecgs: list[SyntheticEcg]) -> None:
    for ecg in ecgs[:12]:
        muse, record = of_muse(ecg), of_wfdb(ecg)
        for identity in (muse.identity, record.identity):
            assert identity.patient_identifier == ecg.patient.patient_id
            assert identity.acquired_at == ecg.acquired_at
            assert identity.sex == ecg.patient.sex
            assert identity.age_years == round(ecg.age_years)
        assert (muse.identity.device, muse.identity.site) == (ecg.device.name, ecg.device.site)
        assert muse.statement_normal == ecg.statement_normal


def test_a_muse_export_has_a_crc_for_every_lead_and_a_median_beat_that_is_not_read(
    ecgs: list[SyntheticEcg],
) -> None:
    text = muse_export(ecgs[0]).decode("utf-8")

    assert text.count("<LeadData>") == 16
    assert text.index("<WaveformType>Median<") < text.index("<WaveformType>Rhythm<")
    assert "<LeadDataCRC32>0<" not in text
    assert of_muse(ecgs[0]).findings == ()
    assert of_muse(ecgs[0]).derived_leads == ("III", "aVR", "aVL", "aVF")


def test_names_from_the_settings_cannot_break_the_document(ecgs: list[SyntheticEcg]) -> None:
    named = ecgs[0].device.model_copy(update={"site": "A & <B>"})
    assert of_muse(replace(ecgs[0], device=named)).identity.site == "A & <B>"


def test_the_wfdb_library_reads_the_same(tmp_path: Path, ecgs: list[SyntheticEcg]) -> None:
    for ecg in ecgs[:3]:
        for suffix, content in wfdb_record(ecg).items():
            (tmp_path / f"{ecg.name}{suffix}").write_bytes(content)
        record = wfdb.rdrecord(str(tmp_path / ecg.name))
        assert record.sig_name == list(LEADS)
        assert record.base_datetime == ecg.acquired_at
        assert np.abs(record.p_signal.T - ecg.signal).max() < 1e-12
        assert record.checksum == [int(total) % 65536 for total in ecg.counts.sum(axis=1)]


def test_the_gates_of_ecgbatch_let_them_pass(ecgs: list[SyntheticEcg]) -> None:
    gates = load_settings(environment={})
    for ecg in ecgs:
        findings = check(of_wfdb(ecg), gates.quality, gates.eligibility)
        assert refusal(findings) is None


def test_the_manifest_has_the_standard_columns_and_a_row_for_each_ecg(
    tmp_path: Path, settings: CohortSettings, ecgs: list[SyntheticEcg]
) -> None:
    few = settings.model_copy(update={"n_patients": 4})
    written = write_cohort(tmp_path / "out", few, silent)

    with (tmp_path / "out" / files.TABLE).open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    standard = {column for column in COLUMNS.values() if isinstance(column, str)} | set(Vessel)
    assert set(manifest.COLUMNS) == standard
    assert len(rows) == written.n_ecgs
    assert written.n_patients == 4
    assert 0 < written.n_muse < written.n_ecgs
    for row, ecg in zip(rows, ecgs, strict=False):
        assert (tmp_path / "out" / row["ecg_path"]).is_file()
        assert row["ecg_path"].endswith(".xml") == (ecg.file_format == "muse")
        assert row["patient_id"] == ecg.patient.patient_id
        assert row["ecg_at"] == ecg.acquired_at.isoformat()
        assert [row[vessel] for vessel in Vessel] == [grade or "" for grade in ecg.patient.grades]


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def cut_off_after(n_patients: int) -> Progress:
    def stop(_what: str, done: int, _total: int) -> None:
        if done == n_patients:
            raise KeyboardInterrupt

    return stop


def test_a_run_that_was_cut_off_goes_on_to_the_same_bytes(
    tmp_path: Path, settings: CohortSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_BLOCK", 2)
    few = settings.model_copy(update={"n_patients": 6})
    write_cohort(tmp_path / "whole", few, silent)
    with pytest.raises(KeyboardInterrupt):
        write_cohort(tmp_path / "cut", few, cut_off_after(3))
    assert not (tmp_path / "cut" / files.TABLE).exists()
    torn = min((tmp_path / "cut").rglob("SYN0000002_00.*"))
    torn.with_name(f".{torn.name}.part").write_bytes(b"half")
    torn.unlink()
    write_cohort(tmp_path / "cut", few, silent)

    assert content_of(tmp_path / "cut") == content_of(tmp_path / "whole")


def test_two_processes_write_what_one_writes(
    tmp_path: Path, settings: CohortSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = settings.model_copy(update={"n_patients": 24})
    monkeypatch.setattr(files, "_FEWEST_BLOCKS", 1)
    write_cohort(tmp_path / "two", few, silent, n_processes=2)
    write_cohort(tmp_path / "one", few, silent, n_processes=1)

    assert content_of(tmp_path / "two") == content_of(tmp_path / "one")


def test_a_larger_cohort_begins_with_the_smaller_one(
    tmp_path: Path, settings: CohortSettings
) -> None:
    for n_patients in (2, 3):
        few = settings.model_copy(update={"n_patients": n_patients})
        write_cohort(tmp_path / str(n_patients), few, silent)
    small, large = content_of(tmp_path / "2"), content_of(tmp_path / "3")

    assert large[files.TABLE].startswith(small[files.TABLE])
    for name in small.keys() - {files.TABLE, files.DESCRIPTION}:
        assert large[name] == small[name]


def test_a_finished_cohort_is_only_counted_and_another_one_refused(
    tmp_path: Path, settings: CohortSettings
) -> None:
    few = settings.model_copy(update={"n_patients": 2})
    first = write_cohort(tmp_path / "out", few, silent)
    before = content_of(tmp_path / "out")

    assert write_cohort(tmp_path / "out", few, silent) == first
    with pytest.raises(SetupFault, match="other settings"):
        write_cohort(tmp_path / "out", few.model_copy(update={"seed": 1}), silent)
    with pytest.raises(SetupFault, match="other settings"):
        write_cohort(tmp_path / "out", few, silent, formats="muse")
    assert content_of(tmp_path / "out") == before


def test_a_folder_with_something_in_it_is_not_written_into(
    tmp_path: Path, settings: CohortSettings
) -> None:
    (tmp_path / "other.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(SetupFault, match="not empty"):
        write_cohort(tmp_path, settings, silent)
    assert [path.name for path in tmp_path.iterdir()] == ["other.txt"]


@pytest.mark.parametrize("kind", ["wfdb", "muse"])
def test_the_command_writes_one_format_where_it_is_told_to(tmp_path: Path, kind: str) -> None:
    arguments = ["synthesise", "1", "--out", str(tmp_path / "out"), "--format", kind, "--json"]
    told = CliRunner().invoke(main, arguments)

    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout) == {
        "patients": 1,
        "ecgs": 1,
        "muse": int(kind == "muse"),
        "wfdb": int(kind == "wfdb"),
        "out": str(tmp_path / "out"),
        "manifest": "manifest.csv",
    }
