"""Stored leads into a Recording: the last step of every reader, in one place."""

from collections.abc import Sequence

from ecgbatch.readers.digests import signal_digest
from ecgbatch.readers.leads import stack_leads
from ecgbatch.readers.scaling import StoredLead
from ecgbatch.readers.statements import statement_normal
from ecgbatch.records import Finding, Identity, Recording


def assemble(
    reader: str,
    version: str,
    stored: Sequence[StoredLead],
    sampling_frequency: float,
    *,
    identity: Identity | None = None,
    statements: tuple[str, ...] = (),
    findings: tuple[Finding, ...] = (),
) -> Recording:
    """Order the leads, derive the limb leads that are not stored, digest what is stored.

    Args:
        reader: its NAME, which is the format's too; `version` its VERSION.
        stored: the standard leads that the file has, in any order.

    Raises:
        InputFault: a lead stands there twice, or the lengths differ.
        Refusal: `lead_missing`, if there is no standard lead at all.
    """
    stacked = stack_leads((lead.name, lead.millivolts) for lead in stored)
    return Recording(
        signal=stacked.signal,
        lead_names=stacked.names,
        sampling_frequency=sampling_frequency,
        signal_digest=signal_digest(stored, sampling_frequency),
        format=reader,
        reader=reader,
        reader_version=version,
        derived_leads=stacked.derived,
        identity=identity or Identity(),
        statements=statements,
        statement_normal=statement_normal(statements),
        findings=findings,
    )
