"""Which bundle scores here: chosen by digest, proven on its golden ECGs, or refused."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ecgbatch.bundle.digest import bundle_digest
from ecgbatch.bundle.load import Bundle, load_bundle
from ecgbatch.bundle.manifest import Manifest
from ecgbatch.bundle.operating_points import Cuts, StratumEntry
from ecgbatch.errors import SetupFault
from ecgbatch.machine import cores
from ecgbatch.provenance import actor
from ecgbatch.resources import demonstration
from ecgbatch.scoring.runtimes.registry import Wish
from ecgbatch.scoring.scorer import Scorer
from ecgbatch.settings import Settings
from ecgbatch.store import bundles
from ecgbatch.store.bundles import BundleRow, Change, StratumRow
from ecgbatch.store.engine import Engine, transaction
from ecgbatch.store.past import Past
from ecgbatch.terms import ANY_VESSEL, BundleRole, ReasonCode, Stratum


def bundle_for(
    settings: Settings, engine: Engine, stated: Path | None = None, *, first_use: bool = False
) -> tuple[BundleRow, Path, list[str]]:
    """The champion and the folder in which its bytes lie, checked by digest, weights not loaded.

    Args:
        stated: the folder given on the command line, if any.
        first_use: activate `stated`, or the demonstration, where there is no champion yet.

    Raises:
        SetupFault: no champion, another bundle than it, not the pinned one, or not to be found.
    """
    notices: list[str] = []
    champion = _champion(engine)
    if champion is None and first_use:
        folder = stated or demonstration("bundle")
        if settings.bundle.digest not in ("", bundle_digest(folder)):
            raise SetupFault(ReasonCode.BUNDLE_PINNED_DIGEST)
        champion = activate(engine, settings, folder, why="first use", first_use=True)
        notices.append(f"first use: activated {champion.name} {champion.version} as champion")
    if champion is None:
        raise SetupFault(ReasonCode.BUNDLE_NOT_ACTIVE, "the database has no champion")
    if stated is not None and bundle_digest(stated) != champion.digest:
        command = f"ecgbatch bundle activate --db URL {stated} --reason TEXT"
        raise SetupFault(ReasonCode.BUNDLE_NOT_ACTIVE, f"the champion is another one; {command}")
    _check_choice(settings, champion)
    return champion, find_bundle(settings, champion, stated), notices


def champion_of(settings: Settings, engine: Engine) -> BundleRow:
    """The champion, as far as the settings allow it; its files are not looked at.

    Raises:
        SetupFault: there is none, it is not the pinned one, or a demonstration is not allowed.
    """
    champion = _champion(engine)
    if champion is None:
        raise SetupFault(ReasonCode.BUNDLE_NOT_ACTIVE, "the database has no champion")
    _check_choice(settings, champion)
    return champion


def _champion(engine: Engine) -> BundleRow | None:
    with transaction(engine) as connection:
        return bundles.champion(connection)


def _check_choice(settings: Settings, champion: BundleRow) -> None:
    pinned = settings.bundle.digest
    if pinned and pinned != champion.digest:
        raise SetupFault(ReasonCode.BUNDLE_PINNED_DIGEST)
    if not champion.is_clinical and not settings.bundle.allow_demonstration:
        raise SetupFault(ReasonCode.BUNDLE_NOT_CLINICAL)


def find_bundle(settings: Settings, champion: BundleRow, *stated: Path | None) -> Path:
    """The first folder whose digest is the champion's; `stated` ones are looked at first.

    Raises:
        SetupFault: none has it; where a folder was there but damaged, that is said instead.
    """
    damage: SetupFault | None = None
    for folder in _folders(settings, champion, stated):
        try:
            if bundle_digest(folder) == champion.digest:
                return folder
        except SetupFault as fault:
            damage = damage or fault
    raise damage or SetupFault(ReasonCode.BUNDLE_MISSING, champion.digest[:12])


def _folders(
    settings: Settings, champion: BundleRow, stated: Sequence[Path | None]
) -> Iterator[Path]:
    candidates = (*stated, settings.bundle.folder, champion.location, demonstration("bundle"))
    for candidate in candidates:
        if candidate and os.path.isdir(candidate):  # noqa: PTH112 - says no where Path raises
            yield Path(candidate)


def load_scorer(settings: Settings, champion: BundleRow, folder: Path) -> Scorer:
    """Weights from the bytes that were hashed; golden ECGs reproduced, or SetupFault."""
    return scorer_of(load_bundle(folder, expected_digest=champion.digest), settings)


def scorer_of(bundle: Bundle, settings: Settings) -> Scorer:
    """The bundle in the runtime and precision of the settings; golden ECGs reproduced."""
    return Scorer(bundle, settings.scoring.runtime, settings.scoring.precision, wish_of(settings))


def wish_of(settings: Settings) -> Wish:
    """How much of the machine the settings want the net to use."""
    scoring = settings.scoring
    return Wish(scoring.batch, scoring.streams, scoring.threads, scoring.cores or cores())


def activate(
    engine: Engine, settings: Settings, folder: Path, why: str, *, first_use: bool = False
) -> BundleRow:
    """Make the bundle in `folder` the champion, after its golden ECGs were reproduced here.

    Raises:
        SetupFault: an unfit bundle, or a demonstration in a database with a clinical champion.
    """
    role = BundleRole.CHAMPION
    return enter(engine, settings, folder, role, why, first_use=first_use)[0]


def enter(
    engine: Engine,
    settings: Settings,
    folder: Path,
    role: BundleRole,
    why: str,
    *,
    first_use: bool = False,
    past: Past | None = None,
) -> tuple[BundleRow, Change]:
    """Register the bundle in `folder` and give it a role, as `bundles.activate`.

    Raises:
        SetupFault: an unfit bundle, or as `bundles.activate`.
    """
    bundle = load_bundle(folder)
    report = golden_report(scorer_of(bundle, settings))
    row = _row(bundle, folder)
    with transaction(engine) as connection:
        bundles.register(connection, row, _strata(bundle.manifest))
        change = bundles.activate(
            connection,
            bundle.digest,
            role,
            by=actor(),
            why=why,
            golden_report=report,
            first_use=first_use,
            past=past,
        )
    return row, change


def golden_report(scorer: Scorer) -> str:
    """JSON: how closely this machine reproduced the golden logits, and with what."""
    report = {
        "difference": scorer.golden_difference,
        "tolerance": scorer.bundle.manifest.golden_tolerance[scorer.precision],
        "runtime": scorer.runtime,
        "precision": scorer.precision,
    }
    return json.dumps(report, sort_keys=True)


def _row(bundle: Bundle, folder: Path) -> BundleRow:
    manifest = bundle.manifest
    return BundleRow(
        bundle.digest,
        manifest.name,
        manifest.version,
        manifest.is_clinical,
        str(folder.absolute()),
    )


def _strata(manifest: Manifest) -> tuple[StratumRow, ...]:
    """Cuts of every task and of any vessel, with what the card knows of each stratum."""
    known: dict[tuple[str, Stratum], StratumEntry] = {
        (entry.task, entry.stratum): entry for entry in manifest.strata
    }
    cuts: dict[str, Cuts | None] = {task.vessel: task.cuts for task in manifest.tasks}
    cuts[ANY_VESSEL] = manifest.any_vessel.cuts
    rows = []
    for scope, scope_cuts in cuts.items():
        if scope_cuts is None:
            continue
        for stratum in Stratum:
            entry = known.get((scope, stratum))
            rows.append(_stratum_row(scope, stratum, scope_cuts, entry))
    return tuple(rows)


def _stratum_row(
    scope: str, stratum: Stratum, cuts: Cuts, entry: StratumEntry | None
) -> StratumRow:
    npv = entry.npv if entry else None
    incidence = entry.observed_incidence if entry else None
    cut_from, cut_to = cuts.bounds(stratum)
    return StratumRow(
        task=scope,
        stratum=stratum,
        cut_from=cut_from,
        cut_to=cut_to,
        is_synthetic=bool(entry and entry.is_synthetic),
        share=entry.share if entry else None,
        npv=npv.value if npv else None,
        npv_from=npv.ci[0] if npv else None,
        npv_to=npv.ci[1] if npv else None,
        incidence=incidence.value if incidence else None,
        incidence_from=incidence.ci[0] if incidence else None,
        incidence_to=incidence.ci[1] if incidence else None,
    )
