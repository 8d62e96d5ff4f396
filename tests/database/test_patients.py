"""Merges of patients: what is shown, what is undone, what is refused, what the audit says."""

import pytest
from sqlalchemy import select, text

from ecgbatch.errors import SetupFault
from ecgbatch.records import Quarantined
from ecgbatch.store import patients
from ecgbatch.store.tables import audit, recording
from ecgbatch.terms import Disposition, ReasonCode
from tests.support.ledger import Site, facts, scored

A, B, C, D = (letter * 64 for letter in "abcd")


def merged(inbox: Site, source: str, target: str) -> int:
    return patients.merge(inbox.connection, source, target, actor="op", why="ADT A40")


def parted(inbox: Site, source: str) -> int:
    return patients.unmerge(inbox.connection, source, actor="op", why="a mistake")


def shown(inbox: Site) -> dict[str, str]:
    """Patient key in v_latest_risk by ECG."""
    rows = inbox.connection.execute(text("SELECT ecg_id, patient_key FROM v_latest_risk"))
    return {row.ecg_id: row.patient_key for row in rows}


@pytest.fixture
def four(inbox: Site) -> Site:
    """One ECG of each of four patients, called by their letters."""
    for key in (A, B, C, D):
        name = key[0]
        inbox.arrive(scored(facts(name, patient_key=key)), name)
    return inbox


def test_merged_patient_is_shown_under_the_other_and_the_recording_stays(four: Site) -> None:
    assert merged(four, A, B) == 1

    assert shown(four) == {"a": B, "b": B, "c": C, "d": D}
    kept = four.connection.execute(select(recording.c.patient_key)).scalars()
    assert sorted(kept) == [A, B, C, D]


def test_unmerge_brings_back_what_was_before(four: Site) -> None:
    before = shown(four)
    merged(four, A, B)

    assert parted(four, A) == 1
    assert shown(four) == before


def test_whoever_was_merged_before_moves_along(four: Site) -> None:
    merged(four, A, B)

    assert merged(four, B, C) == 2
    assert shown(four) == {"a": C, "b": C, "c": C, "d": D}


def test_undoing_the_later_merge_leaves_the_earlier_one(four: Site) -> None:
    merged(four, A, B)
    merged(four, B, C)

    assert parted(four, B) == 2
    assert shown(four) == {"a": B, "b": B, "c": C, "d": D}


def test_undoing_the_earlier_merge_leaves_the_later_one(four: Site) -> None:
    merged(four, A, B)
    merged(four, B, C)

    assert parted(four, A) == 1
    assert shown(four) == {"a": A, "b": C, "c": C, "d": D}


def test_merge_into_a_merged_patient_ends_at_its_current_one(four: Site) -> None:
    merged(four, B, C)
    merged(four, A, B)

    assert shown(four)["a"] == C
    parted(four, B)
    assert shown(four) == {"a": B, "b": B, "c": C, "d": D}


def test_merge_before_the_first_ecg_holds_when_it_comes(inbox: Site) -> None:
    assert merged(inbox, A, B) == 0

    inbox.arrive(scored(facts("late", patient_key=A)), "late")
    assert shown(inbox) == {"late": B}


def test_merged_again_after_it_was_undone(four: Site) -> None:
    merged(four, A, B)
    parted(four, A)
    merged(four, A, C)

    assert shown(four)["a"] == C


@pytest.mark.parametrize(
    ("source", "target"), [(A, A), (A, B), (A, C), (B, A), (C, A)], ids=lambda key: key[0]
)
def test_circles_and_second_merges_are_refused(four: Site, source: str, target: str) -> None:
    merged(four, A, B)
    merged(four, B, C)
    before = shown(four)

    with pytest.raises(SetupFault) as caught:
        merged(four, source, target)

    assert caught.value.reason is ReasonCode.PATIENT_MERGE_REFUSED
    assert shown(four) == before


def test_unmerge_of_one_who_is_not_merged_is_refused(four: Site) -> None:
    merged(four, A, B)
    for key in (B, C):
        with pytest.raises(SetupFault) as caught:
            parted(four, key)
        assert caught.value.reason is ReasonCode.PATIENT_MERGE_REFUSED


def test_look_up_follows_merges_from_any_of_their_keys(four: Site) -> None:
    four.arrive(scored(facts("a", patient_key=A)), "copy of a")
    four.arrive(Quarantined(facts("x", patient_key=A), ReasonCode.SIZE_MISMATCH, "decode"), "x")
    merged(four, A, B)

    for key in (A, B):
        found = patients.look_up(four.connection, key, actor="op", why="asked")
        assert (found.current_key, found.keys) == (B, (B, A))
        ended = {one.recording_id: one.dispositions for one in found.recordings}
        assert sorted(ended.values()) == [
            (Disposition.FAILED,),
            (Disposition.SCORED,),
            (Disposition.SCORED, Disposition.DUPLICATE),
        ]
        assert {one.patient_key for one in found.recordings} == {A, B}
        assert all(one.first_seen_at is not None for one in found.recordings)


def test_look_up_of_nobody_finds_nothing_and_is_audited(four: Site) -> None:
    found = patients.look_up(four.connection, "e" * 64, actor="op", why="asked")

    assert found.recordings == ()
    (row,) = four.connection.execute(select(audit)).all()
    assert (row.act, row.selector, row.count) == ("patient lookup", f"patient={'e' * 64}", 0)


def test_every_act_is_one_row_of_the_audit(four: Site) -> None:
    merged(four, A, B)
    parted(four, A)
    patients.look_up(four.connection, A, actor="op", why="asked")

    rows = four.connection.execute(select(audit).order_by(audit.c.audit_id)).all()
    assert [(row.actor, row.act, row.selector, row.reason, row.count) for row in rows] == [
        ("op", "patient merge", f"patient={A} into={B}", "ADT A40", 1),
        ("op", "patient unmerge", f"patient={A}", "a mistake", 1),
        ("op", "patient lookup", f"patient={A}", "asked", 1),
    ]
