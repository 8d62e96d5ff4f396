"""SierraECG documents, written from the description of the format: LZW over second differences."""

import base64

import numpy as np
from equivalent_signal import counts_of, one_file
from numpy.typing import NDArray

from ecgbatch.records import Millivolts, RecordingBytes
from ecgbatch.terms import LEADS

Counts = NDArray[np.int64]

_CODE_BITS = 10
_END = 1023
"""The code that ends the data; those below it are all that the dictionary can hold."""
_BIAS = 64
_ECG_S, _PULSE_S, _PULSE_END_S, _END_S = 10.0, 10.7, 10.9, 11.0
_PULSE_MV = 1.0


def uncompressed(
    signal: Millivolts, rate: int, leads: tuple[str, ...], step_mv: float
) -> RecordingBytes:
    stored = _stored(signal, rate, leads, step_mv)
    content = b"".join(row.astype("<i2").tobytes() for row in stored.values())
    return _document("1.04.02", content, _described(stored, rate, step_mv))


def xli(signal: Millivolts, rate: int, leads: tuple[str, ...], step_mv: float) -> RecordingBytes:
    stored = _stored(signal, rate, leads, step_mv)
    content = b"".join(map(compressed, stored.values()))
    return _document("1.04", content, f'compression="XLI" {_described(stored, rate, step_mv)}')


def xli_of_version_3(
    signal: Millivolts, rate: int, leads: tuple[str, ...], step_mv: float
) -> RecordingBytes:
    """Version 1.03 names no leads: the standard twelve in their order."""
    assert leads == LEADS
    stored = _stored(signal, rate, leads, step_mv)
    content = b"".join(map(compressed, stored.values()))
    coding = 'compressflag="True" compressmethod="XLI" nbitspersample="16"'
    characteristics = (
        "<dataacquisition><signalcharacteristics><acquisitiontype>STD-12</acquisitiontype>"
        f"<numberchannelsallocated>{len(leads)}</numberchannelsallocated>"
        f"<samplingrate>{rate}</samplingrate>"
        f"<signalresolution>{step_mv * 1000:g}</signalresolution>"
        "</signalcharacteristics></dataacquisition>"
    )
    return _document("1.03", content, f"{coding} {_duration(stored, rate)}", characteristics)


def compressed(counts: Counts) -> bytes:
    """One lead: size of the payload, the first bend, and the words of the others as LZW.

    A bend says how the slope changes: 2 y[i-1] - y[i-2] - y[i]. The word of each sample holds
    that of the next one, biased; the last word holds nothing.
    """
    bends = 2 * counts[1:-1] - counts[:-2] - counts[2:]
    words = np.concatenate((counts[:2], bends[1:] + _BIAS, [0]))
    in_two_bytes = words.astype(">i2").view(np.uint8).reshape(-1, 2)
    payload = lzw(in_two_bytes[:, 0].tobytes() + in_two_bytes[:, 1].tobytes())
    first_bend = int(bends[0]).to_bytes(2, "little", signed=True)
    return len(payload).to_bytes(4, "little") + b"\1\0" + first_bend + payload


def lzw(content: bytes) -> bytes:
    """Codes of 10 bits, most significant bit first, without one that clears the dictionary."""
    codes = {bytes([value]): value for value in range(256)}
    bits: list[str] = []
    at = 0
    while at < len(content):
        size = 1
        while at + size < len(content) and content[at : at + size + 1] in codes:
            size += 1
        bits.append(f"{codes[content[at : at + size]]:0{_CODE_BITS}b}")
        if len(codes) < _END:
            codes.setdefault(content[at : at + size + 1], len(codes))
        at += size
    text = "".join(bits) + f"{_END:b}"
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def _stored(
    signal: Millivolts, rate: int, leads: tuple[str, ...], step_mv: float
) -> dict[str, Counts]:
    """11 s as devices store them, the limb leads but I and II as what their equations miss."""
    whole = _with_calibration_pulse(signal, rate)
    counts = dict(zip(leads, counts_of(whole, leads, step_mv), strict=True))
    one, two = counts["I"], counts["II"]
    if not set(leads) > {"III", "aVR", "aVL", "aVF"}:
        return counts
    three = counts["III"]
    expected = {
        "III": two - one,
        "aVR": -((one + two) // 2),
        "aVL": (one - three) // 2,
        "aVF": (two + three) // 2,
    }
    return {lead: expected[lead] - row if lead in expected else row for lead, row in counts.items()}


def _with_calibration_pulse(signal: Millivolts, rate: int) -> Millivolts:
    """10 s of the signal, then zeros and a pulse in every lead."""
    n_ecg, n_pulse, n_pulse_end, n_end = (
        round(seconds * rate) for seconds in (_ECG_S, _PULSE_S, _PULSE_END_S, _END_S)
    )
    whole = np.zeros((signal.shape[0], n_end))
    whole[:, :n_ecg] = signal[:, :n_ecg]
    whole[:, n_pulse:n_pulse_end] = _PULSE_MV
    return whole


def _duration(stored: dict[str, Counts], rate: int) -> str:
    return f'durationperchannel="{stored["I"].size * 1000 // rate}"'


def _described(stored: dict[str, Counts], rate: int, step_mv: float) -> str:
    return (
        f'numberofleads="{len(stored)}" leadlabels="{" ".join(stored)}" '
        f'{_duration(stored, rate)} samplespersecond="{rate}" resolution="{step_mv * 1000:g}"'
    )


def _document(
    version: str, content: bytes, attributes: str, characteristics: str = ""
) -> RecordingBytes:
    text = (
        f"<restingecgdata><documentinfo><documenttype>SierraECG</documenttype>"
        f"<documentversion>{version}</documentversion></documentinfo>{characteristics}<waveforms>"
        f'<parsedwaveforms dataencoding="Base64" {attributes}>\n'
        f"{base64.encodebytes(content).decode()}</parsedwaveforms></waveforms></restingecgdata>"
    )
    return one_file("ecg.xml", text)
