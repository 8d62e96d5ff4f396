"""Which results are current, against the view and by hand, on both databases."""

from collections import Counter

import pytest
from sqlalchemy import Engine, text

from ecgbatch.errors import SetupFault
from ecgbatch.store import bundles
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.engine import transaction
from ecgbatch.store.replays import count_current, current_results, of_record, sample_of
from ecgbatch.terms import BundleRole, ReasonCode
from tests.support.ledger import (
    CHAMPION,
    OTHER,
    PIPELINE,
    STRATA,
    Site,
    activate,
    facts,
    rejected,
    scored,
    site,
)

CHALLENGER = "c" * 64


def _again(here: Site, name: str, bundle: str, pipeline: str, *, is_rejected: bool = False) -> None:
    """A further result of a recording, as a later version or bundle would add it."""
    outcome = (
        "'rejected', 'lead_flat', NULL, NULL" if is_rejected else "'scored', NULL, 0.7, 'high'"
    )
    here.connection.execute(
        text(
            "INSERT INTO result (recording_id, bundle_digest, pipeline_id, outcome, reason,"
            " any_vessel_risk, any_vessel_stratum, preprocessing_digest, runtime, precision,"
            " code_version, library_versions, run_id, worker, created_at)"
            f" SELECT recording_id, :bundle, :pipeline, {outcome}, 'p', 'r', 'fp32', 'c', 'l',"
            " run_id, 'w', created_at FROM result WHERE recording_id ="
            " (SELECT recording_id FROM recording WHERE ecg_id = :name) LIMIT 1"
        ),
        {"bundle": bundle, "pipeline": pipeline, "name": name},
    )
    if not is_rejected:
        here.connection.execute(
            text(
                "INSERT INTO score (result_id, task, probability, probability_raw, logit, stratum,"
                " near_cut, is_experimental)"
                " SELECT (SELECT MAX(result_id) FROM result), task, probability, probability_raw,"
                " logit, stratum, near_cut, is_experimental FROM score"
                " WHERE result_id = (SELECT MIN(result_id) FROM score)"
            )
        )


@pytest.fixture
def ledger(engine: Engine) -> Engine:
    """Two champions and a challenger, further results, one superseded, two rejected."""
    with transaction(engine) as connection:
        here = site(connection)
        for name in ("old", "again", "both", "refused later", "outdated"):
            here.arrive(scored(facts(name)), f"{name}.xml")
        here.arrive(rejected(facts("flat")), "flat.xml")
        here.arrive(scored(facts("copied")), "copied.xml")
        here.arrive(scored(facts("copied")), "copy.xml")
        here.arrive(
            scored(facts("newer", ecg_id="outdated", signal_digest="n")), "outdated.xml", "2"
        )
        _again(here, "again", CHAMPION, "2-test")
        for digest in (OTHER, CHALLENGER):
            bundles.register(connection, BundleRow(digest, "demo", "2", False), STRATA)
        activate(connection, OTHER)
        activate(connection, CHALLENGER, BundleRole.CHALLENGER)
        _again(here, "both", OTHER, "1-test")
        _again(here, "refused later", OTHER, "1-test", is_rejected=True)
        _again(here, "old", CHALLENGER, "1-test")
    return engine


def test_what_the_view_shows_and_what_is_rejected_is_current(ledger: Engine) -> None:
    found = list(current_results(ledger))

    with transaction(ledger) as connection:
        names = dict(connection.execute(text("SELECT recording_id, ecg_id FROM recording")).all())
        shown = set(connection.execute(text("SELECT recording_id FROM v_latest_risk")).scalars())
    assert {one.recording_id for one in found if one.outcome == "scored"} == shown
    told = Counter((names[one.recording_id], one.bundle_digest, one.pipeline_id) for one in found)
    assert told == {
        ("both", OTHER, "1-test"): 1,
        ("refused later", OTHER, "1-test"): 1,
        ("old", CHAMPION, PIPELINE): 1,
        ("again", CHAMPION, "2-test"): 1,
        ("copied", CHAMPION, PIPELINE): 1,
        ("outdated", CHAMPION, PIPELINE): 1,
        ("flat", CHAMPION, PIPELINE): 1,
    }
    assert [one.bundle_digest for one in found] == [OTHER] * 2 + [CHAMPION] * 5
    assert count_current(ledger) == 7


def test_a_result_comes_with_its_scores_and_every_place(ledger: Engine) -> None:
    by_places = {tuple(p.locator for p in one.places): one for one in current_results(ledger)}

    copied = by_places["copied.xml", "copy.xml"]
    assert [one.root for one in copied.places] == ["/inbox", "/inbox"]
    assert {one.task: one.probability for one in copied.scores} == {
        "RCA": 0.1,
        "LM": 0.2,
        "LAD": 0.3,
        "LCX": 0.7,
    }
    assert copied.signal_digest == "signal copied"
    assert by_places["flat.xml",].scores == ()


def test_a_named_recording_may_be_superseded(ledger: Engine) -> None:
    digest = facts("outdated").file_digest
    current = {one.recording_id for one in current_results(ledger)}

    named = of_record(ledger, digest[:12])

    assert named.file_digest == digest
    assert named.recording_id not in current
    assert of_record(ledger, str(named.recording_id)) == named
    with pytest.raises(SetupFault) as caught:
        of_record(ledger, "9999")
    assert caught.value.reason is ReasonCode.RECORD_UNKNOWN


def test_a_sample_is_drawn_by_its_seed_and_reaches_every_result(ledger: Engine) -> None:
    every = [one.result_id for one in current_results(ledger)]
    drawn = {seed: [one.result_id for one in sample_of(ledger, 2, seed)] for seed in range(60)}

    assert all(len(set(one)) == 2 for one in drawn.values())
    assert drawn[1] == [one.result_id for one in sample_of(ledger, 2, 1)]
    counts = Counter(result_id for one in drawn.values() for result_id in one)
    assert set(counts) == set(every)
    # 60 draws of 2 among 7: about 17 each; 5 or 35 lie four standard deviations away.
    assert 5 < min(counts.values()) <= max(counts.values()) < 35
    assert [one.result_id for one in sample_of(ledger, 100, 1)] == every


def test_a_database_before_its_first_champion_has_nothing_to_replay(engine: Engine) -> None:
    assert list(current_results(engine)) == []
    assert count_current(engine) == 0
