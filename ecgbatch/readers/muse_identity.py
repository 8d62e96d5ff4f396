"""Who, when and where a MUSE export says. Local wall clock, dates as MM-DD-YYYY."""

from datetime import date, datetime

from ecgbatch.readers.clock import age_between, sex_of, wall_clock
from ecgbatch.readers.scaling import plain_number
from ecgbatch.readers.xml import Node
from ecgbatch.records import Identity

_DATE_FORMATS = ("%m-%d-%Y", "%m/%d/%Y", "%Y-%m-%d")
_UNITS_PER_YEAR = {"YEARS": 1.0, "MONTHS": 12.0, "WEEKS": 52.1775, "DAYS": 365.2425}
_STATUSES = frozenset({"unconfirmed", "confirmed", "corrected"})
_OLDEST_YEARS = 130.0


def read_identity(root: Node) -> Identity:
    """The identity fields of the contracts; what is blank, blanked or malformed is None."""
    test = "TestDemographics"
    acquired_at = _instant(root, "Acquisition")
    status = root.text_at(test, "Status").casefold()
    return Identity(
        patient_identifier=_text(root, "PatientDemographics", "PatientID"),
        acquired_at=acquired_at,
        age_years=_age_years(root),
        sex=sex_of(root.text_at("PatientDemographics", "Gender")),
        device=_joined(root, "AcquisitionDevice", "CartNumber"),
        site=_text(root, test, "SiteName") or _text(root, test, "Site"),
        accession=_text(root, "Order", "HISAccountNumber")
        or _text(root, "Order", "AlternateVisitID"),
        order_number=_text(root, "Order", "RequisitionNumber"),
        ecg_id=_text(root, "PharmaData", "PharmaUniqueECGID"),
        edit_at=_instant(root, "Edit"),
        edit_status=status if status in _STATUSES else None,
    )


def _text(root: Node, *path: str) -> str | None:
    return root.text_at(*path) or None


def _joined(root: Node, *names: str) -> str | None:
    texts = (root.text_at("TestDemographics", name) for name in names)
    return " ".join(text for text in texts if text) or None


def _instant(root: Node, prefix: str) -> datetime | None:
    return wall_clock(
        root.text_at("TestDemographics", f"{prefix}Date"),
        root.text_at("TestDemographics", f"{prefix}Time"),
        _DATE_FORMATS,
    )


def _day(root: Node, *path: str) -> date | None:
    at = wall_clock(root.text_at(*path), "00:00:00", _DATE_FORMATS)
    return at.date() if at else None


def _age_years(root: Node) -> float | None:
    person = "PatientDemographics"
    stated = plain_number(root.text_at(person, "PatientAge"))
    per_year = _UNITS_PER_YEAR.get(root.text_at(person, "AgeUnits").upper())
    # "0 years" is how a blank age is exported; infants are given in months, weeks or days.
    if stated and stated > 0 and per_year and stated / per_year <= _OLDEST_YEARS:
        return stated / per_year
    born = _day(root, person, "DateofBirth")
    tested = _day(root, "TestDemographics", "AcquisitionDate")
    return age_between(born, tested) if born and tested else None
