"""Results computed again from files and rows that were spoilt in known ways."""

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from ecgbatch.admission import activate
from ecgbatch.errors import SetupFault
from ecgbatch.preparation import open_to_read
from ecgbatch.replay.replayer import Replayed, Replayer
from ecgbatch.replay.summary import replay_all
from ecgbatch.run import run_once
from ecgbatch.store.engine import open_engine, transaction
from ecgbatch.store.replays import current_results
from ecgbatch.terms import ReasonCode, ReplayOutcome, ReplayStage
from tests.replay.conftest import QUIET, Ward
from tests.support.bundles import save_small_bundle
from tests.support.ecgs import heartbeats, write_wfdb


def _stages(replayed: dict[str, Replayed]) -> dict[str, str]:
    """The outcome, or the first stage that differs, of all that are not identical."""
    return {
        name: str(one.stage or one.outcome)
        for name, one in replayed.items()
        if one.outcome is not ReplayOutcome.IDENTICAL
    }


def test_untouched_files_replay_bit_by_bit(ward: Ward) -> None:
    # The copies of `t` name its recording first.
    chosen = ("a", "muse", "packed", "flat", "short", "copies/t")
    replayed = ward.replayed(*chosen)

    assert set(replayed) == set(chosen)
    assert _stages(replayed) == {}
    assert replayed["a"].difference == 0.0
    assert replayed["flat"].difference is None


def test_each_spoilt_file_and_row_is_named_by_its_first_stage(ward: Ward) -> None:
    files = ward.files
    content = bytearray((files / "a.dat").read_bytes())
    content[1234] ^= 1
    (files / "a.dat").write_bytes(content)
    write_wfdb(files, "b", heartbeats(50))
    (files / "c.hea").unlink()
    (files / "d.hea").write_text((files / "d.hea").read_text() + "# corrected\n")
    (files / "e.dat").unlink()
    (files / "muse.xml").write_text((files / "muse.xml").read_text() + "\n")
    ward.tamper(
        f"UPDATE result SET signal_digest = '{'0' * 64}' WHERE result_id = <f>",
        "UPDATE result SET preprocessing_digest = 'other' WHERE result_id = <g>",
        "UPDATE result SET padded_samples = 7 WHERE result_id = <h>",
        "UPDATE score SET logit = logit + 0.01 WHERE result_id = <i> AND task = 'LAD'",
        "UPDATE score SET logit = logit - 0.01 WHERE result_id = <j> AND task = 'LM'",
        "UPDATE result SET pipeline_id = '0' || substr(pipeline_id, 2) WHERE result_id = <j>",
        "UPDATE score SET probability = 0.999 * probability WHERE result_id = <k> AND task = 'LM'",
        "UPDATE score SET stratum = CASE stratum WHEN 'low' THEN 'high' ELSE 'low' END"
        " WHERE result_id = <l> AND task = 'RCA'",
        "UPDATE result SET pipeline_id = '0' || substr(pipeline_id, 2) WHERE result_id = <l>",
        "UPDATE result SET any_vessel_risk = 0.999 * any_vessel_risk WHERE result_id = <m>",
        "UPDATE result SET any_vessel_stratum ="
        " CASE any_vessel_stratum WHEN 'low' THEN 'high' ELSE 'low' END WHERE result_id = <n>",
        "UPDATE score SET near_cut = NOT near_cut WHERE result_id = <o> AND task = 'LCX'",
        "DELETE FROM score WHERE result_id = <p> AND task = 'LM'",
        "UPDATE result SET outside_intended_use = TRUE WHERE result_id = <q>",
        "UPDATE score SET logit = logit + 1e-10 WHERE result_id = <r> AND task = 'LAD'",
        "UPDATE result SET reason = 'lead_off' WHERE result_id = <flat>",
        "UPDATE result SET reason = 'lead_flat', signal_digest = NULL WHERE result_id = <short>",
    )

    replayed = ward.replayed()

    assert _stages(replayed) == {
        **dict.fromkeys(("a", "b", "d", "e", "muse"), "bytes"),
        "c": "gone",
        **dict.fromkeys(("f", "short"), "signal"),
        **dict.fromkeys(("g", "h", "j", "flat"), "preprocessing"),
        "i": "net",
        **dict.fromkeys(("k", "l", "m", "n", "o", "p", "q"), "strata"),
        "r": "tolerance",
    }
    assert replayed["i"].difference == pytest.approx(0.01)
    assert replayed["r"].difference == pytest.approx(1e-10, rel=1e-3)
    assert replayed["j"].reason == "other logits (scoring version 0, now 1)"
    assert replayed["k"].reason == "probability of LM"
    assert replayed["l"].reason == "stratum of RCA (scoring version 0, now 1)"
    assert replayed["c"].reason == ReasonCode.GONE


