"""What a file itself shows to be outside the intended use: always a finding, refusing if set."""

from ecgbatch.quality.of_settings import Eligibility
from ecgbatch.readers.statements import is_paced
from ecgbatch.records import Finding, Recording
from ecgbatch.terms import ADULT_YEARS, ReasonCode


def outside_intended_use(recording: Recording, gates: Eligibility) -> tuple[Finding, ...]:
    """Age under 18 at acquisition; a device's statement of pacing."""
    findings = []
    age_years = recording.identity.age_years
    if age_years is not None and age_years < ADULT_YEARS:
        findings.append(
            Finding(
                "age",
                ReasonCode.AGE_UNDER_18,
                value=age_years,
                limit=ADULT_YEARS,
                refuses=gates.age.refuses,
            )
        )
    if is_paced(recording.statements):
        findings.append(Finding("paced", ReasonCode.PACED, refuses=gates.paced.refuses))
    return tuple(findings)


def is_outside(recording: Recording, findings: tuple[Finding, ...]) -> bool | None:
    """True where the file shows it, False where it shows the contrary, None where it is silent.

    Silent means: no age, or no statement that could have named a pacemaker.
    """
    if any(finding.reason in (ReasonCode.AGE_UNDER_18, ReasonCode.PACED) for finding in findings):
        return True
    if recording.identity.age_years is None or not recording.statements:
        return None
    return False
