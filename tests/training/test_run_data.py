"""From files on disk to a cohort in a run folder: what is in it, what is not, and after a kill."""

import gzip
import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from ecgbatch.errors import SetupFault
from ecgbatch.preprocessing.apply import to_input
from ecgbatch.preprocessing.spec import preset
from ecgbatch.resources import demonstration
from ecgbatch.terms import ReasonCode
from tests.support.ecgs import heartbeats, write_muse, write_wfdb
from tests.support.manifests import COLUMNS, of_beats, row, settings, write_csv
from training.cli.main import main
from training.cli.prepared import opened_run
from training.data.prepare import BATCH
from training.data.run import open_run, prepare_run, read_mv
from training.folder import RunFolder
from training.records import Cohort
from training.settings.experiment import Experiment

_SAMPLES = demonstration("samples")
_REAL = Path(__file__).parents[1] / "data" / "samples"


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


def prepared(
    folder: Path, rows: list[dict[str, object]], of: Experiment | None = None, run: str = "run"
) -> tuple[Cohort, RunFolder]:
    manifest = write_csv(folder / "manifest.csv", rows)
    to = RunFolder(folder / run)
    return prepare_run(of or settings(), manifest, folder, to, folder / "cache", quiet), to


def exclusions(run: RunFolder) -> dict[int, str]:
    table = pd.read_parquet(run.excluded)
    return dict(zip(table["row"], table["reason"], strict=True))


@pytest.fixture
def beats(tmp_path: Path) -> list[dict[str, object]]:
    """Eight ECGs of four patients below `tmp_path`, and their rows."""
    return of_beats(tmp_path, 8)


def test_one_ecg_per_ccta_is_index_and_the_others_are_kept(
    tmp_path: Path, beats: list[dict[str, object]]
) -> None:
    cohort, run = prepared(tmp_path, beats)
    assert cohort.patients == tuple(f"p{1 + n // 2:06d}" for n in range(8))
    assert cohort.is_index.tolist() == [False, True] * 4
    assert cohort.labels[:, 0].tolist() == [0, 0, 1, 1] * 2
    assert cohort.experimental == ("LM", "LCX")
    # The manifest has neither column, the headers have.
    assert set(cohort.covariates["sex"]) == {"female"}
    assert set(cohort.covariates["age_years"]) == {61.0}
    assert cohort.covariates["gap_days"].tolist() == [4.0, 3.0] * 4
    stored = Cohort.load(run.cohort)
    pd.testing.assert_frame_equal(stored.covariates, cohort.covariates)
    np.testing.assert_array_equal(stored.labels, cohort.labels)


def test_the_arrays_are_what_ecgbatch_gives_its_net(
    tmp_path: Path, beats: list[dict[str, object]]
) -> None:
    cohort, run = prepared(tmp_path, beats)
    opened = open_run(run)
    assert opened.cohort.keys == cohort.keys
    stored = np.rint(heartbeats(5) * 1000) / 1000
    expected = to_input(stored, 500.0, preset("anyecg-ccta")).signal
    np.testing.assert_allclose(opened.inputs.take(np.array([5]))[0], expected, atol=1e-6)


def test_millivolts_come_back_unfiltered_and_what_has_changed_is_left_out(
    tmp_path: Path, beats: list[dict[str, object]]
) -> None:
    cohort, run = prepared(tmp_path, beats)
    write_wfdb(tmp_path / "ecg", "e0", heartbeats(77))
    read = partial(read_mv, run)
    (signal,) = read([cohort.keys[0], cohort.keys[3], "no such key"])
    np.testing.assert_allclose(signal, np.rint(heartbeats(3) * 1000) / 1000, atol=1e-9)
    moved = tmp_path / "moved"
    shutil.copytree(tmp_path / "ecg", moved / "ecg")
    assert len(list(read_mv(run, cohort.keys[1:3], root=moved))) == 2


