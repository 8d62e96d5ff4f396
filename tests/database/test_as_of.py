"""v_as_of says of each moment what v_latest_risk showed in it: written down then, asked later."""

import random
from datetime import datetime
from hashlib import sha256

import pytest
from sqlalchemy import Connection, text

from ecgbatch.records import Facts, Outcome, WorkUnit
from ecgbatch.store import bundles, ignoring, rescore
from ecgbatch.store.acts import Choice
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.claims import Lane
from ecgbatch.store.columns import UtcTime
from ecgbatch.store.rescore import Scope
from ecgbatch.terms import BundleRole
from tests.support.ledger import (
    CHAMPION,
    Site,
    activate,
    facts,
    provenance,
    rejected,
    scored,
    sighting,
    site,
)
from tests.support.seeded_hospital import seed
from tests.support.stopped_clock import Clock, stopped_clock

Shown = frozenset[tuple[int, bool]]
"""Results, and whether each is one of the champion's."""

_NOW = text("SELECT result_id, is_current_bundle FROM v_latest_risk")
_THEN = text(
    "SELECT result_id, is_current_bundle FROM v_as_of"
    " WHERE valid_from <= :moment AND (valid_to IS NULL OR valid_to > :moment)"
)
BUNDLES = (CHAMPION, "b" * 64, "c" * 64)
CLINICAL = "d" * 64


class Witness:
    """Writes down what the view shows whenever a moment is over."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.saw: dict[datetime, Shown] = {}

    def __call__(self, moment: datetime) -> None:
        self.saw[moment] = frozenset(_pairs(self.connection.execute(_NOW)))

    def check(self) -> None:
        column = UtcTime()
        for moment, shown in self.saw.items():
            at = column.process_bind_param(moment, self.connection.dialect)
            then = list(_pairs(self.connection.execute(_THEN, {"moment": at})))
            assert len(then) == len(set(then)), moment
            assert set(then) == shown, moment


def _pairs(rows: object) -> list[tuple[int, bool]]:
    return [(result_id, bool(is_current)) for result_id, is_current in rows]  # type: ignore[attr-defined]


def test_in_the_hospital_of_the_recipes(connection: Connection) -> None:
    witness = Witness(connection)

    seed(connection, witness)

    assert len(set(witness.saw.values())) > 15
    witness.check()


@pytest.mark.parametrize("number", range(6))
def test_whatever_happens(connection: Connection, number: int) -> None:
    witness = Witness(connection)
    with stopped_clock(witness) as clock:
        walk = Walk(connection, clock, random.Random(number))  # noqa: S311
        for _ in range(40):
            walk.step()
            clock.tick()

    assert len(set(witness.saw.values())) > 10
    witness.check()


class Walk:
    """A hospital in which anything happens: files come, bundles change, operators decide."""

    def __init__(self, connection: Connection, clock: Clock, chance: random.Random) -> None:
        self.connection, self.clock, self.chance = connection, clock, chance
        self.inbox: Site = site(connection)
        self.files: dict[str, tuple[Facts, bool]] = {}
        self.lies: dict[tuple[str, str], str] = {}
        for digest in (*BUNDLES[1:], CLINICAL):
            row = BundleRow(digest, digest[0], "1", is_clinical=digest == CLINICAL)
            bundles.register(connection, row, ())

    def step(self) -> None:
        happens = (self.arrive, self.promote, self.challenge, self.ignore, self.ask_again)
        self.chance.choices(happens, weights=(8, 2, 1, 2, 1))[0]()
        self.work("new")

    def arrive(self) -> None:
        """A new file at some place, or one there has been before, somewhere."""
        number = len(self.lies)
        name = f"file {self.chance.randrange(number + 1)}"
        self.files.setdefault(name, self._file(name))
        place = (f"{self.chance.randrange(6)}", f"{number}")
        self.lies[place] = name
        self.inbox.note(sighting(*place))
        self.inbox.admit()

    def _file(self, name: str) -> tuple[Facts, bool]:
        known = facts(
            name,
            ecg_id=f"e{self.chance.randrange(5)}",
            patient_key=self.chance.choice((None, "p", "q")),
            edit_status=self.chance.choice((None, "unconfirmed", "confirmed", "corrected")),
        )
        return known, self.chance.random() < 0.8

    def promote(self) -> None:
        champion = bundles.champion(self.connection)
        assert champion is not None
        if not champion.is_clinical:
            may_be = (*BUNDLES, CLINICAL) if self.chance.random() < 0.2 else BUNDLES
            activate(self.connection, self.chance.choice(may_be))

    def challenge(self) -> None:
        champion = bundles.champion(self.connection)
        assert champion is not None
        if not champion.is_clinical:
            activate(self.connection, self.chance.choice(BUNDLES), BundleRole.CHALLENGER)

    def ignore(self) -> None:
        items = self.connection.execute(text("SELECT item_id FROM item")).scalars().all()
        if items:
            act = self.chance.choice((ignoring.ignore, ignoring.undo_ignore))
            act(self.connection, Choice("op", "a walk", items=[self.chance.choice(items)]))

    def ask_again(self) -> None:
        rescore.ask(self.connection, Scope(), "op", "a walk")
        self.work("rescore", f"1-{self.clock.moment:%H%M}")

    def work(self, lane: Lane, pipeline: str = "1-test") -> None:
        run_id = self.inbox.provenance.run_id
        inbox = Site(self.connection, self.inbox.source_id, provenance(run_id, pipeline))
        for digest in (*BUNDLES, CLINICAL):
            for unit in inbox.claim(bundle=digest, lease_s=1e6, lane=lane):
                self.clock.tick()
                inbox.finish(unit, self._read(unit))

    def _read(self, unit: WorkUnit) -> Outcome:
        known, is_fit = self.files[self.lies[unit.locator, unit.fingerprint]]
        risks = _risks(known.file_digest, unit.bundle_digest)
        return scored(known, risks) if is_fit else rejected(known)


def _risks(file_digest: str, bundle: str) -> tuple[float, float, float, float]:
    first, second, third, fourth = sha256(f"{file_digest} {bundle}".encode()).digest()[:4]
    return first / 256, second / 256, third / 256, fourth / 256
