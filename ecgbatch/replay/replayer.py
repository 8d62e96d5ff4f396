"""A kept result computed again from its file, the way in which results are made."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_bytes
from types import TracebackType
from typing import Self

from ecgbatch.admission import find_bundle, wish_of
from ecgbatch.bundle.load import load_bundle
from ecgbatch.errors import SetupFault, TransientFault
from ecgbatch.identity import Pseudonymiser
from ecgbatch.isolation.decoder import Decoder
from ecgbatch.pipeline import Instruments, assess
from ecgbatch.records import Outcome, RecordingBytes, RetryLater
from ecgbatch.replay.places import NotThere, Places
from ecgbatch.replay.verdict import Verdict, compare, differs
from ecgbatch.scoring.scorer import Scorer
from ecgbatch.settings import Quality, Settings
from ecgbatch.store import bundles as known_bundles
from ecgbatch.store.engine import Engine, transaction
from ecgbatch.store.replays import KeptResult
from ecgbatch.terms import Numerics, ReasonCode, ReplayOutcome, ReplayStage, ResultOutcome


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of computing one result again.

    Attributes:
        stage: the first that differs; None unless the outcome is `differs`.
        difference: largest difference of a logit; None where no logit was computed.
        reason: in a few words, without numbers, names and places; None where all is the same.
        is_of_settings: it differs in what the gates refuse, and they are not those of the result.
    """

    result_id: int
    recording_id: int
    outcome: ReplayOutcome
    stage: ReplayStage | None
    difference: float | None
    reason: str | None
    is_of_settings: bool


class Replayer:
    """Computes results again; for use in a `with` block. Writes nothing, needs no site key.

    The net of one bundle is held at a time: results come best bundle by bundle.
    """

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        *,
        source_root: Path | None = None,
        bundles: Sequence[Path] = (),
    ) -> None:
        """Nothing is read yet.

        Args:
            settings: gates, time zone, reader process, archive and database source are used.
            source_root: where the files lie, instead of the folder that was scanned.
            bundles: folders to look for bundles, before the settings', the database's and the
                shipped one.

        Raises:
            SetupFault: the settings' database source is unfit.
        """
        self._settings = settings
        self._engine = engine
        self._bundles = tuple(bundles)
        self._places = Places(settings, source_root)
        self._decoder = Decoder(settings.isolation)
        self._held: tuple[tuple[str, str], Instruments | ReasonCode] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(closing(self._places))
        self._stack.enter_context(self._decoder)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def replay(self, kept: KeptResult) -> Replayed:
        """Read the source again, compute again, compare.

        Raises:
            SetupFault: nothing can be computed here: a bundle does not reproduce its golden ECGs,
                the readers do not start, or the database that is the source is away.
            TransientFault: this machine has too little memory for it.
        """
        verdict = self._verdict(kept)
        return Replayed(
            kept.result_id,
            kept.recording_id,
            verdict.outcome,
            verdict.stage,
            verdict.difference,
            verdict.reason,
            verdict.is_of_settings,
        )

    def _verdict(self, kept: KeptResult) -> Verdict:
        source = self._places.read(kept)
        if isinstance(source, NotThere):
            if source.is_changed:
                return differs(ReplayStage.BYTES, source.reason)
            return Verdict(ReplayOutcome.GONE, reason=source.reason)
        instruments = self._instruments(kept)
        if isinstance(instruments, ReasonCode):
            return Verdict(ReplayOutcome.GONE, reason=instruments)
        fresh = _assessed(source, instruments)
        verdict = compare(kept, fresh, instruments.manifest, self._settings.gate_digest)
        if not verdict.is_of_settings or kept.outcome is ResultOutcome.REJECTED:
            return verdict
        # Other gates than the result's refuse it; its risk can be computed again all the same.
        open_gates = replace(instruments, quality=_flagging(self._settings.quality))
        passed = _assessed(source, open_gates)
        again = compare(kept, passed, instruments.manifest, self._settings.gate_digest)
        if again.outcome is ReplayOutcome.DIFFERS and not again.is_of_settings:
            return again
        return replace(verdict, difference=again.difference)

    def _instruments(self, kept: KeptResult) -> Instruments | ReasonCode:
        """What made the result, or why its bundle is not to be had; kept until another is needed.

        Raises:
            SetupFault: the bundle is there, but does not compute here as it did.
        """
        key = (kept.bundle_digest, kept.precision)
        if self._held is None or self._held[0] != key:
            self._held = None
            self._held = (key, self._made(*key))
        return self._held[1]

    def _made(self, digest: str, precision: str) -> Instruments | ReasonCode:
        with transaction(self._engine) as connection:
            row = known_bundles.known(connection, digest)
        if row is None:
            return ReasonCode.BUNDLE_MISSING
        try:
            folder = find_bundle(self._settings, row, *self._bundles)
        except SetupFault as fault:
            return fault.reason
        settings = self._settings
        numerics = _numerics(precision)
        scorer = Scorer(
            load_bundle(folder, expected_digest=digest),
            settings.scoring.runtime,
            numerics,
            wish_of(settings),
        )
        return Instruments(
            decode=self._decoder.decode,
            examine=self._decoder.examine,
            score=lambda prepared: scorer.score([prepared])[0],
            manifest=scorer.bundle.manifest,
            numerics=numerics,
            quality=settings.quality,
            eligibility=settings.eligibility,
            # No key of a patient is compared or kept: the site's secret stays where it is.
            pseudonymiser=Pseudonymiser(token_bytes(32), "", ()),
            time_zone=settings.site.time_zone,
        )


def _assessed(source: RecordingBytes, instruments: Instruments) -> Outcome:
    outcome = assess(source, instruments)
    if isinstance(outcome, RetryLater):
        raise TransientFault(outcome.reason)
    return outcome


def _numerics(precision: str) -> Numerics:
    try:
        return Numerics(precision)
    except ValueError:
        raise SetupFault(ReasonCode.BUNDLE_PRECISION, "a result has one of no known name") from None


def _flagging(quality: Quality) -> Quality:
    """The same checks, none of which refuses."""
    checks = {
        name: getattr(quality, name).model_copy(update={"refuses": False})
        for name in type(quality).model_fields
        if hasattr(getattr(quality, name), "refuses")
    }
    return quality.model_copy(update=checks)
