"""A synthetic ECG as a GE MUSE RestingECG export, laid out like real ones.

Eight stored leads of 16-bit counts, the median beat before the rhythm strip, a CRC-32 for each
lead, dates as month-day-year.
"""

import base64
import zlib
from collections.abc import Iterator
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from ecgbatch.terms import LEADS, SAMPLING_FREQUENCY
from training.synthetic.cohort import SyntheticEcg
from training.synthetic.course import DAYS_PER_YEAR
from training.synthetic.heart import INDEPENDENT_LEADS

SUFFIX = ".xml"

_STORED = [LEADS.index(lead) for lead in INDEPENDENT_LEADS]
_MEDIAN_BEFORE_S, _MEDIAN_SAMPLES = 0.4, 600

NORMAL, ABNORMAL = "Normal ECG", "Abnormal ECG"
RHYTHM = "Sinus rhythm"


def muse_export(ecg: SyntheticEcg) -> bytes:
    """The document, UTF-8. Its counts are the ECG's; one is a step of the device.

    What the synthetic heart does not know (intervals, axes, orders, names) is left out.
    """
    steps = ecg.counts[_STORED] // 2
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<!DOCTYPE RestingECG SYSTEM "restecg.dtd">',
        "<RestingECG>",
        *_element("MuseInfo", {"MuseVersion": "synthetic"}),
        *_element("PatientDemographics", _patient(ecg)),
        *_element("TestDemographics", _test(ecg)),
        *_element("RestingECGMeasurements", {"VentricularRate": f"{ecg.heart_rate:.0f}"}),
        *_diagnosis(ecg),
        *_waveform(ecg, "Median", median_beat(steps, ecg.r_times_s)),
        *_waveform(ecg, "Rhythm", steps),
        "</RestingECG>",
    ]
    return ("\n".join(lines) + "\n").encode("utf-8")


def median_beat(steps: NDArray[np.int16], r_times_s: NDArray[np.float64]) -> NDArray[np.int16]:
    """(8, 600): the sample-wise median of the beats that lie whole in the recording (8, n)."""
    starts = np.rint((r_times_s - _MEDIAN_BEFORE_S) * SAMPLING_FREQUENCY).astype(np.int64)
    whole = starts[(starts >= 0) & (starts + _MEDIAN_SAMPLES <= steps.shape[1])]
    beats = np.stack([steps[:, start : start + _MEDIAN_SAMPLES] for start in whole])
    middle: NDArray[np.int16] = np.rint(np.median(beats, axis=0)).astype(np.int16)
    return middle


def _patient(ecg: SyntheticEcg) -> dict[str, str]:
    born = ecg.acquired_at.toordinal() - round(ecg.age_years * DAYS_PER_YEAR)
    return {
        "PatientID": ecg.patient.patient_id,
        "PatientAge": f"{ecg.age_years:.0f}",
        "AgeUnits": "YEARS",
        "DateofBirth": ecg.acquired_at.fromordinal(born).strftime("%m-%d-%Y"),
        "Gender": ecg.patient.sex.upper(),
        "PatientLastName": "Synthetic",
    }


def _test(ecg: SyntheticEcg) -> dict[str, str]:
    return {
        "DataType": "RESTING",
        "SiteName": ecg.device.site,
        "AcquisitionDevice": ecg.device.name,
        "Status": "UNCONFIRMED",
        "AcquisitionTime": ecg.acquired_at.strftime("%H:%M:%S"),
        "AcquisitionDate": ecg.acquired_at.strftime("%m-%d-%Y"),
    }


def _diagnosis(ecg: SyntheticEcg) -> Iterator[str]:
    texts = {True: (RHYTHM, NORMAL), False: (RHYTHM, ABNORMAL), None: (RHYTHM,)}
    yield "<Diagnosis>"
    yield "<Modality>RESTING</Modality>"
    for text in texts[ecg.statement_normal]:
        yield from _element("DiagnosisStatement", {"StmtFlag": "ENDSLINE", "StmtText": text})
    yield "</Diagnosis>"


def _waveform(ecg: SyntheticEcg, kind: str, steps: NDArray[np.int16]) -> Iterator[str]:
    device = ecg.device
    yield "<Waveform>"
    yield f"<WaveformType>{kind}</WaveformType>"
    yield "<WaveformStartTime>0</WaveformStartTime>"
    yield f"<NumberofLeads>{len(INDEPENDENT_LEADS)}</NumberofLeads>"
    yield "<SampleType>CONTINUOUS_SAMPLES</SampleType>"
    yield f"<SampleBase>{SAMPLING_FREQUENCY:.0f}</SampleBase>"
    yield "<SampleExponent>0</SampleExponent>"
    if device.high_pass_hz is not None:
        yield f"<HighPassFilter>{100 * device.high_pass_hz:.0f}</HighPassFilter>"
    if device.low_pass_hz is not None:
        yield f"<LowPassFilter>{device.low_pass_hz:.0f}</LowPassFilter>"
    if device.mains_gain == 0.0:
        yield f"<ACFilter>{device.mains_hz:.0f}</ACFilter>"
    for lead, row in zip(INDEPENDENT_LEADS, steps, strict=True):
        yield from _element("LeadData", _lead(device.step_uv, lead, row))
    yield "</Waveform>"


def _lead(step_uv: float, lead: str, row: NDArray[np.int16]) -> dict[str, str]:
    content = row.astype("<i2").tobytes()
    return {
        "LeadByteCountTotal": f"{len(content)}",
        "LeadTimeOffset": "0",
        "LeadSampleCountTotal": f"{row.size}",
        "LeadAmplitudeUnitsPerBit": f"{step_uv:.12g}",
        "LeadAmplitudeUnits": "MICROVOLTS",
        "LeadHighLimit": "32767",
        "LeadLowLimit": "-32768",
        "LeadID": lead,
        "LeadOffsetFirstSample": "0",
        "FirstSampleBaseline": "0",
        "LeadSampleSize": "2",
        "LeadOff": "FALSE",
        "BaselineSway": "FALSE",
        "LeadDataCRC32": f"{zlib.crc32(content)}",
        "WaveFormData": f"\n{base64.encodebytes(content).decode('ascii')}",
    }


def _element(name: str, children: dict[str, str]) -> Iterator[str]:
    yield f"<{name}>"
    for child, text in children.items():
        yield f"<{child}>{escape(text)}</{child}>"
    yield f"</{name}>"
