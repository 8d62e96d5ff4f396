"""Stored leads into a Recording: the last step of every reader, in one place."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ecgbatch.errors import Refusal
from ecgbatch.readers.digests import signal_digest
from ecgbatch.readers.leads import stack_leads
from ecgbatch.readers.scaling import StoredLead
from ecgbatch.readers.statements import statement_normal
from ecgbatch.records import Finding, Identity, Letterhead, Millivolts, Recording, RefusedECG


def assemble(
    reader: str,
    version: str,
    stored: Sequence[StoredLead],
    sampling_frequency: float,
    *,
    together: Millivolts | None = None,
    identity: Identity | None = None,
    statements: tuple[str, ...] = (),
    findings: tuple[Finding, ...] = (),
) -> Recording:
    """Order the leads, derive the limb leads that are not stored, digest what is stored.

    Args:
        reader: its NAME, which is the format's too; `version` its VERSION.
        stored: the standard leads that the file has, in any order.
        together: their signals as one matrix, row by row, from a reader that has one.

    Raises:
        InputFault: a lead stands there twice, or the lengths differ.
        RefusedECG: `lead_missing`, if there is no standard lead at all.
    """
    with refusals_of(reader, version, lambda: identity or Identity(), lambda: statements):
        stacked = stack_leads(((lead.name, lead.millivolts) for lead in stored), together)
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


def no_statements() -> tuple[str, ...]:
    return ()


@contextmanager
def refusals_of(
    reader: str,
    version: str,
    identity: Callable[[], Identity],
    statements: Callable[[], tuple[str, ...]] = no_statements,
) -> Iterator[None]:
    """Says which ECG a refusal raised in the block is about.

    So an export without a rhythm strip still retires the older one that it amends.

    Raises:
        RefusedECG: for a Refusal of the block.
    """
    try:
        yield
    except Refusal as refusal:
        normal = statement_normal(statements())
        letterhead = Letterhead(reader, reader, version, identity(), normal)
        raise RefusedECG(refusal, letterhead) from None
