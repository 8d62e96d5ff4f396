"""Seeded faults for clean ECGs: each makes one thing wrong, as strong as asked.

Injected faults are models of field faults, not field faults.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import signal as scipy_signal

from ecgbatch.records import Millivolts, Recording
from ecgbatch.terms import LEADS, ReasonCode

Generator = np.random.Generator


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    Attributes:
        strengths: weak to strong, in `unit`; the last is beyond doubt.
        companions: what the same fault may rightly show as well.
    """

    check: str
    reason: ReasonCode
    refuses: bool
    unit: str
    strengths: tuple[float, ...]
    make: Callable[[Recording, float, Generator], Recording]
    companions: tuple[ReasonCode, ...] = ()


def inject(fault: Fault, ecg: Recording, strength: float, seed: int) -> Recording:
    """The ECG with the fault in it; the same seed makes the same fault."""
    return fault.make(ecg, strength, np.random.default_rng(seed))


def _on_chest_lead(
    change: Callable[[Millivolts, float, float, Generator], Millivolts],
) -> Callable[[Recording, float, Generator], Recording]:
    """The change in one chest lead: in a limb lead it would break Einthoven's equation too."""

    def make(ecg: Recording, strength: float, rng: Generator) -> Recording:
        signal = ecg.signal.copy()
        row = int(rng.integers(6, 12))
        signal[row] = change(signal[row], strength, ecg.sampling_frequency, rng)
        return replace(ecg, signal=signal)

    return make


def _on_electrodes(
    change: Callable[[Millivolts, float, float, Generator], Millivolts],
) -> Callable[[Recording, float, Generator], Recording]:
    """The change in I, II and the chest leads; the other limb leads follow from I and II."""

    def make(ecg: Recording, strength: float, rng: Generator) -> Recording:
        signal = change(ecg.signal, strength, ecg.sampling_frequency, rng)
        lead_i, lead_ii = signal[0], signal[1]
        limb = [lead_ii - lead_i, -(lead_i + lead_ii) / 2, lead_i - lead_ii / 2]
        return replace(ecg, signal=np.vstack([signal[:2], *limb, lead_ii - lead_i / 2, signal[6:]]))

    return make


def _on_all(
    change: Callable[[Millivolts, float, float, Generator], Millivolts],
) -> Callable[[Recording, float, Generator], Recording]:
    def make(ecg: Recording, strength: float, rng: Generator) -> Recording:
        return replace(ecg, signal=change(ecg.signal, strength, ecg.sampling_frequency, rng))

    return make


def _noise(
    shape: tuple[int, ...], low: float, high: float, rate: float, rng: Generator
) -> Millivolts:
    """Gaussian noise of standard deviation 1 in a band, the same for no two leads."""
    band = (low, min(high, 0.45 * rate))
    filtered = scipy_signal.sosfilt(
        scipy_signal.butter(4, band, "bandpass", fs=rate, output="sos"),
        rng.standard_normal((*shape[:-1], shape[-1] + 500)),
    )[..., 500:]
    noise: Millivolts = filtered / filtered.std(axis=-1, keepdims=True)
    return noise


def _drop_lead(ecg: Recording, strength: float, rng: Generator) -> Recording:
    rows = rng.choice(np.arange(6, 12), size=int(strength), replace=False)
    names = tuple(name for row, name in enumerate(LEADS) if row not in rows)
    return replace(ecg, signal=np.delete(ecg.signal, rows, axis=0), lead_names=names)


def _cut(signal: Millivolts, seconds: float, rate: float, rng: Generator) -> Millivolts:
    return signal[:, : round(seconds * rate)].copy()


def _invalid(lead: Millivolts, seconds: float, rate: float, rng: Generator) -> Millivolts:
    n_samples = max(round(seconds * rate), 1)
    start = int(rng.integers(0, lead.size - n_samples + 1))
    lead[start : start + n_samples] = np.nan
    return lead


def _spike(lead: Millivolts, height: float, rate: float, rng: Generator) -> Millivolts:
    lead[int(rng.integers(0, lead.size))] = np.median(lead) + height * rng.choice([-1, 1])
    return lead


def _lead_off(lead: Millivolts, noise_mv: float, rate: float, rng: Generator) -> Millivolts:
    return noise_mv * rng.standard_normal(lead.size)


def _hold(lead: Millivolts, seconds: float, rate: float, rng: Generator) -> Millivolts:
    n_samples = round(seconds * rate)
    start = int(rng.integers(0, lead.size - n_samples + 1))
    lead[start : start + n_samples] = lead[start]
    return lead


