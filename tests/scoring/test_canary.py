"""The canary comes through, and a fault planted at any stage of the path is seen at that stage."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ecgbatch import canary, examination, pipeline
from ecgbatch.bundle.golden import packaged_golden_ecgs
from ecgbatch.bundle.load import Bundle, load_bundle
from ecgbatch.canary import as_bytes, send
from ecgbatch.errors import InputFault, SetupFault
from ecgbatch.identity import Pseudonymiser
from ecgbatch.isolation.here import decode_here
from ecgbatch.pipeline import Instruments
from ecgbatch.records import ModelInput, Recording, RecordingBytes, Risk
from ecgbatch.resources import demonstration
from ecgbatch.scoring.scorer import Scorer
from ecgbatch.settings import load_settings
from ecgbatch.terms import LEADS, Canary, Numerics, ReasonCode, Stratum

SETTINGS = load_settings(None, None, {})


@pytest.fixture(scope="module")
def live(bundle: Bundle) -> Instruments:
    scorer = Scorer(bundle)
    return Instruments(
        decode=decode_here,
        score=lambda prepared: scorer.score([prepared])[0],
        manifest=bundle.manifest,
        numerics=Numerics.FP32,
        quality=SETTINGS.quality,
        eligibility=SETTINGS.eligibility,
        pseudonymiser=Pseudonymiser(b"k" * 32, "MRN", frozenset()),
        time_zone="",
    )


def test_every_golden_ecg_comes_through(live: Instruments, bundle: Bundle) -> None:
    assert len(bundle.golden_signals_mv) == 2
    assert [send(live, bundle, number) for number in (1, 2)] == [Canary.PASSED] * 2


def test_golden_ecgs_take_turns(live: Instruments, bundle: Bundle) -> None:
    read: list[bytes] = []

    def decode(source: RecordingBytes) -> Recording:
        read.append(source.first)
        return decode_here(source)

    for number in (4, 5, 6):
        send(replace(live, decode=decode), bundle, number)

    assert read[0] == read[2] == as_bytes(bundle.golden_signals_mv[0]).first
    assert read[1] == as_bytes(bundle.golden_signals_mv[1]).first


def test_shipped_golden_ecgs_pass_the_shipped_gates(live: Instruments) -> None:
    shipped = load_bundle(demonstration("bundle"))
    for signals in (packaged_golden_ecgs(), shipped.golden_signals_mv):
        assert [canary._turn(live, signals, one) for one in range(len(signals))] == list(
            range(len(signals))
        )


def test_its_file_is_read_without_rounding(bundle: Bundle) -> None:
    """Against the float32 values themselves, which every float64 holds exactly."""
    signal = bundle.golden_signals_mv[0]
    read = decode_here(as_bytes(signal))

    assert read.lead_names == LEADS
    assert read.sampling_frequency == 500.0
    assert read.signal.astype(np.float32).tobytes() == signal.tobytes()


def _shifted(by: float) -> Callable[[tuple[Risk, ...]], tuple[Risk, ...]]:
    return lambda risks: tuple(replace(risk, logit=risk.logit + by) for risk in risks)


def _probability_moved(risks: tuple[Risk, ...]) -> tuple[Risk, ...]:
    return tuple(replace(risk, probability=risk.probability * 0.999) for risk in risks)


@pytest.mark.parametrize(
    ("tamper", "seen"),
    [
        (_shifted(2e-4), Canary.NET),
        (_shifted(float("nan")), Canary.NET),
        (_shifted(5e-5), Canary.PASSED),  # within the bundle's 1e-4
        (_probability_moved, Canary.STRATA),
    ],
)
def test_scores_that_move_are_seen(
    live: Instruments,
    bundle: Bundle,
    tamper: Callable[[tuple[Risk, ...]], tuple[Risk, ...]],
    seen: Canary,
) -> None:
    assert send(replace(live, score=lambda one: tamper(live.score(one))), bundle, 1) is seen


def test_logits_that_are_not_finite_are_seen(live: Instruments, bundle: Bundle) -> None:
    def score(_: ModelInput) -> tuple[Risk, ...]:
        raise InputFault(ReasonCode.RESULT_NOT_FINITE)

    assert send(replace(live, score=score), bundle, 1) is Canary.NET


def _one_count(recording: Recording) -> Recording:
    signal = recording.signal.copy()
    signal[7, 1234] += 1e-9
    return replace(recording, signal=signal)


def _swapped(recording: Recording) -> Recording:
    return replace(recording, signal=recording.signal[::-1].copy())


@pytest.mark.parametrize(
    "tamper",
    [_one_count, _swapped, lambda one: replace(one, sampling_frequency=499.0)],
)
def test_reader_that_reads_wrongly_is_seen(
    live: Instruments, bundle: Bundle, tamper: Callable[[Recording], Recording]
) -> None:
    wrong = replace(live, decode=lambda source: tamper(decode_here(source)))
    assert send(wrong, bundle, 1) is Canary.SIGNAL


def test_reader_that_is_lost_is_seen(live: Instruments, bundle: Bundle) -> None:
    def decode(_: RecordingBytes) -> Recording:
        raise InputFault(ReasonCode.READER_CRASHED)

    assert send(replace(live, decode=decode), bundle, 1) is Canary.SIGNAL


def test_gates_in_the_path_that_refuse_more_are_seen(
    live: Instruments, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = _with_gate(live, "amplitude", limit=0.01)

    def check(recording: Recording, *_: object) -> Any:
        return canary.check(recording, strict.quality, strict.eligibility)

    monkeypatch.setattr(examination, "check", check)
    assert send(live, bundle, 1) is Canary.GATES


def test_other_preparation_is_seen(
    live: Instruments, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        examination, "to_input", lambda *given: ModelInput(np.zeros((12, 5000), np.float32), 0)
    )
    assert send(live, bundle, 1) is Canary.PREPROCESSING


def test_other_cuts_are_seen(
    live: Instruments, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stratify(*given: Any) -> Any:
        found = canary.stratify(*given)
        turned = [Stratum.HIGH, Stratum.LOW, Stratum.LOW]
        return replace(
            found, any_vessel_stratum=turned[list(Stratum).index(found.any_vessel_stratum)]
        )

    monkeypatch.setattr(pipeline, "stratify", stratify)
    assert send(live, bundle, 1) is Canary.STRATA


def test_gates_of_a_site_that_stop_some_golden_ecgs_leave_the_others(
    live: Instruments, bundle: Bundle
) -> None:
    peaks = [
        float(np.abs(one - np.median(one, axis=1, keepdims=True)).max())
        for one in bundle.golden_signals_mv.astype(np.float64)
    ]
    between = _with_gate(live, "amplitude", limit=sum(peaks) / 2)

    assert peaks[0] != peaks[1]
    assert [send(between, bundle, number) for number in (1, 2)] == [Canary.PASSED] * 2


def test_gates_that_stop_all_golden_ecgs_are_no_fault(live: Instruments, bundle: Bundle) -> None:
    assert send(_with_gate(live, "amplitude", limit=0.01), bundle, 1) is Canary.NOT_SENT


def test_too_little_memory_blames_nothing(live: Instruments, bundle: Bundle) -> None:
    def score(_: ModelInput) -> tuple[Risk, ...]:
        raise MemoryError

    assert send(replace(live, score=score), bundle, 1) is Canary.NOT_SENT


def test_lost_readers_end_the_run(live: Instruments, bundle: Bundle) -> None:
    def decode(_: RecordingBytes) -> Recording:
        raise SetupFault(ReasonCode.SETTINGS_INVALID)

    with pytest.raises(SetupFault):
        send(replace(live, decode=decode), bundle, 1)


def _with_gate(live: Instruments, name: str, **changes: object) -> Instruments:
    gate = getattr(live.quality, name).model_copy(update=changes)
    return replace(live, quality=live.quality.model_copy(update={name: gate}))
