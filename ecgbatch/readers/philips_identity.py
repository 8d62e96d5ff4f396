"""Who, when and where a Philips export says, and what its interpretation says."""

import re
from collections.abc import Iterator
from datetime import date, datetime

from ecgbatch.readers.clock import age_between, sex_of, wall_clock
from ecgbatch.readers.vendor_xml import stated_age
from ecgbatch.readers.xml import Node
from ecgbatch.records import Identity

_DATE_FORMATS = ("%Y-%m-%d",)
_STATUSES = frozenset({"unconfirmed", "confirmed", "corrected"})
_BLANK = re.compile(r"[-*_?.\s]*|[xX]{3,}")
_UUID_NAME = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:\.xml)?", re.IGNORECASE)


def read_identity(root: Node) -> Identity:
    """The identity fields of the contracts; what is blank, blanked or malformed is None."""
    acquisition = root.child("dataacquisition")
    acquired_at = _instant(acquisition)
    status = root.attribute("status").casefold()
    return Identity(
        patient_identifier=_patient(root, "patientid")
        or _patient(root, "MRN")
        or _patient(root, "uniquepatientid"),
        acquired_at=acquired_at,
        age_years=_age_years(root, acquired_at),
        sex=sex_of(root.text_at("patient", "generalpatientdata", "sex")),
        device=_device(root),
        site=_acquirer(root, "institutionname")
        or _acquirer(root, "facilityname")
        or _acquirer(root, "departmentname"),
        accession=_acquirer(root, "encounterid"),
        order_number=_stated(root.text_at("orderinfo", "ordernumber"))
        or _stated(root.text_at("orderinfo", "uniqueorderid")),
        ecg_id=_ecg_id(root),
        edit_at=_edit_at(root),
        edit_status=status if status in _STATUSES else None,
    )


def read_statements(root: Node) -> tuple[str, ...]:
    """Severity and statements of the newest interpretation; empty where there is none."""
    newest = _newest_interpretation(root)
    return tuple(_statements(newest)) if newest else ()


def _statements(interpretation: Node) -> Iterator[str]:
    severity = _stated(interpretation.text_at("severity").strip("- "))
    if severity:
        yield severity
    for statement in interpretation.children("statement"):
        sides = (_stated(statement.text_at(side)) for side in ("leftstatement", "rightstatement"))
        text = "; ".join(side for side in sides if side)
        if text:
            yield text


def _newest_interpretation(root: Node) -> Node | None:
    found = [
        node
        for parent in root.children("interpretations")
        for node in parent.children("interpretation")
    ]
    return max(reversed(found), key=lambda node: str(_instant(node) or ""), default=None)


def _stated(text: str) -> str | None:
    """The text, unless it is one of the exporter's blanks (`---`, `xxxxxx`)."""
    return None if _BLANK.fullmatch(text) else text


def _patient(root: Node, name: str) -> str | None:
    return _stated(root.text_at("patient", "generalpatientdata", name))


def _acquirer(root: Node, name: str) -> str | None:
    return _stated(root.text_at("dataacquisition", "acquirer", name))


def _device(root: Node) -> str | None:
    machine = root.child("dataacquisition", "machine")
    if machine is None:
        return None
    texts = (_stated(machine.text.strip()), _stated(machine.attribute("machineid")))
    return " ".join(text for text in texts if text) or None


def _ecg_id(root: Node) -> str | None:
    """The document's UUID; any other name may have been given to a file by hand."""
    match = _UUID_NAME.fullmatch(root.text_at("documentinfo", "documentname"))
    return match[1].lower() if match else None


def _instant(node: Node | None) -> datetime | None:
    if node is None:
        return None
    return wall_clock(node.attribute("date"), node.attribute("time"), _DATE_FORMATS)


def _edit_at(root: Node) -> datetime | None:
    """When the document was last edited or confirmed."""
    newest = _newest_interpretation(root)
    confirmed = newest.child("confirmingclinician") if newest else None
    edits = (_instant(root.child("documentinfo", "editor")), _instant(confirmed))
    return max((at for at in edits if at), default=None)


def _age_years(root: Node, acquired_at: datetime | None) -> float | None:
    """The stated age, else the age at acquisition; `defaultage` is nobody's age."""
    age = root.child("patient", "generalpatientdata", "age")
    if age is None:
        return None
    stated = (stated_age(node.text.strip(), node.name) for node in age.nodes)
    years = next((value for value in stated if value is not None), None)
    born = _born(age)
    if years is not None or born is None or acquired_at is None:
        return years
    return age_between(born, acquired_at.date())


def _born(age: Node) -> date | None:
    at = wall_clock(age.text_at("dateofbirth"), "00:00:00", _DATE_FORMATS)
    return at.date() if at else None
