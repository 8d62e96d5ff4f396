"""Who has to act on a reason, for the pages: one owner per class, and the exceptions."""

from ecgbatch.reasons import REASONS
from ecgbatch.terms import ReasonClass, ReasonCode

EXPORTING = "exporting system"
RECORDING = "ECG department"
OPERATOR = "operator"

_OF_CLASS = {
    ReasonClass.FORMAT: EXPORTING,
    ReasonClass.SIGNAL: EXPORTING,
    ReasonClass.IDENTITY: "patient index",
    ReasonClass.ELIGIBILITY: "clinical lead",
    ReasonClass.ENVIRONMENT: OPERATOR,
    ReasonClass.INTERNAL: "operator, then maintainers",
}
_AT_THE_BEDSIDE = {
    ReasonCode.LEAD_OFF,
    ReasonCode.LEAD_FLAT,
    ReasonCode.INVALID_SAMPLES,
    ReasonCode.LIMB_LEADS_INCONSISTENT,
    ReasonCode.LEADS_NEARLY_EQUAL,
    ReasonCode.LEAD_SATURATED,
    ReasonCode.POWERLINE_NOISE,
    ReasonCode.BASELINE_WANDER,
    ReasonCode.MUSCLE_NOISE,
    ReasonCode.SNR_LOW,
    ReasonCode.HEART_RATE_IMPLAUSIBLE,
}
_NOBODY = {ReasonCode.SAME_BYTES, ReasonCode.SAME_ACQUISITION, ReasonCode.FILE_CHANGED}
_OPERATORS = {ReasonCode.OPERATOR}


def owner(reason: ReasonCode) -> str:
    """Who has to act."""
    if reason in _AT_THE_BEDSIDE:
        return RECORDING
    if reason in _NOBODY:
        return "nobody"
    if reason in _OPERATORS:
        return OPERATOR
    return _OF_CLASS[REASONS[reason].reason_class]