def _rail(lead: Millivolts, seconds: float, rate: float, rng: Generator) -> Millivolts:
    n_samples = round(seconds * rate)
    start = int(rng.integers(0, lead.size - n_samples + 1))
    lead[start : start + n_samples] = 16.38 * rng.choice([-1, 1])
    return lead


def _one_beat(signal: Millivolts, seconds: float, rate: float, rng: Generator) -> Millivolts:
    beat = np.zeros_like(signal)
    n_samples = round(seconds * rate)
    beat[:, :n_samples] = signal[:, :n_samples]
    return beat


def _square_wave(signal: Millivolts, noise_mv: float, rate: float, rng: Generator) -> Millivolts:
    time_s = np.arange(signal.shape[1]) / rate
    return np.where(time_s % 1.0 < 0.2, 1.0, 0.0) + noise_mv * rng.standard_normal(signal.shape)


def _scale(signal: Millivolts, factor: float, rate: float, rng: Generator) -> Millivolts:
    return signal * factor


def _limb_gain(ecg: Recording, factor: float, rng: Generator) -> Recording:
    signal = ecg.signal.copy()
    signal[int(rng.integers(2, 6))] *= factor
    return replace(ecg, signal=signal)


def _copy_of(rows: range) -> Callable[[Recording, float, Generator], Recording]:
    def make(ecg: Recording, noise_mv: float, rng: Generator) -> Recording:
        signal = ecg.signal.copy()
        first, second = rng.choice(np.array(rows), size=2, replace=False)
        signal[second] = signal[first] + noise_mv * rng.standard_normal(signal.shape[1])
        return replace(ecg, signal=signal)

    return make


def _clip(lead: Millivolts, percentile: float, rate: float, rng: Generator) -> Millivolts:
    """Clipped so that this share of the samples (%) lies beyond the amplifier's range."""
    centred = lead - np.median(lead)
    limit = float(np.percentile(np.abs(centred), 100.0 - percentile))
    clipped: Millivolts = np.clip(centred, -limit, limit)
    return clipped


def _hum(lead: Millivolts, amplitude: float, rate: float, rng: Generator) -> Millivolts:
    line = rng.choice([50.0, 60.0]) + rng.uniform(-0.2, 0.2)
    phase = rng.uniform(0, 2 * np.pi)
    changed: Millivolts = lead + amplitude * np.sin(
        2 * np.pi * line * np.arange(lead.size) / rate + phase
    )
    return changed


def _drift(lead: Millivolts, amplitude: float, rate: float, rng: Generator) -> Millivolts:
    slow, phase = rng.uniform(0.1, 0.4), rng.uniform(0, 2 * np.pi)
    changed: Millivolts = lead + amplitude * np.sin(
        2 * np.pi * slow * np.arange(lead.size) / rate + phase
    )
    return changed


def _muscle(lead: Millivolts, deviation: float, rate: float, rng: Generator) -> Millivolts:
    return lead + deviation * _noise(lead.shape, 20.0, 150.0, rate, rng)


def _motion(signal: Millivolts, factor: float, rate: float, rng: Generator) -> Millivolts:
    """Noise of 1 to 10 Hz in every electrode, as strong as `factor` times the lead itself."""
    deviation = signal.std(axis=1, keepdims=True)
    moved: Millivolts = signal + factor * deviation * _noise(signal.shape, 1.0, 10.0, rate, rng)
    return moved


def _no_heart(signal: Millivolts, beats: float, rate: float, rng: Generator) -> Millivolts:
    """Noise of 0.02 mV with `beats` upstrokes of 1 mV that come once in 10 s each."""
    time_s = np.arange(signal.shape[1]) / rate
    silent = 0.02 * rng.standard_normal(signal.shape)
    for beat in range(int(beats)):
        centre = 10.0 * (beat + rng.uniform(0.2, 0.8)) / beats
        silent += rng.uniform(0.5, 1.5, (12, 1)) * np.exp(-(((time_s - centre) / 0.02) ** 2))
    return silent


def _declared(ecg: Recording, divisor: float, rng: Generator) -> Recording:
    """The same samples, declared at a lower sampling frequency: a longer record, a slower heart."""
    return replace(ecg, sampling_frequency=ecg.sampling_frequency / divisor)


_R = ReasonCode