def test_ctrl_c_tells_what_was_found_until_then(sqlite_ward: Ward) -> None:
    settings = sqlite_ward.settings()
    engine = open_to_read(settings)
    bundles = (sqlite_ward.bundle,)
    first = Path(sqlite_ward.names()[next(current_results(engine)).recording_id]).name
    for file in list(sqlite_ward.files.rglob(f"{first}.*")):
        file.unlink()

    def interrupt_after_two(n_done: int) -> None:
        if n_done == 2:
            raise KeyboardInterrupt

    with Replayer(settings, engine, source_root=sqlite_ward.files, bundles=bundles) as replayer:
        summary = replay_all(replayer, current_results(engine), interrupt_after_two)
    engine.dispose()

    assert not summary.is_complete
    assert (summary.n_results, summary.n_failed, len(summary.named)) == (2, 1, 1)


def test_a_copy_serves_when_the_first_is_gone(sqlite_ward: Ward) -> None:
    for ending in ("hea", "dat"):
        (sqlite_ward.files / f"t.{ending}").unlink()

    assert sqlite_ward.replayed("copies/t")["copies/t"].outcome is ReplayOutcome.IDENTICAL

    (sqlite_ward.files / "copies" / "t.dat").write_bytes(b"")
    assert sqlite_ward.replayed("copies/t")["copies/t"].stage is ReplayStage.BYTES


def test_other_gates_are_said_and_the_risk_is_computed_all_the_same(sqlite_ward: Ward) -> None:
    stricter = sqlite_ward.settings(quality={"amplitude": {"limit": 0.05}})
    looser = sqlite_ward.settings(
        quality={"flat": {"refuses": False}, "constant_run": {"refuses": False}}
    )

    sqlite_ward.tamper("UPDATE score SET logit = logit + 0.01 WHERE result_id = <b>")

    refused = sqlite_ward.replayed("a", "b", settings=stricter)
    passed = sqlite_ward.replayed("a", "flat", settings=looser)

    assert _stages(refused) == {"a": "preprocessing", "b": "net"}
    assert (refused["a"].is_of_settings, refused["b"].is_of_settings) == (True, False)
    assert refused["a"].reason == "refused now (other gate settings): amplitude_implausible"
    assert refused["a"].difference == 0.0
    assert _stages(passed) == {"flat": "preprocessing"}
    assert passed["flat"].reason == "not refused any more (other gate settings)"
    assert passed["flat"].is_of_settings


def test_a_scanned_folder_that_is_not_there_is_gone_and_never_changed(sqlite_ward: Ward) -> None:
    # The second is one of those that the system does not even look for.
    for name in ("unmounted", "x" * 300):
        replayed = sqlite_ward.replayed(source_root=sqlite_ward.files / name)

        assert {one.outcome for one in replayed.values()} == {ReplayOutcome.GONE}
        assert {one.reason for one in replayed.values()} == {ReasonCode.SOURCE_UNAVAILABLE}


def test_without_its_bundle_a_result_is_gone(sqlite_ward: Ward, tmp_path: Path) -> None:
    sqlite_ward.tamper("UPDATE bundle SET location = NULL")
    save_small_bundle(tmp_path / "other")
    without = Ward(sqlite_ward.url, sqlite_ward.files, tmp_path / "other", sqlite_ward.key)

    replayed = without.replayed()

    assert {one.outcome for one in replayed.values()} == {ReplayOutcome.GONE}
    assert {one.reason for one in replayed.values()} == {ReasonCode.BUNDLE_MISSING}


def test_a_precision_that_is_not_offered_here_stops_the_replay(sqlite_ward: Ward) -> None:
    sqlite_ward.tamper("UPDATE result SET precision = 'bf16' WHERE result_id = <a>")

    with pytest.raises(SetupFault) as caught:
        sqlite_ward.replayed("a")

    assert caught.value.reason is ReasonCode.BUNDLE_PRECISION


def test_neither_key_nor_a_right_to_write_is_needed(sqlite_ward: Ward, tmp_path: Path) -> None:
    nowhere = Ward(sqlite_ward.url, sqlite_ward.files, sqlite_ward.bundle, tmp_path / "no.key")
    database = Path(sqlite_ward.url.removeprefix("sqlite:///"))
    database.chmod(0o400)
    before = database.read_bytes()

    assert _stages(nowhere.replayed("a", "muse", "short")) == {}
    assert database.read_bytes() == before


