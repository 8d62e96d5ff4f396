"""The sections of an evaluation, in the order of the report: a new one is a file and a line."""

from types import MappingProxyType

from training.evaluation import (
    at_cuts,
    beats,
    calibration,
    decision,
    discrimination,
    grades,
    incidence,
    reclassification,
    repeatability,
    subgroups,
    sweep,
)
from training.evaluation.section import Section

SECTIONS: MappingProxyType[str, Section] = MappingProxyType(
    {
        "discrimination": discrimination,
        "subgroups": subgroups,
        "at-cuts": at_cuts,
        "calibration": calibration,
        "grades": grades,
        "incidence": incidence,
        "sweep": sweep,
        "decision": decision,
        "reclassification": reclassification,
        "repeatability": repeatability,
        "beats": beats,
    }
)
"""Name: module. The name is that of its files and of its place in the report."""