FAULTS: dict[str, Fault] = {
    "chest leads left out": Fault(
        "lead_missing", _R.LEAD_MISSING, True, "leads", (1, 2, 6), _drop_lead
    ),
    "cut off": Fault("too_short", _R.TOO_SHORT, True, "s", (9.9, 9.75, 9.0), _on_all(_cut)),
    "samples marked invalid": Fault(
        "invalid_samples", _R.INVALID_SAMPLES, True, "s", (0.002, 0.1, 5), _on_chest_lead(_invalid)
    ),
    "spike": Fault(
        "amplitude",
        _R.AMPLITUDE_IMPLAUSIBLE,
        True,
        "mV",
        (5, 9.9, 10.1, 20),
        _on_chest_lead(_spike),
    ),
    "electrode off, noise left": Fault(
        "flat", _R.LEAD_FLAT, True, "mV", (0.005, 0.002, 0.0009, 0), _on_chest_lead(_lead_off)
    ),
    "lead stands still": Fault(
        "constant_run", _R.LEAD_FLAT, True, "s", (1, 1.9, 2.1, 5), _on_chest_lead(_hold)
    ),
    "lead at the rail": Fault(
        "constant_run", _R.LEAD_FLAT, True, "s", (2.1, 5, 9.6), _on_chest_lead(_rail)
    ),
    "one beat, filled up": Fault(
        "single_beat", _R.NOT_A_RHYTHM_STRIP, True, "s", (2, 1.6, 1.4, 0.8), _on_all(_one_beat)
    ),
    "calibration pulses": Fault(
        "calibration",
        _R.NOT_A_RHYTHM_STRIP,
        True,
        "mV noise",
        (0.02, 0.01, 0.005, 0),
        _on_all(_square_wave),
    ),
    "gain or unit of all leads": Fault(
        "amplitude",
        _R.AMPLITUDE_IMPLAUSIBLE,
        True,
        "times",
        (5, 10, 200, 1000),
        _on_all(_scale),
        companions=(_R.UNIT_SUSPECTED,),
    ),
    "gain 5 times too large": Fault(
        "unit_suspected",
        _R.UNIT_SUSPECTED,
        False,
        "times",
        (2, 3, 5),
        _on_all(_scale),
        companions=(_R.AMPLITUDE_IMPLAUSIBLE, _R.MUSCLE_NOISE),
    ),
    "gain of one limb lead": Fault(
        "limb_leads",
        _R.LIMB_LEADS_INCONSISTENT,
        False,
        "times",
        (1.05, 1.2, 1.5, 2, -1),
        _limb_gain,
        companions=(_R.LEADS_NEARLY_EQUAL,),
    ),
    "chest lead copied": Fault(
        "leads_nearly_equal",
        _R.LEADS_NEARLY_EQUAL,
        False,
        "mV noise",
        (0.02, 0.01, 0.005, 0),
        _copy_of(range(6, 12)),
    ),
    "limb lead copied": Fault(
        "leads_nearly_equal",
        _R.LEADS_NEARLY_EQUAL,
        False,
        "mV noise",
        (0.02, 0.01, 0.005, 0),
        _copy_of(range(6)),
        companions=(_R.LIMB_LEADS_INCONSISTENT,),
    ),
    "clipped": Fault(
        "saturation",
        _R.LEAD_SATURATED,
        False,
        "% of samples",
        (0.2, 0.5, 1, 2, 5),
        _on_chest_lead(_clip),
    ),
    "mains hum": Fault(
        "powerline",
        _R.POWERLINE_NOISE,
        False,
        "mV",
        (0.02, 0.05, 0.1, 0.15, 0.2),
        _on_chest_lead(_hum),
    ),
    "drift": Fault(
        "wander", _R.BASELINE_WANDER, False, "mV", (0.1, 0.5, 1, 2, 4), _on_chest_lead(_drift)
    ),
    "muscle noise": Fault(
        "muscle_noise",
        _R.MUSCLE_NOISE,
        False,
        "mV",
        (0.02, 0.05, 0.06, 0.08, 0.1),
        _on_chest_lead(_muscle),
    ),
    "movement in every electrode": Fault(
        "snr",
        _R.SNR_LOW,
        False,
        "times the lead",
        (0.2, 0.5, 0.7, 1, 2),
        _on_electrodes(_motion),
    ),
    "hardly a beat": Fault(
        "heart_rate",
        _R.HEART_RATE_IMPLAUSIBLE,
        False,
        "beats",
        (4, 3, 2, 1),
        _on_electrodes(_no_heart),
        companions=(_R.SNR_LOW,),
    ),
    "declared too slow": Fault(
        "sampling_frequency", _R.SAMPLING_FREQUENCY_SUSPECTED, False, "times", (2,), _declared
    ),
}
