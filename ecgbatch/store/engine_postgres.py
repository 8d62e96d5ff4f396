"""Connections to a PostgreSQL server: its schema, its time-outs, and TLS wherever a network is."""

import os
from collections.abc import Mapping
from importlib.util import find_spec

from sqlalchemy import URL, Engine, create_engine

from ecgbatch.errors import SetupFault
from ecgbatch.store.options import DatabaseOptions
from ecgbatch.terms import ReasonCode

WORKER: Mapping[str, str] = {
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",
    "timezone": "UTC",
}
READER: Mapping[str, str] = {
    **WORKER,
    "default_transaction_read_only": "on",
    # A backslash is one: what `sql` sees of a statement is what the server sees.
    "standard_conforming_strings": "on",
}
OWNER: Mapping[str, str] = {"lock_timeout": "30s", "timezone": "UTC"}
"""Migrations may take longer than any statement of a worker."""

_CONNECT: Mapping[str, int] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    # Milliseconds for what was sent to be confirmed: a dead network path is an error, no hang.
    "tcp_user_timeout": 20_000,
}
GRACE_S = 10.0
"""After the server's own time-out for a statement, before it is held to be gone."""


def postgres_engine(url: URL, server: Mapping[str, str], options: DatabaseOptions) -> Engine:
    """An engine for one schema.

    Args:
        server: WORKER, READER or OWNER.

    Raises:
        SetupFault: DATABASE_UNAVAILABLE, the driver is not installed.
    """
    if find_spec("psycopg") is None:
        raise SetupFault(ReasonCode.DATABASE_UNAVAILABLE, "install ecgbatch[postgres]")
    stated = {**server, "search_path": options.schema_name}
    text = " ".join(f"-c {name}={value}" for name, value in stated.items())
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        # A plan made while the tables were empty would be kept: never prepare.
        connect_args={
            **_CONNECT,
            **_tls(url, options),
            "options": text,
            "prepare_threshold": None,
        },
    )
    if "statement_timeout" in server:
        # Only with the driver installed, which SQLite does without.
        from ecgbatch.store.silence import limit_silence  # noqa: PLC0415

        limit_silence(engine, float(server["statement_timeout"].removesuffix("s")) + GRACE_S)
    return engine


def _tls(url: URL, options: DatabaseOptions) -> dict[str, str]:
    """What makes a connection over a network private; stronger than what the URL says."""
    if options.tls == "off" or not is_over_network(url):
        return {}
    return {"sslmode": "verify-full", "sslrootcert": options.tls_root or "system"}


def is_over_network(url: URL) -> bool:
    """Whether any of the URL's hosts is reached by TCP and not by a Unix socket."""
    stated = [url.query.get("hostaddr", ""), url.host or url.query.get("host", "")]
    texts = [one if isinstance(one, str) else ",".join(one) for one in stated]
    if not any(texts):
        texts = [os.environ.get("PGHOSTADDR", ""), os.environ.get("PGHOST", "")]
    hosts = [host for text in texts for host in text.split(",") if host]
    return any(not host.startswith(("/", "@")) for host in hosts)