@pytest.mark.postgres
@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_an_account_that_may_only_read_can_replay(ward: Ward) -> None:
    role = f"auditor_{ward.url.partition('@/')[2].partition('?')[0]}"
    owner = open_engine(ward.url)
    with transaction(owner) as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"))
    auditor = replace(ward, url=ward.url.replace("postgres@", f"{role}@"))

    assert _stages(auditor.replayed("a", "short")) == {}

    with transaction(owner) as connection:
        connection.execute(text(f"DROP OWNED BY {role}"))
        connection.execute(text(f"DROP ROLE {role}"))
    owner.dispose()


@pytest.mark.parametrize("stated", ["settings", "root"])
def test_what_went_into_the_archive_is_found_there(
    origin: Ward, tmp_path: Path, stated: str
) -> None:
    files, archive = tmp_path / "files", tmp_path / "archive"
    files.mkdir()
    archive.mkdir()
    write_wfdb(files, "a", heartbeats(1))
    ward = Ward(f"sqlite:///{tmp_path / 'ward.db'}", files, origin.bundle, origin.key)
    source = {"folder": str(files), "archive": str(archive), "archive_mode": "move"}
    archiving = ward.settings(source=source)
    run_once(archiving, QUIET, may_create=True, stated_bundle=ward.bundle)
    assert not (files / "a.hea").exists()

    is_stated = stated == "settings"
    found = ward.replayed(settings=archiving) if is_stated else ward.replayed(source_root=archive)

    assert found["a"].outcome is ReplayOutcome.IDENTICAL
    kept = next(archive.rglob("a.dat"))
    kept.write_bytes(kept.read_bytes()[::-1])
    assert ward.replayed(settings=archiving)["a"].stage is ReplayStage.BYTES


def test_rows_of_a_database_are_read_again(origin: Ward, tmp_path: Path) -> None:
    hospital = f"sqlite:///{tmp_path / 'hospital.db'}"
    engine = create_engine(hospital)
    contents = {"1": (origin.files / "muse.xml").read_bytes()}
    contents["2"] = gzip.decompress((origin.files / "packed.xml.gz").read_bytes())
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE ecg (id TEXT, changed_at TEXT, content BLOB)"))
        for key, content in contents.items():
            values = {"id": key, "content": content}
            row = "INSERT INTO ecg VALUES (:id, '2026-03-01 12:00:00', :content)"
            connection.execute(text(row), values)
    ward = Ward(f"sqlite:///{tmp_path / 'ward.db'}", tmp_path, origin.bundle, origin.key)
    query = "SELECT id, changed_at, content FROM ecg"
    settings = ward.settings(source={"kind": "database", "url": hospital, "query": query})
    run_once(settings, QUIET, may_create=True, stated_bundle=ward.bundle)

    assert {one.outcome for one in ward.replayed(settings=settings).values()} == {
        ReplayOutcome.IDENTICAL
    }
    with engine.begin() as connection:
        connection.execute(text("UPDATE ecg SET content = content || x'0a' WHERE id = '1'"))
        connection.execute(text("DELETE FROM ecg WHERE id = '2'"))
    engine.dispose()
    assert _stages(ward.replayed(settings=settings)) == {"1": "bytes", "2": "gone"}
    assert {one.reason for one in ward.replayed().values()} == {ReasonCode.SOURCE_UNAVAILABLE}


def test_every_result_replays_with_the_bundle_that_made_it(origin: Ward, tmp_path: Path) -> None:
    files, second = tmp_path / "files", tmp_path / "second"
    files.mkdir()
    write_wfdb(files, "a", heartbeats(1))
    ward = Ward(f"sqlite:///{tmp_path / 'ward.db'}", files, origin.bundle, origin.key)
    run_once(ward.settings(), QUIET, may_create=True, stated_bundle=ward.bundle)
    save_small_bundle(second)
    engine = open_engine(ward.url)
    activate(engine, ward.settings(), second, "test")
    engine.dispose()
    write_wfdb(files, "b", heartbeats(2))
    run_once(ward.settings(), QUIET, may_create=False, stated_bundle=second)

    replayed = ward.replayed()

    assert list(replayed) == ["b", "a"], "the present champion's first"
    assert _stages(replayed) == {}
    (second / "bundle.json").write_text("{}")
    assert _stages(ward.replayed()) == {"b": "gone"}
