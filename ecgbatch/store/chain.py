"""The hash chain: each row names the one before it, so that no row can be changed unseen."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256

Field = str | int | datetime | None
"""What a chained row consists of."""

_FIRST = "ecgbatch"
_canonical = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def seed(name: str) -> str:
    """What the first row of a chain names; `name` tells one chain from another."""
    return sha256(f"{_FIRST} {name}".encode()).hexdigest()


def link(before: str, fields: Sequence[Field]) -> str:
    """The hash of a row: SHA-256 over the hash before it and every field, as canonical JSON."""
    row = [before, *(_plain(field) for field in fields)]
    return sha256(_canonical(row).encode()).hexdigest()


def _plain(field: Field) -> str | int | None:
    if not isinstance(field, datetime):
        return field
    return field.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
