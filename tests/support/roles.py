"""A PostgreSQL database with an account of each role, as docs/deploy.md sets one up."""

from dataclasses import dataclass

import psycopg
from sqlalchemy import make_url

from ecgbatch.store.migrate import migrate, roles_sql
from ecgbatch.store.options import DatabaseOptions
from tests.support.postgres import Postgres

ROLES = ("owner", "worker", "reader", "clinical", "operator", "identity")


@dataclass(frozen=True)
class Hospital:
    """One database; `account` is a login that has one role and nothing else."""

    server: Postgres
    name: str
    schema_name: str

    def url(self, role: str = "") -> str:
        account = f"account_{role}" if role else "postgres"
        return self.server.url(self.name).replace("postgres@", f"{account}@")

    def connect(self, role: str = "") -> psycopg.Connection[tuple[object, ...]]:
        url = make_url(self.url(role)).set(drivername="postgresql")
        connection = psycopg.connect(url.render_as_string(), autocommit=True)
        connection.execute(f'SET search_path = "{self.schema_name}"'.encode())
        return connection

    def grant(self) -> None:
        """What a DBA runs before the first and after each migration."""
        with self.connect() as connection:
            connection.execute(roles_sql(self.schema_name).encode())


def hospital(server: Postgres, schema_name: str = "public") -> Hospital:
    """A migrated database; its owner made it, the superuser only the roles."""
    made = Hospital(server, server.create(), schema_name)
    made.grant()
    with made.connect() as connection:
        for role in ROLES:
            known = connection.execute("SELECT to_regrole(%s)", (f"account_{role}",)).fetchone()
            if known == (None,):
                account = f"CREATE ROLE account_{role} LOGIN IN ROLE ecgbatch_{role}"
                connection.execute(account.encode())
        # Whatever the owner's account makes belongs to the role, not to the account.
        connection.execute("ALTER ROLE account_owner SET role = 'ecgbatch_owner'")
    migrate(made.url("owner"), DatabaseOptions(schema_name))
    made.grant()
    return made
