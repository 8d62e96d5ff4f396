"""`ecgbatch bundle`: one module for each sub-command."""

import click

from ecgbatch.cli.bundle import (
    activate,
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
    """Show, verify, activate, compare or import model bundles."""


for _one in (
    show,
    verify,
    listing,
    activate,
    promote,
    rollback,
    retire,
    compare,
    import_ecgfounder,
):
    command.add_command(_one.command)