def test_formats_of_ecgbatch_and_arrays_of_both_shapes_are_read(tmp_path: Path) -> None:
    for name in ("JS20000.hea", "JS20000.mat", "A0001.hea", "A0001.mat"):
        shutil.copy(_SAMPLES / "wfdb" / name, tmp_path)
    write_muse(tmp_path, "muse.xml")
    packed = (tmp_path / "muse.xml").read_bytes().replace(b"</RestingECG>", b"</RestingECG>\n")
    (tmp_path / "muse.xml.gz").write_bytes(gzip.compress(packed))
    shutil.copy(_REAL / "scp" / "ecgtoolkit_Example.scp", tmp_path)
    np.save(tmp_path / "wide.npy", heartbeats(1))
    np.save(tmp_path / "tall.npy", (heartbeats(2) * 1000).T.astype(np.int16))
    sidecar = {"sampling_frequency": 500, "unit": "uV", "leads": list(_leads())}
    (tmp_path / "tall.npy.json").write_text(json.dumps(sidecar), encoding="utf-8")
    names = (
        *("JS20000.hea", "A0001", "muse.xml", "muse.xml.gz", "ecgtoolkit_Example.scp"),
        *("wide.npy", "tall.npy"),
    )
    rows = [row(f"Q{n}", name, RCA="severe", ecg_at="") for n, name in enumerate(names)]
    of = settings(
        arrays={"sampling_frequency": 500.0, "unit": "mV"}, index_ecg="all", check_header=False
    )
    cohort, run = prepared(tmp_path, rows, of)
    # The MUSE export lies there twice, under two patients: nobody knows whose it is.
    assert exclusions(run) == {4: "two_patients", 5: "two_patients"}
    assert len(cohort) == 5
    taken = open_run(run).inputs.take(np.arange(5))
    wide = to_input(heartbeats(1), 500.0, preset("anyecg-ccta")).signal
    np.testing.assert_allclose(taken[3], wide, atol=1e-6)
    assert np.isfinite(taken).all()


def _leads() -> tuple[str, ...]:
    return ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def test_what_cannot_be_used_is_listed_with_row_and_reason_and_never_zero_filled(
    tmp_path: Path, beats: list[dict[str, object]]
) -> None:
    ecg = tmp_path / "ecg"
    (ecg / "e0.dat").write_bytes((ecg / "e0.dat").read_bytes()[:-100])
    flat = heartbeats(1)
    flat[7] = 0.0
    write_wfdb(ecg, "e1", flat)
    (ecg / "linked.hea").symlink_to(ecg / "e2.hea")
    (tmp_path / "aside").symlink_to(ecg)
    os.mkfifo(ecg / "pipe.xml")
    (ecg / "text.xml").write_text("hello", encoding="utf-8")
    np.save(ecg / "bare.npy", heartbeats(3))
    unusable = {
        "ecg/linked.hea": "not_regular",
        "aside/e2.hea": "not_regular",
        "ecg": "not_regular",
        "ecg/pipe.xml": "not_regular",
        "../secret.hea": "path_outside_root",
        "/etc/passwd": "path_outside_root",
        "ecg/none.hea": "gone",
        "ecg/text.xml": "format_unknown",
        "ecg/bare.npy": "unit_unknown",
        "": "no_ecg",
    }
    bad = [row("X", path) for path in unusable]
    unlabelled = row("Y", "ecg/e2.hea", **dict.fromkeys(("RCA", "LM", "LAD", "LCX"), ""))
    cohort, run = prepared(tmp_path, [*beats, *bad, unlabelled])
    expected = {2: "incomplete", 3: "lead_flat", **dict(enumerate(unusable.values(), 10))}
    assert exclusions(run) == {**expected, 20: "no_label"}
    assert len(cohort) == 6
    report = json.loads(run.data_report.read_text())
    assert report["rows"] == len(cohort) + sum(report["excluded"].values())


def test_what_the_gates_flag_is_counted_but_stays(tmp_path: Path) -> None:
    large = heartbeats(1) * 5
    write_wfdb(tmp_path, "large", large, comments=("age: 15",))
    write_wfdb(tmp_path, "plain", heartbeats(2))
    rows = [row("a", "large", RCA="severe"), row("b", "plain")]
    cohort, run = prepared(tmp_path, rows)
    report = json.loads(run.data_report.read_text())
    assert len(cohort) == 2
    assert (report["flags"]["age_under_18"], report["flags"]["unit_suspected"]) == (1, 1)
    assert any("outside the intended use" in note for note in report["notes"])


