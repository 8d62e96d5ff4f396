"""Who, when and where an HL7 aECG says, and what its annotations say."""

import re
from collections.abc import Iterator
from datetime import date, datetime

from ecgbatch.readers.clock import age_between, sex_of, wall_clock
from ecgbatch.readers.vendor_xml import stated_age
from ecgbatch.readers.xml import Node
from ecgbatch.records import Identity

_SUBJECT = ("componentOf", "timepointEvent", "componentOf", "subjectAssignment")
_TRIAL_SUBJECT = (*_SUBJECT, "subject", "trialSubject")
_PERSON = (*_TRIAL_SUBJECT, "subjectDemographicPerson")
_TRIAL_SITE = (*_SUBJECT, "componentOf", "clinicalTrial", "location", "trialSite", "location")
_REPORTED_AGE = "21612-7"
"""LOINC."""
_AGE_UNITS = {"a": "y", "mo": "m", "wk": "w", "d": "d"}
"""UCUM units of an age, by the first letter of their names."""
_STATEMENTS = frozenset(
    f"MDC_ECG_INTERPRETATION{part}" for part in ("", "_STATEMENT", "_SUMMARY", "_COMMENT")
)
_BLANK = re.compile(r"[-*_?.\s]*|[xX]{3,}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_INSTANT = re.compile(
    r"(\d{4})-?(\d{2})-?(\d{2})[T ]?(\d{2}):?(\d{2}):?(\d{2}(?:\.\d+)?)"
    r"(?P<zone>Z|[-+]\d{2}:?\d{2})?",
    re.ASCII,
)
_DAY = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})(?:\D.*|\d{2,}.*)?", re.ASCII)
"""A time of birth may stand behind the day."""


def read_identity(root: Node, series: Node, head: str) -> Identity:
    """The identity fields of the contracts; what is blank, blanked or malformed is None.

    Args:
        head: time of the first sample, used where neither document nor series say when.
    """
    acquired_at, zone = _acquired(root, series, head)
    person = root.child(*_PERSON)
    return Identity(
        patient_identifier=_patient(root),
        acquired_at=acquired_at,
        acquired_zone=zone,
        age_years=_age_years(root, person, acquired_at),
        sex=sex_of(_value(person, "code", "administrativeGenderCode")),
        device=_device(series),
        site=_stated(root.text_at("location", "testingSite", "location", "name"))
        or _stated(root.text_at(*_TRIAL_SITE, "name")),
        ecg_id=_ecg_id(root),
    )


def read_statements(series: Node) -> tuple[str, ...]:
    """Texts of the interpretation annotations, or of an `analysis` beside them."""
    texts = [
        text
        for subject in series.children("subjectOf")
        for annotation_set in subject.children("annotationSet")
        for text in _annotated(annotation_set)
    ]
    texts += [node.text_at("gread") for node in series.children("analysis")]
    stripped = (text.strip().strip("- ") for text in texts)
    return tuple(text for text in stripped if _stated(text))


def _annotated(node: Node) -> Iterator[str]:
    for component in node.children("component"):
        for annotation in component.children("annotation"):
            if _value(annotation, "code", "code") in _STATEMENTS:
                yield annotation.text_at("value")
            yield from _annotated(annotation)


def _stated(text: str) -> str | None:
    """The text, unless it is one of the exporter's blanks (`---`, `xxxxxx`)."""
    return None if _BLANK.fullmatch(text) else text


def _value(node: Node | None, attribute: str, *path: str) -> str:
    """An attribute of the first element at `path`; empty where there is none."""
    found = node.child(*path) if node else None
    return found.attribute(attribute) if found else ""


def _patient(root: Node) -> str | None:
    subject = root.child(*_TRIAL_SUBJECT)
    return _stated(_value(subject, "extension", "id")) or _stated(_value(subject, "root", "id"))


def _ecg_id(root: Node) -> str | None:
    """The document's id, if it can be unique: a UUID, or a root with an extension.

    A bare object identifier is none: one exporter writes the same into every document.
    """
    base, extension = _value(root, "root", "id"), _stated(_value(root, "extension", "id"))
    if extension:
        return f"{base}^{extension}".lower() if base else None
    return base.lower() if _UUID.fullmatch(base) else None


def _acquired(root: Node, series: Node, head: str) -> tuple[datetime | None, str | None]:
    edges = ((node, edge) for node in (root, series) for edge in ("low", "center"))
    stated = (_value(node, "value", "effectiveTime", edge) for node, edge in edges)
    instants = (_instant(text) for text in (*stated, head))
    return next((found for found in instants if found[0]), (None, None))


def _instant(text: str) -> tuple[datetime | None, str | None]:
    """`YYYYMMDDhhmmss` or ISO, to the second or finer, and the offset as `+hh:mm`."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        return None, None
    year, month, day, hour, minute, second = match.groups()[:6]
    at = wall_clock(f"{year}-{month}-{day}", f"{hour}:{minute}:{second}", ("%Y-%m-%d",))
    return at, _offset(match["zone"]) if at else None


def _offset(zone: str | None) -> str | None:
    if zone is None:
        return None
    return "+00:00" if zone == "Z" else f"{zone[:3]}:{zone[-2:]}"


def _device(series: Node) -> str | None:
    author = series.child("author")
    if author is None:
        return None
    maker = author.child("seriesAuthor") or author.child("manufacturedProduct")
    if maker is None:
        return None
    device = maker.child("manufacturedSeriesDevice") or maker.child("manufacturedDevice")
    texts = (
        device.text_at("manufacturerModelName") if device else "",
        _value(maker, "extension", "id") or _value(device, "extension", "id"),
    )
    return " ".join(text for text in texts if _stated(text)) or None


def _age_years(root: Node, person: Node | None, acquired_at: datetime | None) -> float | None:
    for variable in root.children("controlVariable"):
        observation = variable.child("relatedObservation")
        if _value(observation, "code", "code") == _REPORTED_AGE:
            unit = _AGE_UNITS.get(_value(observation, "unit", "value"), "")
            stated = stated_age(_value(observation, "value", "value"), unit)
            if stated is not None:
                return stated
    born = _day(_value(person, "value", "birthTime"))
    return age_between(born, acquired_at.date()) if born and acquired_at else None


def _day(text: str) -> date | None:
    match = _DAY.fullmatch(text)
    if match is None:
        return None
    at = wall_clock("-".join(match.groups()), "00:00:00", ("%Y-%m-%d",))
    return at.date() if at else None
