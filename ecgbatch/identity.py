"""Pseudonyms: from a file's identifiers to keyed hashes. The identifier itself goes no further."""

import hmac
import os
import re
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from secrets import token_bytes

from ecgbatch.errors import SetupFault
from ecgbatch.records import Facts, Identity, Letterhead, Named, Stated
from ecgbatch.terms import ReasonCode

_KEY_BYTES = 32
READABLE = ":"
"""Stands in every key that is no pseudonym, and in none that is one."""

_NOBODY = re.compile(r"[\s0\W_]*")


@dataclass(frozen=True, slots=True)
class Pseudonymiser:
    """Makes the keys of one source.

    Attributes:
        site_key: the secret; whoever has it can recompute a pseudonym. None where the site wants
            no pseudonyms: then the key is the identifier itself.
        authority: who issues the identifiers, part of the hash.
        placeholders: identifiers that name nobody, in lower case.
    """

    site_key: bytes | None = field(repr=False)
    authority: str
    placeholders: Collection[str]

    def patient_key(self, identifier: str | None) -> str | None:
        """HMAC-SHA256(site key, authority NUL identifier), or None for a placeholder.

        Without a site key `authority:identifier` as it stands.
        """
        if identifier is None or self.is_placeholder(identifier):
            return None
        if self.site_key is None:
            return f"{self.authority}{READABLE}{identifier.strip()}"
        message = f"{self.authority}\0{identifier.strip()}".encode()
        return hmac.new(self.site_key, message, sha256).hexdigest()

    def named(self, identifier: str | None) -> Named | None:
        """The identifier with its key, for the store of identifiers; None for a placeholder."""
        key = self.patient_key(identifier)
        if key is None or identifier is None:
            return None
        return Named(key, self.authority, identifier.strip())

    def is_placeholder(self, text: str) -> bool:
        """Blank, zeros and punctuation alone, or one of the listed words."""
        word = text.strip().lower()
        return _NOBODY.fullmatch(word) is not None or word in self.placeholders

    def stated(self, text: str | None) -> str | None:
        """`text` without surrounding blanks, or None where it is a placeholder."""
        return None if text is None or self.is_placeholder(text) else text.strip()


def acquisition_key(
    patient_key: str | None, acquired_at: datetime | None, device: str | None
) -> str | None:
    """Patient, second and device as one hash; None unless all three are known."""
    if patient_key is None or acquired_at is None or device is None:
        return None
    moment = acquired_at.replace(microsecond=0, tzinfo=None).isoformat()
    return sha256("\0".join((patient_key, moment, device)).encode()).hexdigest()


def facts_of_refused(
    letterhead: Letterhead, file_digest: str, pseudonymiser: Pseudonymiser, time_zone: str
) -> Facts:
    """What the store may keep of an ECG whose signal its reader refuses."""
    return replace(
        _stated(letterhead.identity, file_digest, pseudonymiser, time_zone),
        statement_normal=letterhead.statement_normal,
        format=letterhead.format,
        reader=letterhead.reader,
        reader_version=letterhead.reader_version,
    )


def facts_of(
    stated: Stated, file_digest: str, pseudonymiser: Pseudonymiser, time_zone: str
) -> Facts:
    """What the store may keep of a recording; placeholders become None."""
    return replace(
        _stated(stated.identity, file_digest, pseudonymiser, time_zone),
        signal_digest=stated.signal_digest,
        statement_normal=stated.statement_normal,
        format=stated.format,
        sampling_frequency=stated.sampling_frequency,
        n_samples=stated.n_samples,
        reader=stated.reader,
        reader_version=stated.reader_version,
    )


def _stated(
    identity: Identity, file_digest: str, pseudonymiser: Pseudonymiser, time_zone: str
) -> Facts:
    patient_key = pseudonymiser.patient_key(identity.patient_identifier)
    device = pseudonymiser.stated(identity.device)
    return Facts(
        file_digest=file_digest,
        acquisition_key=acquisition_key(patient_key, identity.acquired_at, device),
        patient_key=patient_key,
        acquired_at=identity.acquired_at,
        acquired_zone=identity.acquired_zone or time_zone or None,
        age_years=identity.age_years,
        sex=identity.sex,
        device=device,
        site=pseudonymiser.stated(identity.site),
        accession=pseudonymiser.stated(identity.accession),
        order_number=pseudonymiser.stated(identity.order_number),
        ecg_id=pseudonymiser.stated(identity.ecg_id),
        edit_at=identity.edit_at,
        edit_status=identity.edit_status,
    )


def load_site_key(path: Path) -> bytes:
    """Read the site key.

    Raises:
        SetupFault: it is missing, shorter than 32 bytes, or readable by others.
    """
    try:
        mode = path.stat().st_mode
        content = path.read_bytes()
    except OSError:
        raise SetupFault(ReasonCode.SITE_KEY_MISSING, "site.key_file cannot be read") from None
    if mode & 0o077:
        raise SetupFault(ReasonCode.SITE_KEY_PERMISSIONS)
    if len(content) < _KEY_BYTES:
        raise SetupFault(ReasonCode.SITE_KEY_MISSING, "site.key_file has less than 32 bytes")
    return content


def create_site_key(path: Path) -> bytes:
    """Write a new random key, mode 0600; an existing file is never overwritten."""
    content = token_bytes(_KEY_BYTES)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return content
