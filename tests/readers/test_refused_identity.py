"""A reader that finds no rhythm strip still says which ECG it refuses."""

import gzip
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from reader_cases import GUANGXI, SAMPLES

from ecgbatch.isolation.decoder import Decoder
from ecgbatch.records import Member, RecordingBytes, RefusedECG
from ecgbatch.settings import load_settings
from ecgbatch.terms import ReasonCode


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(load_settings(environment={}).isolation) as decoder:
        yield decoder


def _without_strip(path: Path) -> bytes:
    dataset = dcmread(path)
    for group in dataset.WaveformSequence:
        group.WaveformOriginality = "DERIVED"
    target = BytesIO()
    dataset.save_as(target)
    return target.getvalue()


def _xml(path: str, old: bytes, new: bytes) -> tuple[bytes, bytes]:
    content = gzip.decompress((SAMPLES / path).read_bytes())
    return content, content.replace(old, new)


GUANGXI_XML = GUANGXI.read_bytes()
MORTARA_XML = (SAMPLES / "mortara/ecgdatakit_mortara_synthetic.xml").read_bytes()
DICOM = SAMPLES / "dicom/pydicom_waveform_ecg.dcm"

CASES = {
    "muse": (GUANGXI_XML, GUANGXI_XML.replace(b">Rhythm<", b">Median<")),
    "mortara": (MORTARA_XML, MORTARA_XML.replace(b"CHANNEL", b"CHANNELS")),
    "philips": _xml("philips/129DYPRG.xml.gz", b"parsedwaveforms", b"otherwaveforms"),
    "aecg": _xml("aecg/wyf_1.xml.gz", b'"RHYTHM"', b'"REPRESENTATIVE_BEAT"'),
    "dicom": (DICOM.read_bytes(), _without_strip(DICOM)),
}


@pytest.mark.parametrize("reader", CASES)
def test_refusal_names_the_same_ecg_as_the_whole_file(reader: str, decoder: Decoder) -> None:
    whole, without_strip = CASES[reader]
    read = decoder.decode(RecordingBytes((Member("a", whole),)))

    with pytest.raises(RefusedECG) as caught:
        decoder.decode(RecordingBytes((Member("a", without_strip),)))

    assert caught.value.reason is ReasonCode.NO_RHYTHM_WAVEFORM
    letterhead = caught.value.letterhead
    assert (letterhead.reader, letterhead.format) == (reader, reader)
    assert letterhead.identity == read.identity
    assert letterhead.statement_normal == read.statement_normal
    assert letterhead.identity.acquired_at is not None
