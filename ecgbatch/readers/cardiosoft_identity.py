"""Who, when and where a CardioSoft export says; dates come as separate numbers."""

from datetime import date, datetime

from ecgbatch.readers.clock import age_between, sex_of, wall_clock
from ecgbatch.readers.vendor_xml import stated_age
from ecgbatch.readers.xml import Node
from ecgbatch.records import Identity


def read_identity(root: Node) -> Identity:
    """The identity fields of the contracts; what is blank, blanked or malformed is None.

    `UID/DICOMStudyUID` is not taken as the id of the ECG: one study may hold several.
    """
    acquired_at = _instant(root)
    visit = "PatientVisit"
    return Identity(
        patient_identifier=root.text_at("PatientInfo", "PID") or None,
        acquired_at=acquired_at,
        age_years=_age_years(root, acquired_at),
        sex=sex_of(root.text_at("PatientInfo", "Gender")),
        device=root.text_at("ClinicalInfo", "DeviceInfo", "Desc") or None,
        site=root.text_at(visit, "ServicingFacility", "Name")
        or root.text_at(visit, "AssignedPatientLocation", "Facility")
        or None,
        order_number=root.text_at(visit, "OrderNumber") or None,
    )


def _day(root: Node, *path: str) -> str:
    return "-".join(root.text_at(*path, part) for part in ("Year", "Month", "Day"))


def _instant(root: Node) -> datetime | None:
    at = "ObservationDateTime"
    parts = (root.text_at(at, part) for part in ("Hour", "Minute", "Second"))
    clock = ":".join(part.zfill(2) if part else "" for part in parts)
    return wall_clock(_day(root, at), clock, ("%Y-%m-%d",))


def _born(root: Node) -> date | None:
    at = wall_clock(_day(root, "PatientInfo", "BirthDateTime"), "00:00:00", ("%Y-%m-%d",))
    return at.date() if at else None


def _age_years(root: Node, acquired_at: datetime | None) -> float | None:
    node = next(
        (age for info in root.children("PatientInfo") for age in info.children("Age")), None
    )
    stated = stated_age(node.text.strip(), node.attribute("units")) if node else None
    born = _born(root)
    if stated is not None or born is None or acquired_at is None:
        return stated
    return age_between(born, acquired_at.date())