def test_a_header_of_another_patient_or_time_excludes_its_ecg(tmp_path: Path) -> None:
    write_muse(tmp_path, "a.xml", ("<PatientID>00000000<", "<PatientID>A7<"))
    write_wfdb(tmp_path, "b", heartbeats(1), comments=("subject_id: 0012",))
    write_wfdb(tmp_path, "c", heartbeats(2), comments=("subject_id: 0013",))
    write_wfdb(tmp_path, "d", heartbeats(3), comments=("subject_id: unknown",))
    rows = [
        row("a7", "a.xml", ecg_at="2001-01-01", ccta_at="2001-01-02"),
        row("12", "b.hea", RCA="severe"),
        row("12", "c.hea", RCA="severe"),
        row("14", "d.hea"),
    ]
    cohort, run = prepared(tmp_path, rows)
    assert exclusions(run) == {2: "header_time_differs", 4: "header_patient_differs"}
    unchecked, _ = prepared(tmp_path, rows, settings(check_header=False), run="unchecked")
    assert (len(cohort), len(unchecked)) == (2, 4)


def test_one_ecg_in_several_rows(tmp_path: Path, beats: list[dict[str, object]]) -> None:
    shutil.copy(tmp_path / "ecg" / "e6.dat", tmp_path / "ecg" / "f6.dat")
    header = (tmp_path / "ecg" / "e6.hea").read_text().replace("e6", "f6")
    (tmp_path / "ecg" / "f6.hea").write_text(header + "#Sx: other bytes\n", encoding="utf-8")
    same = {**beats[0], "ccta_at": "2020-01-03"}
    copied = {**beats[6], "ecg_path": "ecg/f6.hea", "patient_id": "Z"}
    contradicting = [beats[2], {**beats[3], "LAD": "none"}]
    rows = [*beats[:2], *contradicting, *beats[4:8], same, copied, beats[4]]
    cohort, run = prepared(tmp_path, rows, settings(check_header=False))
    assert exclusions(run) == {
        2: "duplicate",  # of row 10, whose CCTA is nearer
        4: "grades_contradict",
        5: "grades_contradict",
        8: "two_patients",
        11: "two_patients",
        12: "duplicate",
    }
    assert len(cohort) == len(set(cohort.keys)) == 5


@pytest.mark.parametrize("ways", [("12", "0012"), ("a7", "A7"), ("7", "７"), ("A 7", "A7")])
def test_a_patient_written_in_two_ways_is_one_patient(
    ways: tuple[str, str], tmp_path: Path, beats: list[dict[str, object]]
) -> None:
    beats[0]["patient_id"], beats[1]["patient_id"] = ways
    cohort, run = prepared(tmp_path, beats, settings(check_header=False))
    assert cohort.patients == tuple(f"p{1 + n // 2:06d}" for n in range(8))
    assert cohort.is_index.tolist() == [False, True] * 4
    notes = json.loads(run.data_report.read_text("utf-8"))["notes"]
    assert any(note.startswith("1 patients are written in two ways") for note in notes)


def test_a_revascularisation_in_one_row_counts_for_every_ecg_of_its_patient(
    tmp_path: Path, beats: list[dict[str, object]]
) -> None:
    rows = [{**one, "stent": "2020-01-02" if n == 0 else ""} for n, one in enumerate(beats)]
    of = settings(columns={**COLUMNS, "revascularised_at": "stent"})
    cohort, _ = prepared(tmp_path, rows, of)
    assert cohort.is_index.tolist() == [True, False] + [False, True] * 3


def test_a_ccta_with_its_time_in_one_row_and_its_day_in_another_is_one(
    tmp_path: Path, beats: list[dict[str, object]]
) -> None:
    beats[1]["ccta_at"] = "2020-01-05 10:30"
    cohort, _ = prepared(tmp_path, beats)
    assert cohort.is_index.tolist() == [False, True] * 4


def test_grades_that_contradict_are_found_where_a_signed_gap_dates_the_ccta(
    tmp_path: Path, beats: list[dict[str, object]]
) -> None:
    rows: list[dict[str, object]] = [
        {**one, "gap": 4 - n % 2, "LCX": "severe" if n == 1 else "none"}
        for n, one in enumerate(beats)
    ]
    columns = {name: column for name, column in COLUMNS.items() if name != "ccta_at"}
    of = settings(columns={**columns, "gap_days": "gap"}, gap_is="signed")
    _, run = prepared(tmp_path, rows, of)
    assert exclusions(run) == {2: "grades_contradict", 3: "grades_contradict"}


