"""Exports of formats for which no sample file may be shared, written as their description says."""

import json
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from ecgbatch.records import Member, RecordingBytes
from ecgbatch.terms import LEADS

RATE = 100
N_SAMPLES = 10 * RATE
CHEST = np.random.default_rng(11).integers(-900, 900, (8, N_SAMPLES))


def _counts() -> NDArray[np.int64]:
    """(12, N_SAMPLES) in LEADS order; the limb leads obey Einthoven and Goldberger."""
    one, two = CHEST[0], CHEST[1]
    limb = (one, two, two - one, -(one + two) // 2, one - two // 2, two - one // 2)
    return np.stack([*limb, *CHEST[2:]])


def _numbers(row: NDArray[np.int64]) -> str:
    return ",".join(map(str, row))


def cardiosoft() -> RecordingBytes:
    waves = "".join(
        f'<WaveformData lead="{name}">{_numbers(row)}</WaveformData>'
        for name, row in zip(LEADS, _counts(), strict=True)
    )
    return _one(
        '<?xml version="1.0" encoding="ISO8859-1"?>\n<CardiologyXML>'
        "<ObservationType>RestECG</ObservationType>"
        "<ObservationDateTime><Hour>9</Hour><Minute>5</Minute><Second>7</Second><Day>3</Day>"
        "<Month>2</Month><Year>2021</Year></ObservationDateTime>"
        "<StripData><NumberOfLeads>12</NumberOfLeads>"
        f'<SampleRate units="Hz">{RATE}</SampleRate>'
        f"<ChannelSampleCountTotal>{N_SAMPLES}</ChannelSampleCountTotal>"
        f'<Resolution units="uVperLsb">5</Resolution>{waves}</StripData></CardiologyXML>'
    )


def schiller() -> RecordingBytes:
    root = "com.xiriuz.sema.xml.schillerEDI.SchillerEDI"
    channels = "".join(
        f"<channel><name>{name.upper()}</name><samplecount>{row.size}</samplecount>"
        f"<datastype>COMMASEPARATE</datastype><data>{_numbers(row)},</data></channel>"
        for name, row in zip(LEADS, _counts(), strict=True)
    )
    return _one(
        f'<?xml version="1.0" encoding="utf-8"?>\n<{root}><patdata><id>0012</id></patdata>'
        "<eventdata><event><wavedata><type>ECG_RHYTHMS</type><resolution><samplerate>"
        f"<value>{RATE}</value><unit>HZ</unit><exponent>1</exponent></samplerate><yres>"
        f"<unitperbit>1.0</unitperbit><units>UV</units></yres></resolution>{channels}"
        f"</wavedata></event></eventdata></{root}>"
    )


def npy() -> RecordingBytes:
    target = BytesIO()
    np.save(target, (_counts() / 200).astype(np.float32), allow_pickle=False)
    sidecar = {"sampling_frequency": RATE, "unit": "mV", "leads": list(LEADS)}
    return RecordingBytes(
        (Member("a.npy", target.getvalue()), Member("a.npy.json", json.dumps(sidecar).encode()))
    )


def _one(text: str) -> RecordingBytes:
    return RecordingBytes((Member("a.xml", text.encode()),))
