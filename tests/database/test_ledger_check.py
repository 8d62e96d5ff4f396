"""`ledger check`: a sound ledger has no findings, and every broken promise is seen by its check."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine, Table, select, text, update

from ecgbatch.errors import EcgbatchError
from ecgbatch.records import NotYet, Quarantined
from ecgbatch.store import audit, bundles, checks, ledger
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.checks_sql import CHECKS
from ecgbatch.store.engine import read_only, transaction
from ecgbatch.store.tables import result, work
from ecgbatch.terms import BundleRole, ReasonCode
from tests.support.ledger import (
    OTHER,
    STRATA,
    Site,
    activate,
    facts,
    rejected,
    scored,
    sighting,
    site,
)
from tests.support.tampering import change, unguarded, without_unique

DAMAGED = Quarantined(facts("e4"), ReasonCode.CHECKSUM_MISMATCH, "decode")


@pytest.fixture
def whole(inbox: Site) -> Site:
    return fill(inbox)


def fill(inbox: Site) -> Site:
    """A ledger with something of everything."""
    inbox.arrive(scored(facts("e1")), "scored")
    inbox.arrive(scored(facts("e1")), "copy")
    inbox.arrive(rejected(facts("e2")), "rejected")
    inbox.arrive(Quarantined(None, ReasonCode.FORMAT_UNKNOWN, "decode"), "unsupported")
    inbox.arrive(DAMAGED, "failed")
    inbox.arrive(scored(facts("old", ecg_id="v")), "amended", "1")
    inbox.arrive(scored(facts("new", ecg_id="v")), "amended", "2")
    inbox.arrive(scored(facts("one", ecg_id="u", patient_key="p")), "conflict 1")
    inbox.arrive(scored(facts("two", ecg_id="u", patient_key="q")), "conflict 2")
    _lose_three_times(inbox, "poison")
    _promote(inbox)
    inbox.note(sighting("half"))
    ledger.admit(inbox.connection, inbox.source_id, 0.0, 0.0)
    (unit,) = inbox.claim(bundle=OTHER)
    inbox.finish(unit, NotYet(None, ReasonCode.INCOMPLETE, "decode"))
    audit.acknowledge(inbox.connection, "op", "known", ReasonCode.CHECKSUM_MISMATCH, ())
    audit.acknowledge(inbox.connection, "op", "known", ReasonCode.FORMAT_UNKNOWN, ())
    inbox.note(sighting("discovered"))
    ledger.end_run(inbox.connection, inbox.provenance.run_id, 1, {})
    return inbox


def _lose_three_times(inbox: Site, locator: str) -> None:
    inbox.note(sighting(locator))
    inbox.admit()
    for _ in range(3):
        (unit,) = inbox.claim()
        past = ledger.now(inbox.connection) - timedelta(seconds=1)
        lost = update(work).where(work.c.work_id == unit.work_id).values(lease_until=past)
        inbox.connection.execute(lost)
    assert inbox.claim() == []
    assert inbox.state(locator) == [("failed", "crash_loop")]


def _promote(inbox: Site) -> None:
    """Results under a challenger that became the champion later."""
    bundles.register(inbox.connection, BundleRow(OTHER, "next", "2", False), STRATA)
    activate(inbox.connection, OTHER, BundleRole.CHALLENGER)
    inbox.note(sighting("challenged"))
    inbox.admit()
    (unit,) = inbox.claim()
    inbox.finish(unit, scored(facts("e9")))
    (unit,) = inbox.claim(bundle=OTHER)
    inbox.finish(unit, scored(facts("e9"), (0.2, 0.2, 0.2, 0.55)))
    activate(inbox.connection, OTHER)


def seen(connection: Connection) -> set[str]:
    return {finding.id for finding in checks.broken(connection)}


def one(table: str, condition: str) -> str:
    """The first row of a kind, as a condition: one row is broken at a time."""
    key = f"{table}_id"
    return f"{key} = (SELECT MIN({key}) FROM {table} WHERE {condition})"


def like(table: Table, condition: str, **values: str) -> str:
    """Insert a copy of the row that fits, with some values of its own, as SQL."""
    columns = [column.name for column in table.c]
    chosen = ", ".join(values.get(name, name) for name in columns)
    into = f"INSERT INTO {table.name} ({', '.join(columns)})"
    return f"{into} SELECT {chosen} FROM {table.name} WHERE {condition}"


LONG_AGO = "'2020-01-01T00:00:00.000000Z'"
LEASED = "state = 'leased', next_at = NULL"
REJECTED = "outcome = 'rejected'"
FOREIGN_RESULT = like(result, REJECTED, result_id="9999", pipeline_id="'other'", work_id="9999")
SECOND_RESULT = like(result, REJECTED, result_id="9999")
OF_DAMAGED = "(SELECT recording_id FROM recording WHERE ecg_id = 'e4')"
SCORED = one("work", "state = 'scored'")
WAITING = one("work", "state = 'retry_wait'")
ADMITTED = one("item", "state = 'admitted'")
RESULT = one("result", "outcome = 'scored'")
SUPERSEDED = one("recording", "superseded_reason = 'same_acquisition'")
UNSEEN_END = like(
    work,
    SCORED,
    work_id="9999",
    request="'7'",
    state="'duplicate'",
    reason="'same_bytes'",
    reason_class="'identity'",
)
HIGH = f"{RESULT} AND task = 'LCX'"

BROKEN = [
    ("I1a", f"DELETE FROM work WHERE {WAITING}"),
    ("I1b", f"UPDATE item SET state = 'lost', reason = 'new' WHERE {ADMITTED}"),
    ("I1c", f"UPDATE work SET state = 'done', next_at = NULL WHERE {WAITING}"),
    ("I1d", f"UPDATE work SET bundle_digest = 'none' WHERE {WAITING}"),
    ("I3a", "DELETE FROM result WHERE outcome = 'rejected'"),
    ("I3b", FOREIGN_RESULT),
    ("I3c", f"DELETE FROM score WHERE {RESULT} AND task = 'LM'"),
    ("I3d", UNSEEN_END),
    ("I3e", f"UPDATE item SET recording_id = {OF_DAMAGED} WHERE locator = 'copy'"),
    ("I3f", "INSERT INTO score VALUES (9999, 'LM', 0.1, 0.1, -1.0, NULL, FALSE, TRUE)"),
    ("I4a", f"UPDATE work SET token = 0 WHERE {SCORED}"),
    ("I4a", f"UPDATE work SET attempts = -1 WHERE {WAITING}"),
    ("I5a", f"UPDATE work SET next_at = NULL WHERE {WAITING}"),
    ("I5b", f"UPDATE work SET lease_until = finished_at WHERE {SCORED}"),
    ("I5b", f"UPDATE work SET {LEASED}, worker = NULL, lease_until = next_at WHERE {WAITING}"),
    ("I5c", f"UPDATE work SET {LEASED}, lease_until = {LONG_AGO} WHERE {WAITING}"),
    ("I5d", f"UPDATE work SET finished_at = NULL WHERE {SCORED}"),
    ("I6", "UPDATE work SET losses = 4 WHERE reason = 'crash_loop'"),
    ("I6", "UPDATE work SET losses = 0 WHERE reason = 'crash_loop'"),
    ("I7a", "UPDATE event SET reason = 'new' WHERE kind = 'finished' AND to_state = 'scored'"),
    ("I7a", "DELETE FROM event WHERE kind = 'put_back'"),
    ("I7b", "UPDATE audit SET actor = 'nobody'"),
    ("I8a", f"UPDATE recording SET file_digest = 'short' WHERE {one('recording', '1 = 1')}"),
    ("I8b", "UPDATE item SET recording_id = NULL WHERE locator = 'rejected'"),
    (
        "I9",
        f"UPDATE activation SET from_at = {LONG_AGO}, to_at = {LONG_AGO} WHERE to_at IS NOT NULL",
    ),
    ("I10a", f"UPDATE work SET reason = 'bad luck' WHERE {WAITING}"),
    ("I10a", f"UPDATE work SET reason_class = 'format' WHERE {WAITING}"),
    ("I10a", f"UPDATE work SET reason = NULL, reason_class = NULL WHERE {WAITING}"),
    ("I10b", "UPDATE item SET reason = 'bad luck' WHERE state = 'discovered'"),
    ("I10b", "UPDATE item SET reason = NULL WHERE state = 'discovered'"),
    ("I10c", "UPDATE result SET reason = 'bad luck' WHERE outcome = 'rejected'"),
    ("I11a", f"UPDATE score SET probability_raw = 1.5 WHERE {HIGH}"),
    ("I11a", f"UPDATE score SET logit = 1e308 WHERE {HIGH}"),
    ("I11b", f"UPDATE score SET stratum = 'low' WHERE {HIGH}"),
    ("I11b", f"UPDATE score SET stratum = NULL WHERE {HIGH}"),
    ("I11b", f"DELETE FROM bundle_stratum WHERE task = 'LAD' AND bundle_digest = '{OTHER}'"),
    ("I11c", f"UPDATE score SET probability = 0.65 WHERE {HIGH}"),
    ("I11d", f"UPDATE result SET any_vessel_stratum = 'low' WHERE {RESULT}"),
    ("C1", "UPDATE supersession SET to_at = from_at WHERE reason = 'same_acquisition'"),
    ("C1", f"UPDATE recording SET superseded_reason = 'patient_corrected' WHERE {SUPERSEDED}"),
]


def test_whole_ledger_has_no_findings(whole: Site) -> None:
    assert checks.broken(whole.connection) == []


def test_database_without_anything_has_no_findings(connection: Connection) -> None:
    assert checks.broken(connection) == []


def test_ledger_from_before_the_second_migration_has_no_findings(whole: Site) -> None:
    """Then results named no work, and nothing had a hash."""
    for statement in (
        "UPDATE result SET work_id = NULL",
        "UPDATE event SET prev_hash = NULL, hash = NULL",
        "UPDATE audit SET prev_hash = NULL, hash = NULL",
        "UPDATE run SET events = NULL, chain_head = NULL",
    ):
        change(whole.connection, statement)

    assert checks.broken(whole.connection) == []


@pytest.mark.parametrize(("check_id", "statement"), BROKEN)
def test_broken_promise_is_seen_by_its_check_alone(
    whole: Site, check_id: str, statement: str
) -> None:
    change(whole.connection, statement)

    assert seen(whole.connection) == {check_id}


@pytest.mark.parametrize(
    ("check_id", "table", "condition"),
    [
        ("I2a", "result", "outcome = 'rejected'"),
        ("I2b", "recording", "ecg_id = 'e4'"),
        ("I2c", "work", "state = 'retry_wait'"),
    ],
)
def test_second_row_for_one_key_is_seen_without_the_index(
    whole: Site, check_id: str, table: str, condition: str
) -> None:
    connection = whole.connection
    with unguarded(connection):
        without_unique(connection, table)
        twin = connection.execute(text(f"SELECT * FROM {table} WHERE {condition}"))
        row = dict(twin.mappings().one()) | {f"{table}_id": 9999}
        names = ", ".join(f":{name}" for name in row)
        connection.execute(text(f"INSERT INTO {table} VALUES ({names})"), row)

    assert seen(connection) == {check_id}


def test_second_champion_is_seen(whole: Site) -> None:
    whole.connection.execute(text("DROP INDEX uq_activation_champion"))
    change(whole.connection, "UPDATE activation SET to_at = NULL WHERE role = 'champion'")

    assert seen(whole.connection) == {"C2"}


def test_failure_that_is_not_shown_is_seen(whole: Site) -> None:
    connection = whole.connection
    if connection.dialect.name == "sqlite":
        wanted = "SELECT sql FROM sqlite_master WHERE name = 'v_failures'"
        body = connection.execute(text(wanted)).scalar_one().partition(" AS")[2]
    else:
        wanted = "SELECT pg_get_viewdef('v_failures')"
        body = connection.execute(text(wanted)).scalar_one().rstrip(";")
    connection.execute(text("DROP VIEW v_failures"))
    hidden = "WHERE reason <> 'checksum_mismatch'"
    connection.execute(text(f"CREATE VIEW v_failures AS SELECT * FROM ({body}) shown {hidden}"))

    assert seen(connection) == {"I10d"}


def test_trigger_that_is_gone_is_seen(whole: Site) -> None:
    if whole.connection.dialect.name == "sqlite":
        whole.connection.execute(text("DROP TRIGGER score_no_update"))
    else:
        whole.connection.execute(text("ALTER TABLE score DISABLE TRIGGER score_append_only"))

    assert seen(whole.connection) == {"I7c"}


def test_every_check_has_a_test_that_breaks_it() -> None:
    tested = {check_id for check_id, _ in BROKEN} | {"I2a", "I2b", "I2c", "I10d", "C2"}

    assert {check.id for check in CHECKS} | {"I7a", "I7b"} == tested


def test_rows_are_counted_and_the_first_are_named(whole: Site) -> None:
    change(whole.connection, "UPDATE work SET token = 0 WHERE attempts > 0")

    (finding,) = checks.broken(whole.connection)
    rows = whole.connection.execute(select(work.c.work_id).where(work.c.attempts > 0)).all()
    assert finding.broken == len(rows) > 5
    assert len(finding.examples) == 5
    assert all(place.startswith("work ") for place in finding.examples)


def test_lease_is_overdue_only_after_the_allowance(whole: Site) -> None:
    ended = ledger.now(whole.connection) - timedelta(seconds=60)
    whole.connection.execute(
        update(work)
        .where(work.c.state == "retry_wait")
        .values(state="leased", next_at=None, lease_until=ended)
    )

    assert checks.broken(whole.connection, late_s=120) == []
    assert {found.id for found in checks.broken(whole.connection, late_s=30)} == {"I5c"}


def test_check_runs_in_a_session_that_cannot_write(engine: Engine, database_url: str) -> None:
    with transaction(engine) as connection:
        fill(site(connection))
    reader = read_only(database_url)
    try:
        with transaction(reader) as connection:
            assert checks.broken(connection) == []
    finally:
        reader.dispose()


# What every run ends with


def test_cheap_checks_pass_after_a_whole_run(whole: Site) -> None:
    checks.cheap(whole.connection, whole.provenance.run_id)


@pytest.mark.parametrize(
    ("check_id", "statement"),
    [
        ("I3b", f"DELETE FROM result WHERE {RESULT}"),
        ("I3b", "DELETE FROM event WHERE kind = 'finished' AND to_state = 'rejected'"),
        ("I5b", f"UPDATE work SET lease_until = finished_at WHERE {SCORED}"),
        ("I5b", f"UPDATE work SET token = 0 WHERE {SCORED}"),
    ],
)
def test_cheap_checks_end_the_run(whole: Site, check_id: str, statement: str) -> None:
    change(whole.connection, statement)

    with pytest.raises(EcgbatchError) as caught:
        checks.cheap(whole.connection, whole.provenance.run_id)
    assert caught.value.reason is ReasonCode.LEDGER_UNBALANCED
    assert check_id in caught.value.detail


def test_cheap_checks_see_a_second_result(whole: Site) -> None:
    with unguarded(whole.connection):
        without_unique(whole.connection, "result")
        whole.connection.execute(text(SECOND_RESULT))

    with pytest.raises(EcgbatchError, match="I2a"):
        checks.cheap(whole.connection, whole.provenance.run_id)
