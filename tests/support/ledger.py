"""A small hospital for the ledger's tests: one source, one bundle, ECGs that end as told."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import Connection, select, text, update

from ecgbatch.records import (
    Assessment,
    Facts,
    Finding,
    Finish,
    Outcome,
    Provenance,
    Rejected,
    Risk,
    Scored,
    Sighting,
    TaskAssessment,
    WorkUnit,
)
from ecgbatch.store import bundles, ledger
from ecgbatch.store.bundles import BundleRow, StratumRow
from ecgbatch.store.claims import Lane
from ecgbatch.store.tables import item, work
from ecgbatch.terms import ANY_VESSEL, BundleRole, ReasonCode, Stratum, Vessel

CHAMPION = "a" * 64
OTHER = "b" * 64
PIPELINE = "1-prep-settings-fp32"
GRACE_S = 900.0


@dataclass(frozen=True)
class Site:
    """A database with a source, a champion and a run."""

    connection: Connection
    source_id: int
    provenance: Provenance

    def note(self, *sightings: Sighting) -> ledger.Noted:
        return ledger.note(self.connection, self.source_id, sightings, self.provenance.run_id)

    def mark_missing(self, scan_started_at: datetime | None = None) -> int:
        started = scan_started_at or ledger.now(self.connection)
        return ledger.mark_missing(self.connection, self.source_id, started, self.provenance.run_id)

    def admit(self, *, settle_s: float = 0.0, grace_s: float = 0.0) -> int:
        return ledger.admit(self.connection, self.source_id, settle_s, grace_s)

    def claim(
        self,
        limit: int = 100,
        *,
        bundle: str = CHAMPION,
        lease_s: float = 60.0,
        lane: Lane = "new",
    ) -> list[WorkUnit]:
        return ledger.claim(
            self.connection,
            self.source_id,
            bundle,
            pipeline_id=self.provenance.pipeline_id,
            worker="w1",
            limit=limit,
            lease_s=lease_s,
            run_id=self.provenance.run_id,
            lane=lane,
        )

    def finish(self, unit: WorkUnit, outcome: Outcome, grace_s: float = GRACE_S) -> Finish:
        return ledger.finish(self.connection, unit, outcome, self.provenance, grace_s)

    def arrive(self, outcome: Outcome, locator: str, fingerprint: str = "1") -> Finish:
        """A file appears, is stable at once, is read and ends so."""
        self.note(sighting(locator, fingerprint))
        self.admit()
        (unit,) = self.claim()
        return self.finish(unit, outcome)

    def state(self, locator: str) -> list[tuple[str, str | None]]:
        """Disposition and reason of each item at a locator, oldest first."""
        rows = self.connection.execute(
            text(
                "SELECT disposition, reason FROM v_disposition"
                " WHERE locator = :locator ORDER BY item_id"
            ),
            {"locator": locator},
        )
        return [(row.disposition, row.reason) for row in rows]

    def current(self) -> set[str]:
        """ECG ids shown in v_latest_risk."""
        return set(self.connection.execute(text("SELECT ecg_id FROM v_latest_risk")).scalars())

    def age(self, locator: str, seconds: float) -> None:
        """Let an item have changed and been seen that much earlier."""
        earlier = ledger.now(self.connection) - timedelta(seconds=seconds)
        self.connection.execute(
            update(item).where(item.c.locator == locator).values(changed_at=earlier)
        )

    def work_row(self, unit: WorkUnit) -> tuple[str, str | None, int, int]:
        row = self.connection.execute(
            select(work.c.state, work.c.reason, work.c.attempts, work.c.token).where(
                work.c.work_id == unit.work_id
            )
        ).one()
        return (row.state, row.reason, row.attempts, row.token)


def site(connection: Connection, *, is_clinical: bool = False) -> Site:
    source_id = ledger.ensure_source(
        connection, "inbox", kind="folder", root="/inbox", authority="MRN", time_zone=None
    )
    bundles.register(connection, BundleRow(CHAMPION, "demo", "1", is_clinical), STRATA)
    activate(connection, CHAMPION, first_use=True)
    run_id = ledger.start_run(connection, "run-once", source_id, "w1")
    return Site(connection, source_id, provenance(run_id))


def activate(
    connection: Connection,
    digest: str,
    role: BundleRole = BundleRole.CHAMPION,
    *,
    first_use: bool = False,
) -> None:
    bundles.activate(
        connection, digest, role, by="op", why="test", golden_report="{}", first_use=first_use
    )


STRATA = tuple(
    StratumRow(task, stratum, cuts[0], cuts[1], is_synthetic=True, share=0.3)
    for task in (*Vessel, ANY_VESSEL)
    for stratum, cuts in zip(Stratum, ((0.0, 0.5), (0.5, 0.6), (0.6, 1.0)), strict=True)
)


def stratum_of(risk: float) -> Stratum:
    """By the cuts of `STRATA`, which are the same for every task."""
    return Stratum.LOW if risk < 0.5 else Stratum.INTERMEDIATE if risk < 0.6 else Stratum.HIGH


def provenance(run_id: int, pipeline_id: str = PIPELINE) -> Provenance:
    return Provenance(
        pipeline_id, "prep", "settings", "eager", "fp32", "0.1.0", "torch 2.13", "w1", run_id
    )


def sighting(
    locator: str, fingerprint: str = "1", others: Iterable[str] = (), *, is_whole: bool = True
) -> Sighting:
    return Sighting(locator, fingerprint, (locator, *others), is_whole)


def facts(name: str, **known: object) -> Facts:
    """Facts of an ECG called `name`; its ECG id is the name unless told otherwise."""
    digest = sha256(name.encode()).hexdigest()
    whole = Facts(
        file_digest=digest,
        signal_digest=f"signal {name}",
        ecg_id=name,
        format="muse",
        sampling_frequency=500.0,
        n_samples=5000,
        reader="muse",
        reader_version="1",
    )
    return replace(whole, **known)  # type: ignore[arg-type]


def scored(of: Facts, risks: tuple[float, ...] = (0.1, 0.2, 0.3, 0.7)) -> Scored:
    tasks = tuple(
        TaskAssessment(
            Risk(vessel, -1.0, risk, risk),
            None if vessel is Vessel.LM else stratum_of(risk),
            near_cut=False,
            is_experimental=vessel is Vessel.LM,
        )
        for vessel, risk in zip(Vessel, risks, strict=True)
    )
    highest = max(risk for vessel, risk in zip(Vessel, risks, strict=True) if vessel != "LM")
    findings = (Finding("leads", ReasonCode.LEADS_NEARLY_EQUAL, "V2", 0.9, 0.8),)
    return Scored(of, findings, Assessment(tasks, highest, stratum_of(highest)), False, 0)


def rejected(of: Facts, reason: ReasonCode = ReasonCode.LEAD_FLAT) -> Rejected:
    return Rejected(of, (Finding("flat", reason, "V1", 0.0, 0.01, refuses=True),), reason, None)
