"""A kept result computed again from its file, the way in which results are made."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
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
from ecgbatch.pipeline import Awaiting, Instruments, after_net, as_far_as_the_net, assess
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
        is_clinical: of the result's bundle.
    """

    result_id: int
    recording_id: int
    outcome: ReplayOutcome
    stage: ReplayStage | None
    difference: float | None
    reason: str | None
    is_of_settings: bool
    is_clinical: bool


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
        self._held: tuple[tuple[str, str], _Making | ReasonCode] | None = None
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

    def replay(self, results: Iterable[KeptResult]) -> Iterator[Replayed]:
        """Read each source again, compute again, compare; in the order of `results`.

        The net is asked about as many at once as its runtime computes at once.

        Raises:
            SetupFault: nothing can be computed here: a bundle does not reproduce its golden ECGs,
                the readers do not start, or the database that is the source is away.
            TransientFault: this machine has too little memory for it.
        """
        together: list[tuple[KeptResult, _Reading | Verdict]] = []
        for kept in results:
            if len(together) >= self._at_once or (together and not _same_net(together[0][0], kept)):
                yield from self._concluded(together)
                together = []
            together.append((kept, self._read(kept)))
        yield from self._concluded(together)

    @property
    def _at_once(self) -> int:
        held = None if self._held is None else self._held[1]
        return held.scorer.batch if isinstance(held, _Making) else 1

    def _read(self, kept: KeptResult) -> "_Reading | Verdict":
        """The source, as far as the net."""
        source = self._places.read(kept)
        if isinstance(source, NotThere):
            if source.is_changed:
                return differs(ReplayStage.BYTES, source.reason)
            return Verdict(ReplayOutcome.GONE, reason=source.reason)
        making = self._making(kept)
        if isinstance(making, ReasonCode):
            return Verdict(ReplayOutcome.GONE, reason=making)
        with _memory():
            return _Reading(making, source, as_far_as_the_net(source, making.instruments))

    def _concluded(
        self, together: list[tuple[KeptResult, "_Reading | Verdict"]]
    ) -> Iterator[Replayed]:
        awaiting = [read for _, read in together if isinstance(read, _Reading) and read.is_awaiting]
        scored = dict(zip(map(id, awaiting), _scored(awaiting), strict=True))
        for kept, read in together:
            if isinstance(read, Verdict):
                verdict = read
            else:
                verdict = self._compared(kept, read, scored.get(id(read), read.before))
            yield _replayed(kept, verdict)

    def _compared(self, kept: KeptResult, read: "_Reading", fresh: Awaiting | Outcome) -> Verdict:
        if isinstance(fresh, Awaiting):
            raise TypeError("not scored")
        instruments, gates = read.making.instruments, self._settings.gate_digest
        verdict = compare(kept, fresh, instruments.manifest, gates)
        if not verdict.is_of_settings or kept.outcome is ResultOutcome.REJECTED:
            return verdict
        # Other gates than the result's refuse it; its risk can be computed again all the same.
        open_gates = replace(instruments, quality=_flagging(self._settings.quality))
        passed = _assessed(read.source, open_gates)
        again = compare(kept, passed, instruments.manifest, gates)
        if again.outcome is ReplayOutcome.DIFFERS and not again.is_of_settings:
            return again
        return replace(verdict, difference=again.difference)

    def _making(self, kept: KeptResult) -> "_Making | ReasonCode":
        """What made the result, or why its bundle is not to be had; kept until another is needed.

        Raises:
            SetupFault: the bundle is there, but does not compute here as it did.
        """
        key = (kept.bundle_digest, kept.precision)
        if self._held is None or self._held[0] != key:
            self._held = None
            self._held = (key, self._made(*key))
        return self._held[1]

    def _made(self, digest: str, precision: str) -> "_Making | ReasonCode":
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
            # One batch after the other, with all that there is.
            replace(wish_of(settings), streams=1, threads=wish_of(settings).cores),
        )
        instruments = Instruments(
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
        return _Making(instruments, scorer)


@dataclass(frozen=True, slots=True, eq=False)
class _Making:
    """What makes the results of one bundle."""

    instruments: Instruments
    scorer: Scorer


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """A source that was read again, and what it came to before the net."""

    making: _Making
    source: RecordingBytes
    before: Awaiting | Outcome

    @property
    def is_awaiting(self) -> bool:
        return isinstance(self.before, Awaiting)


def _scored(readings: Sequence[_Reading]) -> list[Outcome]:
    """What the net makes of readings of one bundle."""
    awaiting = [one.before for one in readings if isinstance(one.before, Awaiting)]
    if not awaiting:
        return []
    making = readings[0].making
    with _memory():
        risks = making.scorer.score_each([one.prepared for one in awaiting])
    return [
        after_net(one, risk, making.instruments) for one, risk in zip(awaiting, risks, strict=True)
    ]


def _same_net(one: KeptResult, other: KeptResult) -> bool:
    return (one.bundle_digest, one.precision) == (other.bundle_digest, other.precision)


def _replayed(kept: KeptResult, verdict: Verdict) -> Replayed:
    return Replayed(
        kept.result_id,
        kept.recording_id,
        verdict.outcome,
        verdict.stage,
        verdict.difference,
        verdict.reason,
        verdict.is_of_settings,
        kept.is_clinical,
    )


@contextmanager
def _memory() -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise TransientFault(ReasonCode.OUT_OF_MEMORY) from None


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
