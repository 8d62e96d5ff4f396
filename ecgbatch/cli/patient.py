"""`ecgbatch patient`: merge, unmerge, lookup."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ecgbatch.cli import identifiers
from ecgbatch.cli.options import print_json, print_table, settings_from, settings_options
from ecgbatch.identity import Pseudonymiser
from ecgbatch.records import Named
from ecgbatch.settings import Settings

if TYPE_CHECKING:
    from ecgbatch.store.engine import Engine
    from ecgbatch.store.patients import Patient

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Input = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


def _options(file_help: str, key_help: str, n_keys: int) -> Callable[[_Function], _Function]:
    def added(function: _Function) -> _Function:
        for option in (
            click.option("--reason", "why", required=True, help="Why; it stands in the audit."),
            click.option("--authority", help="Who issued the identifiers; else site.authority."),
            click.option(
                "--key",
                "keys",
                nargs=n_keys,
                metavar=" ".join(["KEY"] * n_keys),
                callback=identifiers.checked_key,
                help=key_help,
            ),
            click.option("--file", "file", type=_Input, help=file_help),
        ):
            function = option(function)
        return function

    return added


@click.group("patient")
def command() -> None:
    """Merge, unmerge or look up a patient.

    Identifiers come from a file or a hidden prompt, never from the command line, and go no further
    than their hash. Each act and each look stands in the audit table, with pseudonyms alone.
    """


@command.command("merge")
@_options("Lines FROM <tab> INTO; `-` is standard input.", "Patient keys: FROM, then INTO.", 2)
@settings_options
def merge(
    file: Path | None,
    keys: tuple[str, str] | None,
    authority: str | None,
    why: str,
    config_file: Path | None,
    db_url: str | None,
    as_json: bool,
) -> None:
    """Show the ECGs of one patient identifier under another one.

    Views show the surviving patient from now on; recordings and the linking of exports stay as the
    files have them. Several lines are one transaction: all or none.
    """
    from ecgbatch.provenance import actor
    from ecgbatch.store import patients
    from ecgbatch.store.engine import transaction

    settings, engine = _opened(config_file, db_url, why)
    rows = _keys(settings, engine, authority, file, keys, ("merge from", "into"))
    with transaction(engine) as connection:
        moved = [
            patients.merge(connection, source, target, actor=actor(), why=why.strip())
            for source, target in rows
        ]
    _print_acts("merged", moved, as_json)


@command.command("unmerge")
@_options("Lines with one identifier; `-` is standard input.", "A patient key.", 1)
@settings_options
def unmerge(
    file: Path | None,
    keys: str | None,
    authority: str | None,
    why: str,
    config_file: Path | None,
    db_url: str | None,
    as_json: bool,
) -> None:
    """Undo a merge: the ECGs of this identifier are shown under it again.

    Several lines are one transaction: all or none.
    """
    from ecgbatch.provenance import actor
    from ecgbatch.store import patients
    from ecgbatch.store.engine import transaction

    settings, engine = _opened(config_file, db_url, why)
    rows = _keys(settings, engine, authority, file, keys, ("identifier",))
    with transaction(engine) as connection:
        moved = [
            patients.unmerge(connection, source, actor=actor(), why=why.strip())
            for (source,) in rows
        ]
    _print_acts("unmerged", moved, as_json)


@command.command("lookup")
@_options("Lines with one identifier; `-` is standard input.", "A patient key.", 1)
@click.option("--identifier", "with_identifier", is_flag=True, help="Also say who it is.")
@settings_options
def lookup(
    file: Path | None,
    keys: str | None,
    authority: str | None,
    why: str,
    with_identifier: bool,
    config_file: Path | None,
    db_url: str | None,
    as_json: bool,
) -> None:
    """List the ECGs of a patient, those of merged identifiers included.

    With --identifier also the identifiers behind the pseudonyms, where site.keep_identifiers kept
    them; on PostgreSQL the account needs the role ecgbatch_identity for that.
    """
    from ecgbatch.provenance import actor
    from ecgbatch.store import identifiers as kept
    from ecgbatch.store import patients
    from ecgbatch.store.engine import transaction

    settings, engine = _opened(config_file, db_url, why)
    rows = _keys(settings, engine, authority, file, keys, ("identifier",))
    with transaction(engine) as connection:
        found = [
            patients.look_up(
                connection, key, actor=actor(), why=why.strip(), with_identifier=with_identifier
            )
            for (key,) in rows
        ]
        known = [kept.read(connection, one.keys) if with_identifier else () for one in found]
    if as_json:
        shown = {"identifiers": known} if with_identifier else {}
        print_json({"patients": found} | shown)
        return
    for one, names in zip(found, known, strict=True):
        _print_patient(one, names)


def _opened(config_file: Path | None, db_url: str | None, why: str) -> "tuple[Settings, Engine]":
    from ecgbatch.preparation import open_database

    if not why.strip():
        raise click.UsageError("--reason must say something")
    settings = settings_from(config_file, db_url)
    return settings, open_database(settings)[0]


def _keys(
    settings: Settings,
    engine: "Engine",
    authority: str | None,
    file: Path | None,
    keys: tuple[str, ...] | str | None,
    words: tuple[str, ...],
) -> list[tuple[str, ...]]:
    """Patient keys, one tuple for each act; identifiers end here."""
    if file is not None and keys is not None:
        raise click.UsageError("give either --file or --key")
    if keys is not None:
        return [(keys,) if isinstance(keys, str) else keys]
    pseudonymiser = _pseudonymiser(settings, engine, authority)
    return [
        tuple(identifiers.key_of(identifier, pseudonymiser) for identifier in row)
        for row in identifiers.asked(file, words)
    ]


def _pseudonymiser(settings: Settings, engine: "Engine", authority: str | None) -> Pseudonymiser:
    from ecgbatch.preparation import pseudonymiser_of

    pseudonymiser, _ = pseudonymiser_of(settings, engine, may_create=False)
    return pseudonymiser if authority is None else replace(pseudonymiser, authority=authority)


def _print_acts(word: str, moved: list[int], as_json: bool) -> None:
    if as_json:
        print_json({word: len(moved), "recordings": moved})
        return
    for number in moved:
        click.echo(f"{word}: {number} recording(s) are shown under another patient now")


def _print_patient(one: "Patient", names: Sequence[Named]) -> None:
    click.echo(f"patient key  {one.current_key}")
    for key in one.keys[1:]:
        click.echo(f"merged       {key}")
    for name in names:
        click.echo(
            f"identifier   {name.identifier} ({name.authority}), key {name.patient_key[:12]}"
        )
    if not one.recordings:
        click.echo("no recording\n")
        return
    print_table(
        ("record", "ECG of", "first seen", "disposition"),
        [
            (r.recording_id, r.acquired_at, r.first_seen_at, ", ".join(r.dispositions))
            for r in one.recordings
        ],
    )
    click.echo()
