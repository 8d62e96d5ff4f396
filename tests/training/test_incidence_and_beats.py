"""Sections of events after the ECG and of mean beats, against lifelines and ECGs of known beats."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from lifelines.statistics import logrank_test

from ecgbatch.records import Millivolts
from ecgbatch.terms import LEADS, Stratum, Vessel
from tests.support.experiments import experiment
from tests.support.followed_studies import drawn_study
from training.evaluation import beats, incidence
from training.evaluation.incidence import log_rank
from training.evaluation.section import Context, CutPairs
from training.terms import Quantity

CUTS: CutPairs = {Vessel.LAD: (0.2, 0.5), "any_vessel": (0.3, 0.6)}
_RATE = 500


def _context(**changed: bool) -> Context:
    settings = experiment(evaluation={"beats_most": 5})
    return Context(drawn_study(400, **changed), CUTS, settings.evaluation, settings.bootstrap)


def test_incidence_rises_with_the_stratum_and_stands_in_the_measures() -> None:
    found = incidence.examine(_context())
    at_300 = {
        one.stratum: one.estimate.value
        for one in found.measures
        if one.quantity is Quantity.CUMULATIVE_INCIDENCE
        and (one.scope, one.at) == (Vessel.LAD, 300.0)
    }
    assert at_300[Stratum.LOW] < at_300[Stratum.INTERMEDIATE] < at_300[Stratum.HIGH]
    assert any(one.quantity is Quantity.LOG_RANK for one in found.measures)
    assert [one.name for one in found.pictures] == [
        "incidence_lad",
        "incidence_any_vessel",
        "incidence_bars",
    ]
    assert "Death competes: Aalen-Johansen." in found.notes
    below = found.pictures[0].draw().axes[1]
    assert "at risk" in below.get_ylabel()


def test_without_deaths_it_says_kaplan_meier_and_without_dates_nothing() -> None:
    assert any(
        "Kaplan-Meier" in note for note in incidence.examine(_context(has_deaths=False)).notes
    )
    found = incidence.examine(_context(has_follow_up=False))
    assert found.measures == ()
    assert "no event_at" in found.notes[0]


def test_the_log_rank_test_censors_deaths() -> None:
    rng = np.random.default_rng(0)
    days, groups = rng.integers(29, 700, 200).astype(float), rng.integers(0, 2, 200)
    endings = rng.integers(0, 3, 200).astype(np.int8)
    first, second = groups == 0, groups == 1
    peer = logrank_test(days[first], days[second], endings[first] == 1, endings[second] == 1)
    assert log_rank(days, endings, groups) == pytest.approx(peer.p_value)
    assert log_rank(days, endings, np.zeros(200, dtype=np.int64)) is None


def _ecg(
    t_wave_mv: float = 0.2, every: int = 400, first: int = 300
) -> tuple[Millivolts, list[int]]:
    """12 leads with a QRS of 1 mV x (1 + lead / 12) at known samples and a T wave after it."""
    samples = np.arange(5000)
    peaks = list(range(300, 4800, 400))
    one = np.zeros(5000)
    for peak in peaks:
        one += np.exp(-0.5 * ((samples - peak) / 6.0) ** 2)
        one += t_wave_mv * np.exp(-0.5 * ((samples - peak - 130) / 25.0) ** 2)
    gains = 1.0 + np.arange(12)[:, np.newaxis] / 12.0
    return gains * one + 0.3, peaks


def test_r_peaks_are_where_the_beats_were_put() -> None:
    signal, peaks = _ecg()
    found = beats.r_peaks(signal)
    assert len(found) == len(peaks)
    assert np.abs(found - np.array(peaks)).max() <= 1


def test_the_median_beat_is_the_beat_without_offset_and_outlier() -> None:
    signal, peaks = _ecg()
    spoiled = signal.copy()
    spoiled[:, peaks[4] + 60 : peaks[4] + 80] += 1.5
    beat = beats.median_beat(spoiled, (-125, 325))
    assert beat is not None
    assert beat.shape == (12, 450)
    lead = LEADS.index("II")
    gain = 1.0 + lead / 12.0
    assert beat[lead, 125] == pytest.approx(gain, abs=0.02)
    assert beat[lead, 125 + 130] == pytest.approx(0.2 * gain, abs=0.01)
    assert np.abs(beat[:, 125 + 60 : 125 + 70]).max() < 0.1


def test_an_ecg_without_beats_has_no_mean_beat() -> None:
    noise = np.random.default_rng(0).normal(0.0, 1e-3, (12, 5000))
    noise[:, 2000:] = 0.0
    assert beats.median_beat(noise[:, :300], (-125, 325)) is None


def test_the_section_pairs_ecgs_and_keys_when_one_cannot_be_read() -> None:
    context = _context()
    high = context.study.probabilities[:, list(Vessel).index(Vessel.LAD)] >= 0.5
    is_high = dict(zip(context.study.keys, high, strict=True))
    gone: list[str] = []

    def read(keys: Sequence[str]) -> Iterator[Millivolts]:
        for key in keys:
            gone[:] = gone or [key]
            if key not in gone:
                yield _ecg(0.5 if is_high[key] else 0.1)[0]

    found = beats.examine(
        Context(context.study, {Vessel.LAD: (0.2, 0.5)}, context.settings, context.bootstrap, read)
    )
    assert found.notes[0].startswith("1 ECGs could not be read")
    large = found.pictures[0].draw().axes[0]
    heights = [line.get_ydata()[125 + 130] for line in large.lines]
    gain = 1.0 + LEADS.index("II") / 12.0
    assert heights == pytest.approx([0.1 * gain, 0.5 * gain], abs=0.02)


def test_without_the_ecgs_it_says_so() -> None:
    assert beats.examine(_context()).notes == (
        "Not examined: the ECGs themselves are not at hand.",
    )
