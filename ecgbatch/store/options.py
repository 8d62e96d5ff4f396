"""How the database is reached beside its URL."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DatabaseOptions:
    """Attributes:
    schema_name: of the tables on PostgreSQL.
    tls: `verify-full` or `off`, for a server that is reached over TCP.
    tls_root: PEM file of the authority that signs its certificate; empty: the system's.
    """

    schema_name: str = "public"
    tls: str = "verify-full"
    tls_root: str = ""


DEFAULT = DatabaseOptions()
