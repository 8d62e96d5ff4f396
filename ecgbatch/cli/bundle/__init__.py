"""`ecgbatch bundle`: one module for each sub-command."""

import click

from ecgbatch.cli.bundle import (
    activate,
    benchmark,
    compare,
    import_ecgfounder,
    listing,
    promote,
    retire,
    rollback,
    show,
    verify,
)


@click.group("bundle")
def command() -> None:
    """Show, verify, activate, compare, measure or import model bundles."""


for _one in (
    show,
    verify,
    listing,
    activate,
    promote,
    rollback,
    retire,
    compare,
    benchmark,
    import_ecgfounder,
):
    command.add_command(_one.command)
