"""Mortara / Welch Allyn / Burdick ELI Link XML: the rhythm channels, never the typical cycle."""

import re
from datetime import date, datetime

import numpy as np

from ecgbatch.errors import InputFault, Refusal
from ecgbatch.readers.assembly import assemble, refusals_of
from ecgbatch.readers.clock import age_between, sex_of, wall_clock
from ecgbatch.readers.leads import standard_name
from ecgbatch.readers.scaling import (
    StoredLead,
    checked_gain,
    checked_sampling_frequency,
    plain_number,
)
from ecgbatch.readers.vendor_xml import (
    base64_content,
    reader_findings,
    stated_age,
    stored_lead,
    whole_number,
)
from ecgbatch.readers.xml import Node, parse_xml, root_name
from ecgbatch.records import Counts, Identity, Recording, RecordingBytes
from ecgbatch.terms import ReasonCode

NAME = "mortara"
VERSION = "1"

_ROOT = "ECG"
_MARKS = (b"UNITS_PER_MV", b"ACQUISITION_TIME", b"TYPICAL_CYCLE", b"<CHANNEL ")
_LAYOUT = {"BITS": "16", "FORMAT": "SIGNED", "ENCODING": "BASE64"}
_SEPARATOR = re.compile(r"[-:T]")
_FIELD_IDENTIFIER, _FIELD_SEX, _FIELD_BIRTH = "2", "4", "16"


def recognises(head: bytes) -> bool:
    """Whether the root element is an ECG with the attributes of ELI Link, in any encoding."""
    plain = head.replace(b"\0", b"")
    return root_name(head) == _ROOT and any(mark in plain for mark in _MARKS)


def read(source: RecordingBytes) -> Recording:
    """Decode the CHANNEL elements; each states its own gain, and all one sampling frequency.

    Raises:
        Incomplete: the document ends before its root closes.
        InputFault: not well formed, another layout than 16-bit base64, an OFFSET, damaged
            samples, unknown gain or sampling frequency.
        Refusal: `no_rhythm_waveform`, or none of the twelve leads.
    """
    document = parse_xml(source.first)
    statements = _statements(document.root)
    with refusals_of(NAME, VERSION, lambda: _identity(document.root), lambda: statements):
        channels = _channels(document.root)
    frequency = _sampling_frequency(channels)
    stored = tuple(lead for lead in map(_read_channel, channels) if lead)
    return assemble(
        NAME,
        VERSION,
        stored,
        frequency,
        identity=_identity(document.root),
        statements=statements,
        findings=reader_findings(document),
    )


def _channels(root: Node) -> tuple[Node, ...]:
    channels = tuple(root.children("CHANNEL"))
    if not channels:
        raise Refusal(ReasonCode.NO_RHYTHM_WAVEFORM)
    return channels


def _sampling_frequency(channels: tuple[Node, ...]) -> float:
    stated = {plain_number(channel.attribute("SAMPLE_FREQ")) for channel in channels}
    if len(stated) > 1:
        raise InputFault(ReasonCode.SAMPLING_FREQUENCY_INVALID, "differs")
    return checked_sampling_frequency(stated.pop())


def _read_channel(channel: Node) -> StoredLead | None:
    """The lead, verified; None for one beyond the twelve."""
    for name, value in _LAYOUT.items():
        if channel.attribute(name).upper() != value:
            raise InputFault(ReasonCode.XML_VARIANT_UNSUPPORTED, name)
    # Readers disagree on what an offset means: added to the counts, or a later start.
    if plain_number(channel.attribute("OFFSET") or "0") != 0:
        raise InputFault(ReasonCode.SAMPLE_OFFSET_UNSUPPORTED)
    counts = _samples(channel)
    lead = standard_name(channel.attribute("NAME"))
    if lead is None:
        return None
    return stored_lead(lead, counts, _mv_per_count(channel))


def _mv_per_count(channel: Node) -> float:
    per_mv = plain_number(channel.attribute("UNITS_PER_MV"))
    if not per_mv:
        raise InputFault(ReasonCode.GAIN_INVALID)
    return checked_gain(1 / per_mv)


def _samples(channel: Node) -> Counts:
    content = base64_content(channel.attribute("DATA"))
    if len(content) % 2:
        raise InputFault(ReasonCode.SAMPLE_DATA_DAMAGED)
    counts = np.frombuffer(content, dtype="<i2").astype(np.int64)
    declared = whole_number(channel.attribute("DURATION"), "DURATION")
    if not counts.size or declared not in (None, counts.size):
        raise InputFault(ReasonCode.SIZE_MISMATCH)
    return counts


def _statements(root: Node) -> tuple[str, ...]:
    texts = (
        statement.attribute("TEXT")
        for interpretation in root.children("AUTOMATIC_INTERPRETATION")
        for statement in interpretation.children("STATEMENT")
    )
    return tuple(text for text in texts if text)


def _identity(root: Node) -> Identity:
    fields = _fields(root)
    acquired_at = _instant(root.attribute("ACQUISITION_TIME")) or _instant(
        _SEPARATOR.sub("", root.attribute("ACQUISITION_TIME_XML"))
    )
    return Identity(
        patient_identifier=_of(root, "SUBJECT", "ID", "LOCAL_ID") or fields.get(_FIELD_IDENTIFIER),
        acquired_at=acquired_at,
        age_years=_age_years(root, acquired_at, fields),
        sex=sex_of(_of(root, "SUBJECT", "GENDER") or fields.get(_FIELD_SEX, "")),
        device=_device(root),
        site=_of(root, "SOURCE", "ACQUIRING_DEVICE_SITE_NAME") or _of(root, "SITE", "ID"),
    )


def _fields(root: Node) -> dict[str, str]:
    """The filled demographic fields by ID; their labels are in the language of the cart."""
    return {
        field.attribute("ID"): field.attribute("VALUE")
        for group in root.children("DEMOGRAPHIC_FIELDS")
        for field in group.children("DEMOGRAPHIC_FIELD")
        if field.attribute("VALUE")
    }


def _of(root: Node, name: str, *attributes: str) -> str | None:
    """The first attribute that is not empty, of the first element of that name."""
    node = next(root.children(name), None)
    if node is None:
        return None
    return next((node.attribute(one) for one in attributes if node.attribute(one)), None)


def _device(root: Node) -> str | None:
    parts = (_of(root, "SOURCE", "MODEL"), _of(root, "SOURCE", "ACQUIRING_DEVICE_SERIAL_NUMBER"))
    return " ".join(part for part in parts if part) or None


def _instant(text: str) -> datetime | None:
    """YYYYMMDDhhmmss."""
    day, clock = text[:8], text[8:14]
    return wall_clock(day, f"{clock[:2]}:{clock[2:4]}:{clock[4:]}", ("%Y%m%d",))


def _age_years(root: Node, acquired_at: datetime | None, fields: dict[str, str]) -> float | None:
    stated = stated_age(root.attribute("AGE"), root.attribute("AGE_UNITS"))
    if stated is not None or acquired_at is None:
        return stated
    born = _birth(_of(root, "SUBJECT", "DOB", "DOB_XML") or fields.get(_FIELD_BIRTH, ""))
    return age_between(born, acquired_at.date()) if born else None


def _birth(text: str) -> date | None:
    at = wall_clock(text, "00:00:00", ("%Y%m%d", "%Y-%m-%d"))
    return at.date() if at else None
