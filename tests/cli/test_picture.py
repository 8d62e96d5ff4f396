"""The 12-lead page is true to size: measured in the picture, 10 dots per mm."""

from io import BytesIO
from typing import Literal

import numpy as np
import pytest
from matplotlib import image
from numpy.typing import NDArray

from ecgbatch.picture import draw
from ecgbatch.records import Millivolts, Recording
from ecgbatch.terms import LEADS

_GRID_LEFT, _TRACE_LEFT, _PAGE_HEIGHT = 13.5, 28.5, 210.0
_BASELINES = (152.0, 112.0, 72.0, 32.0)


def _recording(signal: Millivolts, leads: tuple[str, ...] = LEADS) -> Recording:
    return Recording(
        signal=signal,
        lead_names=leads,
        sampling_frequency=500.0,
        signal_digest="0" * 64,
        format="wfdb",
        reader="wfdb",
        reader_version="1",
    )


def _ink(recording: Recording) -> NDArray[np.bool_]:
    """Where the page is nearly black, (2100, 2970)."""
    pixels = image.imread(BytesIO(draw(recording, [], "png")), format="png")
    assert pixels.shape[:2] == (2100, 2970)
    return np.asarray(pixels[:, :, :3].max(axis=2) < 0.4)


def _pulse(lead: str, start_s: float) -> Recording:
    """One millivolt for 0.2 s on top of an electrode's offset."""
    signal = np.full((12, 5000), 0.7)
    first = round(start_s * 500)
    signal[LEADS.index(lead), first : first + 100] += 1.0
    return _recording(signal)


def test_one_millivolt_is_ten_millimetres_and_a_fifth_of_a_second_five() -> None:
    ink = _ink(_pulse("aVF", 3.5))
    # aVF is in the third row and the second column, which starts at 2.5 s.
    baseline, left = _BASELINES[2], _TRACE_LEFT + 3.5 * 25
    level = round((_PAGE_HEIGHT - baseline - 10.0) * 10)
    row = ink[level - 2 : level + 3, round(left * 10) - 60 : round(left * 10) + 120].any(axis=0)
    found = np.flatnonzero(row)
    assert found[0] - 60 == pytest.approx(0, abs=4)
    assert found[-1] - found[0] == pytest.approx(50, abs=6)
    # Nothing of it in the other rows.
    for other in (0, 1):
        level = round((_PAGE_HEIGHT - _BASELINES[other] - 10.0) * 10)
        assert not ink[level, round(left * 10) : round(left * 10) + 50].any()


def test_calibration_pulse_stands_in_every_row() -> None:
    ink = _ink(_recording(np.zeros((12, 5000))))
    left = round((_GRID_LEFT + 5.0 + 1.25) * 10)
    for baseline in _BASELINES:
        level = round((_PAGE_HEIGHT - baseline - 10.0) * 10)
        assert ink[level - 1 : level + 2, left : left + 50].any(axis=0).all()
        assert not ink[level - 10 : level - 4, left : left + 50].any()


def test_missing_lead_is_dashed_and_invalid_samples_are_a_gap() -> None:
    names = tuple(lead for lead in LEADS if lead != "V1")
    signal = np.zeros((11, 5000))
    signal[names.index("II"), 2000:2500] = np.nan
    ink = _ink(_recording(signal, names))

    top = round((_PAGE_HEIGHT - _BASELINES[0]) * 10)
    left = round((_TRACE_LEFT + 5.0 * 25) * 10)
    dashes = ink[top - 1 : top + 2, left + 30 : left + 590].any(axis=0)
    assert 0.2 < dashes.mean() < 0.8

    strip = round((_PAGE_HEIGHT - _BASELINES[3]) * 10)
    left = round((_TRACE_LEFT + 4.0 * 25) * 10)
    assert not ink[strip - 1 : strip + 2, left + 4 : left + 244].any()
    assert ink[strip - 1 : strip + 2, left - 100 : left - 4].any(axis=0).all()


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_same_recording_gives_the_same_bytes(kind: Literal["png", "svg"]) -> None:
    first, second = (draw(_pulse("I", 1.0), ["$x_1$ <b>"], kind) for _ in range(2))
    assert first == second


def test_record_without_a_valid_sample_is_still_a_page() -> None:
    assert _ink(_recording(np.full((12, 5000), np.nan))).any()
    assert _ink(_recording(np.zeros((12, 0)))).any()
