"""The waveform as Mortara ELI Link, CardioSoft and Schiller XML."""

import base64

import numpy as np
from equivalent_signal import counts_of, one_file, row_of
from numpy.typing import NDArray

from ecgbatch.records import Millivolts, RecordingBytes

_SCHILLER = "com.xiriuz.sema.xml.schillerEDI.SchillerEDI"


def mortara(
    signal: Millivolts, rate: int, leads: tuple[str, ...], step_mv: float
) -> RecordingBytes:
    channels = "".join(
        f'<CHANNEL OFFSET="0" BITS="16" FORMAT="SIGNED" UNITS_PER_MV="{round(1 / step_mv)}" '
        f'DURATION="{row.size}" SAMPLE_FREQ="{rate}" NAME="{lead}" ENCODING="BASE64" '
        f'DATA="{base64.b64encode(row.astype("<i2").tobytes()).decode()}"/>'
        for lead, row in zip(leads, counts_of(signal, leads, step_mv), strict=True)
    )
    return one_file("ecg.xml", f'<ECG ACQUISITION_TIME="20240101000000">{channels}</ECG>')


def cardiosoft(
    signal: Millivolts, rate: int, leads: tuple[str, ...], step_mv: float
) -> RecordingBytes:
    """A strip, one element for each lead."""
    waveforms = "".join(
        f'<WaveformData lead="{lead}">\r\n\t\t{_listed(row)}</WaveformData>'
        for lead, row in zip(leads, counts_of(signal, leads, step_mv), strict=True)
    )
    strip = (
        f"<NumberOfLeads>{len(leads)}</NumberOfLeads>{_cardiosoft_scale(rate, step_mv)}"
        f"<ChannelSampleCountTotal>{signal.shape[1]}</ChannelSampleCountTotal>{waveforms}"
    )
    return one_file("ecg.xml", f"<CardiologyXML><StripData>{strip}</StripData></CardiologyXML>")


def full_disclosure(
    signal: Millivolts, rate: int, leads: tuple[str, ...], step_mv: float
) -> RecordingBytes:
    """One second of the first lead, one second of the second, and so on."""
    counts = counts_of(signal, leads, step_mv)
    seconds = counts.reshape(len(leads), -1, rate).transpose(1, 0, 2).ravel()
    disclosure = (
        f"<NumberOfChannels>{len(leads)}</NumberOfChannels>{_cardiosoft_scale(rate, step_mv)}"
        f"<LeadOrder>{','.join(leads)}</LeadOrder><FullDisclosureData>"
        f"<SampleCountTotal>{seconds.size}</SampleCountTotal>{_listed(seconds)}"
        "</FullDisclosureData>"
    )
    return one_file(
        "ecg.xml",
        f"<CardiologyXML><FullDisclosure>{disclosure}</FullDisclosure></CardiologyXML>",
    )


def schiller(
    signal: Millivolts, rate: int, leads: tuple[str, ...], step_mv: float
) -> RecordingBytes:
    """Microvolts, with as many decimal places as the step needs."""
    places = max(0, round(-np.log10(step_mv * 1000)))
    channels = "".join(
        f"<channel><name>{lead.upper()}</name><samplecount>{signal.shape[1]}</samplecount>"
        "<datastype>COMMASEPARATE</datastype>"
        f"<data>{','.join(f'{value * 1000:.{places}f}' for value in row_of(signal, lead))},</data>"
        "</channel>"
        for lead in leads
    )
    scale = (
        f"<resolution><samplerate><value>{rate}</value><exponent>1</exponent></samplerate>"
        "<yres><unitperbit>1.0</unitperbit><units>UV</units></yres></resolution>"
    )
    strip = f"<wavedata><type>ECG_RHYTHMS</type>{scale}{channels}</wavedata>"
    return one_file(
        "ecg.xml", f"<{_SCHILLER}><eventdata><event>{strip}</event></eventdata></{_SCHILLER}>"
    )


def _cardiosoft_scale(rate: int, step_mv: float) -> str:
    return (
        f'<SampleRate units="Hz">{rate}</SampleRate>'
        f'<Resolution units="uVperLsb">{step_mv * 1000:g}</Resolution>'
    )


def _listed(counts: NDArray[np.int64]) -> str:
    """As the device breaks them: a comma and a line break after every 300 numbers."""
    lines = (counts[at : at + 300] for at in range(0, counts.size, 300))
    return ",\r\n\t\t".join(",".join(map(str, line.tolist())) for line in lines)