def test_after_a_kill_it_goes_on_to_the_same_files(tmp_path: Path) -> None:
    rows = of_beats(tmp_path, BATCH + 4)
    manifest = write_csv(tmp_path / "manifest.csv", rows)
    whole, killed = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "killed")

    def kill(what: str, done: int, total: int) -> None:
        if done == BATCH + 3:
            raise KeyboardInterrupt

    prepare = partial(prepare_run, settings(), manifest, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        prepare(killed, None, kill)
    assert not killed.cohort.exists()
    n_kept = cached_lines(killed)
    prepare(killed, None, quiet)
    prepare(whole, None, quiet)
    assert (n_kept, cached_lines(killed)) == (BATCH, len(rows))
    assert everything(killed) == everything(whole)
    before = everything(whole)
    prepare(whole, None, quiet)
    assert everything(whole) == before


def cached_lines(run: RunFolder) -> int:
    return sum(path.read_bytes().count(b"\n") for path in run.cache.glob("*/index"))


def everything(run: RunFolder) -> dict[str, Any]:
    """All files of the run beside its cache, and the arrays in the cohort's order."""
    found: dict[str, Any] = {
        path.name: path.read_bytes()
        for path in run.path.rglob("*")
        if path.is_file() and run.cache not in path.parents
    }
    opened = open_run(run)
    found["arrays"] = opened.inputs.take(np.arange(len(opened.cohort))).tobytes()
    return found


def test_a_run_folder_of_other_settings_another_manifest_or_other_ecgs_is_refused(
    tmp_path: Path, beats: list[dict[str, object]]
) -> None:
    prepared(tmp_path, beats)
    assert "data.most_gap_days" in refusal(tmp_path, beats, settings(most_gap_days=9.0))
    assert "another manifest" in refusal(tmp_path, beats[:6])
    write_wfdb(tmp_path / "ecg", "e0", heartbeats(77))
    assert "not those that the run was made from" in refusal(tmp_path, beats)


def refusal(folder: Path, rows: list[dict[str, object]], of: Experiment | None = None) -> str:
    with pytest.raises(SetupFault) as refused:
        prepared(folder, rows, of)
    assert refused.value.reason is ReasonCode.SETTINGS_INVALID
    return refused.value.detail


def test_wrong_settings_do_not_claim_a_run_folder(
    tmp_path: Path, beats: list[dict[str, object]]
) -> None:
    manifest = write_csv(tmp_path / "manifest.csv", beats)
    run = RunFolder(tmp_path / "run")
    wrong = settings(columns={**COLUMNS, "sex": "no such column"})
    with pytest.raises(SetupFault, match="no such column"):
        prepare_run(wrong, manifest, tmp_path, run, None, quiet)
    assert len(prepare_run(settings(), manifest, tmp_path, run, None, quiet)) == 8


def test_a_run_stops_only_where_no_vessel_is_left(
    tmp_path: Path, beats: list[dict[str, object]]
) -> None:
    few = settings(labels={"fewest_positives": 3})
    said = refusal(tmp_path, beats, few)
    assert said.startswith("no vessel is left")


def test_what_cannot_place_an_ecg_before_its_ccta_is_said(
    tmp_path: Path, beats: list[dict[str, object]]
) -> None:
    columns = {name: column for name, column in COLUMNS.items() if not name.endswith("_at")}
    assert "data.columns.ccta_at" in refusal(tmp_path, beats, settings(columns=columns))
    rows = [{**one, "gap": "3"} for one in beats]
    of = partial(settings, columns={**columns, "gap_days": "gap"})
    with pytest.raises(SetupFault, match="8 x an absolute gap cannot tell before from after"):
        prepared(tmp_path, rows, of())
    signed, _ = prepared(tmp_path, rows, of(gap_is="signed"), run="signed")
    nearest, _ = prepared(tmp_path, rows, of(index_ecg="nearest"), run="nearest")
    assert signed.is_index.sum() == nearest.is_index.sum() == 4


def test_nothing_leads_back_to_a_patient_but_the_private_file(
    tmp_path: Path, beats: list[dict[str, object]]
) -> None:
    rows = [{**one, "patient_id": f"ZQP{one['patient_id']}"} for one in beats]
    _, run = prepared(tmp_path, rows, settings(check_header=False))
    private = pd.read_parquet(run.private)
    assert private["identifier"].tolist() == [one["patient_id"] for one in rows]
    assert (run.private.stat().st_mode | run.place.stat().st_mode) & 0o077 == 0
    for path in run.path.rglob("*"):
        if path.is_file() and path != run.private:
            assert b"ZQP" not in path.read_bytes(), path.name
            assert b"subject" not in path.read_bytes(), path.name


def test_fit_opens_what_is_prepared_and_prepares_what_is_not(
    tmp_path: Path, beats: list[dict[str, object]]
) -> None:
    manifest = write_csv(tmp_path / "manifest.csv", beats)
    config = tmp_path / "experiment.toml"
    config.write_text(toml_of(settings().model_dump(mode="json", exclude_none=True)))
    run = RunFolder(tmp_path / "run")
    opened = partial(opened_run, run, quiet, root=None, cache=None)
    with pytest.raises(SetupFault, match="give --config and --manifest"):
        opened(config=config, manifest=None)
    # The other place of the cache is remembered.
    cache = tmp_path / "elsewhere"
    first = opened_run(run, quiet, config=config, manifest=manifest, root=None, cache=cache)
    shutil.rmtree(tmp_path / "ecg")
    rows = np.array([3])
    for again in (opened(config=config, manifest=manifest), opened(config=None, manifest=None)):
        assert again.cohort.keys == first.cohort.keys
        np.testing.assert_array_equal(again.inputs.take(rows), first.inputs.take(rows))
    write_csv(manifest, beats[:4])
    with pytest.raises(SetupFault, match="another manifest"):
        opened(config=config, manifest=manifest)
    shutil.rmtree(cache)
    with pytest.raises(SetupFault, match="cache of prepared arrays is gone"):
        opened(config=None, manifest=None)


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Result]:
    """`check-data` on rows, its settings in a file."""

    def invoke(rows: list[dict[str, object]], *arguments: str, of: Experiment | None = None) -> Any:
        config = tmp_path / "experiment.toml"
        config.write_text(toml_of((of or settings()).model_dump(mode="json", exclude_none=True)))
        manifest = write_csv(tmp_path / "manifest.csv", rows)
        options = ["--config", config, "--manifest", manifest, "--run", tmp_path / "run"]
        return CliRunner().invoke(main, ["check-data", *map(str, options), *arguments])

    return invoke


