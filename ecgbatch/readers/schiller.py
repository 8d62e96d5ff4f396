"""Schiller SEMA XML: the rhythm strip, never the averages."""

from datetime import date, datetime

from ecgbatch.errors import InputFault, Refusal
from ecgbatch.readers.assembly import assemble, refusals_of
from ecgbatch.readers.clock import age_between, sex_of, wall_clock
from ecgbatch.readers.leads import n_usable, standard_name
from ecgbatch.readers.scaling import (
    StoredLead,
    checked_gain,
    checked_sampling_frequency,
    mv_per_unit,
    plain_number,
)
from ecgbatch.readers.vendor_xml import (
    decimals,
    ensure_bounded,
    first_below,
    reader_findings,
    stored_lead,
    whole_number,
)
from ecgbatch.readers.xml import Node, parse_xml, root_name
from ecgbatch.records import Identity, Recording, RecordingBytes
from ecgbatch.terms import ReasonCode

NAME = "schiller"
VERSION = "1"

_ROOT_END = "SchillerEDI"
_RHYTHM = frozenset({"ECG_RHYTHMS", "ECG_RHYTHM"})
_UNITS = {"UV": "uV", "MV": "mV"}
_ONLY_EXPONENT = 1.0
"""What the one known export states beside 500 Hz, where it multiplies by nothing."""


def recognises(head: bytes) -> bool:
    """Whether the root element's name ends in SchillerEDI."""
    return (root_name(head) or "").endswith(_ROOT_END)


def read(source: RecordingBytes) -> Recording:
    """Decode the rhythm strip with the most usable leads, then the most samples.

    Raises:
        Incomplete: the document ends before its root closes.
        InputFault: not well formed, damaged samples, unknown unit, gain or sampling frequency.
        Refusal: `no_rhythm_waveform`, or none of the twelve leads in it.
    """
    document = parse_xml(source.first)
    with refusals_of(NAME, VERSION, lambda: _identity(document.root)):
        wavedata = _rhythm(document.root)
    channels = tuple(wavedata.children("channel"))
    ensure_bounded(channel.text_at("data") for channel in channels)
    frequency = _sampling_frequency(wavedata)
    mv_per_bit = _mv_per_bit(wavedata)
    stored = tuple(lead for channel in channels if (lead := _read_channel(channel, mv_per_bit)))
    return assemble(
        NAME,
        VERSION,
        stored,
        frequency,
        identity=_identity(document.root),
        findings=reader_findings(document),
    )


def _rhythm(root: Node) -> Node:
    strips = [
        wavedata
        for eventdata in root.children("eventdata")
        for event in eventdata.children("event")
        for wavedata in event.children("wavedata")
        if wavedata.text_at("type").upper() in _RHYTHM and any(wavedata.children("channel"))
    ]
    if not strips:
        raise Refusal(ReasonCode.NO_RHYTHM_WAVEFORM)
    return max(strips, key=_usable)


def _usable(wavedata: Node) -> tuple[int, float]:
    channels = tuple(wavedata.children("channel"))
    names = (standard_name(channel.text_at("name")) for channel in channels)
    lengths = (plain_number(channel.text_at("samplecount")) or 0.0 for channel in channels)
    return n_usable(names), max(lengths)


def _sampling_frequency(wavedata: Node) -> float:
    exponent = wavedata.text_at("resolution", "samplerate", "exponent")
    if exponent and plain_number(exponent) != _ONLY_EXPONENT:
        raise InputFault(ReasonCode.SAMPLING_FREQUENCY_INVALID, "exponent")
    value = plain_number(wavedata.text_at("resolution", "samplerate", "value"))
    return checked_sampling_frequency(value)


def _mv_per_bit(wavedata: Node) -> float:
    units = wavedata.text_at("resolution", "yres", "units")
    unit = mv_per_unit(_UNITS.get(units.upper(), "?"))
    per_bit = plain_number(wavedata.text_at("resolution", "yres", "unitperbit"))
    if per_bit is None:
        raise InputFault(ReasonCode.GAIN_INVALID)
    return checked_gain(per_bit * unit)


def _read_channel(channel: Node, mv_per_bit: float) -> StoredLead | None:
    """The lead, verified; None for one beyond the twelve."""
    if channel.text_at("datastype").upper() != "COMMASEPARATE":
        raise InputFault(ReasonCode.XML_VARIANT_UNSUPPORTED, "datastype")
    declared = whole_number(channel.text_at("samplecount"), "samplecount")
    counts, places = decimals(channel.text_at("data"), declared)
    name = standard_name(channel.text_at("name"))
    return stored_lead(name, counts, mv_per_bit, places) if name else None


def _identity(root: Node) -> Identity:
    acquired_at = _acquired_at(root)
    born = _day(root.text_at("patdata", "birthdate"))
    return Identity(
        patient_identifier=root.text_at("patdata", "id") or None,
        acquired_at=acquired_at,
        age_years=age_between(born, acquired_at.date()) if born and acquired_at else None,
        sex=sex_of(root.text_at("patdata", "gender")),
        device=_device(root),
        site=_name_below(root, "aquiring_institute") or _name_below(root, "aquiring_department"),
        accession=_text_below(root, "case_id"),
        order_number=_text_below(root, "order_id"),
    )


def _text_below(root: Node, name: str) -> str | None:
    node = first_below(root, name)
    return (node.text.strip() or None) if node else None


def _name_below(root: Node, place: str) -> str | None:
    node = first_below(root, place)
    return (node.text_at("name") or None) if node else None


def _device(root: Node) -> str | None:
    node = first_below(root, "aquiringdevice")
    if node is None:
        return None
    parts = (node.text_at("hardware", name) for name in ("vendor", "model"))
    return " ".join(part for part in parts if part) or None


def _acquired_at(root: Node) -> datetime | None:
    """YYYYMMDD and hhmmssmmm."""
    day = root.text_at("examdescript", "startdatetime", "date")
    clock = root.text_at("examdescript", "startdatetime", "time")
    fraction = f".{clock[6:]}" if clock[6:] else ""
    return wall_clock(day, f"{clock[:2]}:{clock[2:4]}:{clock[4:6]}{fraction}", ("%Y%m%d",))


def _day(text: str) -> date | None:
    at = wall_clock(text[:8], "00:00:00", ("%Y%m%d",))
    return at.date() if at else None
