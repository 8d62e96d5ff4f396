"""One waveform, exact at any sampling frequency, written in many formats."""

import base64
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import equivalent_vendors as vendors
import numpy as np
import philips_files as philips
import scp_files as scp
import wfdb
from edfio import Edf, EdfSignal
from equivalent_signal import EIGHT, LEAD_CODES, MUSE_ORDER, SHUFFLED, counts_of, row_of
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, TwelveLeadECGWaveformStorage, generate_uid
from reader_cases import GUANGXI, wfdb_bytes

from ecgbatch.records import Member, Millivolts, RecordingBytes
from ecgbatch.terms import LEADS


def wfdb_record(
    signal: Millivolts, rate: int, leads: tuple[str, ...], step_mv: float, fmt: str
) -> RecordingBytes:
    n = len(leads)
    with TemporaryDirectory() as folder:
        wfdb.wrsamp(
            "record",
            fs=rate,
            units=["mV"] * n,
            sig_name=list(leads),
            d_signal=counts_of(signal, leads, step_mv).T,
            fmt=[fmt] * n,
            adc_gain=[1 / step_mv] * n,
            baseline=[0] * n,
            write_dir=folder,
        )
        return wfdb_bytes(Path(folder) / "record.hea")


def muse(signal: Millivolts, rate: int, leads: tuple[str, ...], step_mv: float) -> RecordingBytes:
    """The real export with its rhythm strip's leads replaced."""
    text = GUANGXI.read_text(encoding="utf-8")
    start = text.index("<WaveformType>Rhythm")
    head, strip = text[:start], text[start:]
    strip = re.sub(r"(<SampleBase>)\d+", rf"\g<1>{rate}", strip, count=1)
    first, last = strip.index("<LeadData>"), strip.rindex("</LeadData>") + len("</LeadData>")
    template = strip[first : strip.index("</LeadData>") + len("</LeadData>")]
    counts = counts_of(signal, leads, step_mv)
    blocks = [
        _muse_lead(template, lead, row, step_mv) for lead, row in zip(leads, counts, strict=True)
    ]
    content = (head + strip[:first] + "\n".join(blocks) + strip[last:]).encode()
    return RecordingBytes((Member("ecg.xml", content),))


def _muse_lead(template: str, lead: str, counts: NDArray[np.int64], step_mv: float) -> str:
    content = counts.astype("<i2").tobytes()
    fields = {
        "LeadByteCountTotal": len(content),
        "LeadSampleCountTotal": counts.size,
        "LeadAmplitudeUnitsPerBit": f"{step_mv * 1000:g}",
        "LeadID": lead,
        "LeadDataCRC32": zlib.crc32(content),
        "WaveFormData": base64.b64encode(content).decode(),
    }
    for name, value in fields.items():
        template, n_found = re.subn(
            rf"<{name}>[^<]*</{name}>", f"<{name}>{value}</{name}>", template
        )
        assert n_found == 1
    return template


def aecg(signal: Millivolts, rate: int, leads: tuple[str, ...], step_mv: float) -> RecordingBytes:
    """By the standard: HL7 V3 annotated ECG, release 1."""
    sequence = (
        "<component><sequence><code code='{}'/>"
        "<value xsi:type='{}'>{}</value></sequence></component>"
    )
    increment = f"<head value='0' unit='s'/><increment value='{1 / rate:g}' unit='s'/>"
    sequences = [sequence.format("TIME_RELATIVE", "GLIST_PQ", increment)]
    for lead, row in zip(leads, counts_of(signal, leads, step_mv), strict=True):
        scale = f"<origin value='0' unit='uV'/><scale value='{step_mv * 1000:g}' unit='uV'/>"
        digits = f"{scale}<digits>{' '.join(map(str, row))}</digits>"
        sequences.append(sequence.format(f"MDC_ECG_LEAD_{lead.upper()}", "SLIST_PQ", digits))
    content = (
        "<AnnotatedECG xmlns='urn:hl7-org:v3' xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'>"
        "<component><series><code code='RHYTHM' codeSystem='2.16.840.1.113883.5.4'/>"
        f"<component><sequenceSet>{''.join(sequences)}</sequenceSet></component>"
        "</series></component></AnnotatedECG>"
    )
    return RecordingBytes((Member("ecg.xml", content.encode()),))


def dicom(signal: Millivolts, rate: int, leads: tuple[str, ...], step_mv: float) -> RecordingBytes:
    group = Dataset()
    group.WaveformOriginality = "ORIGINAL"
    group.NumberOfWaveformChannels = len(leads)
    group.NumberOfWaveformSamples = signal.shape[1]
    group.SamplingFrequency = str(rate)
    group.ChannelDefinitionSequence = [_dicom_channel(lead, step_mv) for lead in leads]
    group.WaveformBitsAllocated = 16
    group.WaveformSampleInterpretation = "SS"
    group.WaveformData = counts_of(signal, leads, step_mv).T.astype("<i2").tobytes()
    dataset = Dataset()
    dataset.SOPClassUID = TwelveLeadECGWaveformStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["equivalent"])
    dataset.Modality = "ECG"
    dataset.WaveformSequence = [group]
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = TwelveLeadECGWaveformStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    content = BytesIO()
    dataset.save_as(content, enforce_file_format=True)
    return RecordingBytes((Member("ecg.dcm", content.getvalue()),))