def toml_of(content: dict[str, Any]) -> str:
    """Inline tables are TOML with `=` for the colon of JSON."""

    def value(of: Any) -> str:
        if isinstance(of, dict):
            inner = ", ".join(f"{json.dumps(key)} = {value(one)}" for key, one in of.items())
            return f"{{{inner}}}"
        if isinstance(of, list):
            return f"[{', '.join(map(value, of))}]"
        return json.dumps(of)

    return "\n".join(f"{json.dumps(key)} = {value(one)}" for key, one in content.items())


def test_check_data_prints_its_report(tmp_path: Path, check: Callable[..., Result]) -> None:
    rows = of_beats(tmp_path, 16)
    told = check(rows)
    assert told.exit_code == 0, told.output
    assert "16 rows: 16 ECGs of 8 patients in the cohort, 0 excluded" in told.output
    report = json.loads(check(rows, "--json").stdout)
    assert report["index_ecgs"] == 8
    assert report["tasks"]["RCA"]["positives"] == 4
    groups = {name: counts["RCA"]["positives"] for name, counts in report["groups"].items()}
    assert groups["fold 0"] + groups["fold 1"] == groups["all"] == 4
    assert sum(n for name, n in groups.items() if name.startswith("part")) == 4


def test_check_data_fails_for_an_ecg_of_two_patients_and_for_a_bad_cell(
    beats: list[dict[str, object]], check: Callable[..., Result]
) -> None:
    told = check([*beats, row("ZQPID", "x", LM="ZQPWORD")])
    assert (told.exit_code, told.stdout) == (4, "")
    assert "row 10, LM: no grade of data.grades" in told.stderr
    assert "ZQP" not in told.stderr
    shared = [*beats, {**beats[0], "patient_id": "ZQPOTHER"}]
    told = check(shared, of=settings(check_header=False))
    assert told.exit_code == 1
    assert "The same ECG stands under two patients" in told.output
    assert "ZQP" not in told.output
