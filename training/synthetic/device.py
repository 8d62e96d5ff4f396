"""What an electrocardiograph makes of the voltages: gain, filters, quantisation."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import signal as filters

from ecgbatch.records import Millivolts
from ecgbatch.terms import LEADS, SAMPLING_FREQUENCY
from training.settings.cohort import CohortSettings, DeviceSettings

ONLY_DEVICE = "synthetic cart"
ONLY_SITE = "synthetic site"
STEP_UV = 5.0
"""One step of a stored lead where the settings name no device."""

Sections = NDArray[np.float64]


def devices(settings: CohortSettings) -> tuple[DeviceSettings, ...]:
    """The cohort's devices: those of the settings, or one without filters."""
    if settings.devices:
        return settings.devices
    only = DeviceSettings(
        name=ONLY_DEVICE, site=ONLY_SITE, mains_hz=settings.mains_hz, step_uv=STEP_UV
    )
    return (only,)


def draw_site(settings: CohortSettings, rng: np.random.Generator) -> str:
    """A patient's site, each as likely as its devices' shares say."""
    return _drawn(devices(settings), rng).site


def draw_device(settings: CohortSettings, rng: np.random.Generator, site: str) -> DeviceSettings:
    """One of the devices of a site."""
    return _drawn(tuple(one for one in devices(settings) if one.site == site), rng)


def _drawn(among: tuple[DeviceSettings, ...], rng: np.random.Generator) -> DeviceSettings:
    ends = np.cumsum([one.share for one in among])
    place = int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))
    return among[min(place, len(among) - 1)]


def recorded(device: DeviceSettings, leads: Millivolts) -> Millivolts:
    """Amplified and filtered, before quantisation: (n, n_samples) mV.

    The filters run forwards in time as in a device, so that a high corner of the high-pass moves
    the ST segment. They start settled, the high-pass on the lead's median (a recording that starts
    within a QRS is not off its baseline), the low-pass on the first sample.
    """
    passed = leads if device.gain == 1.0 else leads * device.gain
    if device.high_pass_hz is not None:
        sections = _sections(device.high_pass_hz, 1, "highpass")
        passed = _filtered(sections, passed, np.median(passed, axis=1, keepdims=True))
    if device.low_pass_hz is not None:
        passed = _filtered(_sections(device.low_pass_hz, 4, "lowpass"), passed, passed[:, :1])
    return passed


@lru_cache(maxsize=64)
def _sections(corner_hz: float, order: int, kind: str) -> Sections:
    found: Sections = filters.butter(
        order, corner_hz, btype=kind, fs=SAMPLING_FREQUENCY, output="sos"
    )
    return found


def _filtered(sections: Sections, leads: Millivolts, settled_on: Millivolts) -> Millivolts:
    """`settled_on`: (n, 1) mV, what each lead is taken to have been before it begins."""
    settled = filters.sosfilt_zi(sections)[:, np.newaxis, :] * settled_on[np.newaxis]
    found, _ = filters.sosfilt(sections, leads, axis=1, zi=settled)
    return np.asarray(found, dtype=np.float64)


def counts_per_mv(device: DeviceSettings) -> float:
    """A count is half a step, so that the derived limb leads, which have halves, are exact."""
    return 2000.0 / device.step_uv


def twelve_leads(independent: Millivolts, step_uv: float = STEP_UV) -> NDArray[np.int16]:
    """Quantise and derive: (8, n) mV, rows as INDEPENDENT_LEADS, to (12, n) counts in LEADS order.

    Source: Einthoven's law and Goldberger's augmented leads, exact in counts.
    """
    steps = np.rint(independent * (1000.0 / step_uv)).astype(np.int64)
    lead_i, lead_ii = steps[0], steps[1]
    counts = np.empty((len(LEADS), independent.shape[1]), dtype=np.int64)
    counts[0], counts[1], counts[2] = 2 * lead_i, 2 * lead_ii, 2 * (lead_ii - lead_i)
    counts[3] = -(lead_i + lead_ii)
    counts[4] = 2 * lead_i - lead_ii
    counts[5] = 2 * lead_ii - lead_i
    counts[6:] = 2 * steps[2:]
    return counts.astype(np.int16)