def _dicom_channel(lead: str, step_mv: float) -> Dataset:
    unit, source, channel = Dataset(), Dataset(), Dataset()
    unit.CodeValue, unit.CodingSchemeDesignator, unit.CodeMeaning = "mV", "UCUM", "millivolt"
    source.CodeValue, source.CodingSchemeDesignator = f"5.6.3-9-{LEAD_CODES[lead]}", "SCPECG"
    source.CodeMeaning = f"Lead {lead}"
    channel.ChannelSourceSequence = [source]
    channel.ChannelSensitivity = f"{step_mv:g}"
    channel.ChannelSensitivityUnitsSequence = [unit]
    channel.ChannelSensitivityCorrectionFactor = "1"
    channel.ChannelBaseline = "0"
    channel.WaveformBitsStored = 16
    return channel


def edf(signal: Millivolts, rate: int, leads: tuple[str, ...], step_mv: float) -> RecordingBytes:
    """16 bits; the physical range is what makes the step."""
    reach = (round(-32768 * step_mv, 4), round(32767 * step_mv, 4))
    signals = [
        EdfSignal(
            row_of(signal, lead),
            sampling_frequency=rate,
            label=f"ECG {lead}",
            physical_dimension="mV",
            physical_range=reach,
        )
        for lead in leads
    ]
    content = BytesIO()
    Edf(signals, starttime=datetime(2020, 1, 1).time()).write(content)  # noqa: DTZ001
    return RecordingBytes((Member("ecg.edf", content.getvalue()),))


def array(signal: Millivolts, rate: int, leads: tuple[str, ...], step_mv: float) -> RecordingBytes:
    content = BytesIO()
    np.save(content, (np.stack([row_of(signal, lead) for lead in leads]) * 1000).T)
    sidecar = json.dumps({"sampling_frequency": rate, "unit": "uV", "leads": leads})
    members = (Member("ecg.npy", content.getvalue()), Member("ecg.npy.json", sidecar.encode()))
    assert step_mv == 0
    return RecordingBytes(members)


Write = Callable[[Millivolts, int, tuple[str, ...], float], RecordingBytes]


@dataclass(frozen=True)
class Written:
    """A format as used here, with its quantisation step in mV.

    Attributes:
        has_context: whether anything of the signal is kept after the 10 s.
    """

    name: str
    write: Write
    leads: tuple[str, ...]
    step_mv: float
    has_context: bool = True


def _wfdb(fmt: str) -> Write:
    return lambda signal, rate, leads, step_mv: wfdb_record(signal, rate, leads, step_mv, fmt)


FILES = (
    Written("wfdb 16", _wfdb("16"), LEADS, 0.001),
    Written("wfdb 16, shuffled", _wfdb("16"), SHUFFLED, 0.001),
    Written("wfdb 212, 8 leads", _wfdb("212"), EIGHT, 0.005),
    Written("wfdb 24", _wfdb("24"), MUSE_ORDER, 0.0001),
    Written("wfdb 32", _wfdb("32"), SHUFFLED, 1e-6),
    Written("muse, 8 leads", muse, EIGHT, 0.00488),
    Written("muse, 12 leads", muse, MUSE_ORDER, 0.00488),
    Written("aecg", aecg, SHUFFLED, 0.0025),
    Written("dicom", dicom, LEADS, 0.00125),
    Written("dicom, 8 leads", dicom, EIGHT, 0.001),
    Written("edf", edf, SHUFFLED, 0.0005),
    Written("npy", array, SHUFFLED, 0.0),
    Written("scp", scp.uncompressed, SHUFFLED, 0.0025),
    Written("scp, first differences", scp.first_differences, EIGHT, 0.001),
    Written("scp, second differences", scp.second_differences, MUSE_ORDER, 0.00375),
    Written("philips", philips.uncompressed, SHUFFLED, 0.0025, has_context=False),
    Written("philips, XLI", philips.xli, SHUFFLED, 0.005, has_context=False),
    Written("philips, XLI, 8 leads", philips.xli, EIGHT, 0.005, has_context=False),
    Written("philips 1.03, XLI", philips.xli_of_version_3, LEADS, 0.005, has_context=False),
    Written("mortara", vendors.mortara, MUSE_ORDER, 0.0025),
    Written("mortara, 8 leads", vendors.mortara, EIGHT, 0.005),
    Written("cardiosoft", vendors.cardiosoft, SHUFFLED, 0.005),
    Written("cardiosoft, full disclosure", vendors.full_disclosure, LEADS, 0.005),
    Written("schiller", vendors.schiller, LEADS, 0.001),
    Written("schiller, decimals", vendors.schiller, SHUFFLED, 0.00001),
)
RATES = (250, 500, 1000)
