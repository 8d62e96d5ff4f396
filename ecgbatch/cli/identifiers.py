"""Identifiers of patients on their way in: from a file or a hidden prompt, never an argument."""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from ecgbatch.identity import Pseudonymiser

_KEY = re.compile(r"[0-9a-f]{64}")


def asked(path: Path | None, words: Sequence[str]) -> list[tuple[str, ...]]:
    """One tuple of `len(words)` texts for each line of the file, or one from the prompt.

    Args:
        path: tab-separated UTF-8 lines; `-` is standard input; None asks on the terminal.
        words: what is asked for, for example `identifier`.

    Raises:
        click.UsageError: a line of another shape; the message has its number alone.
    """
    if path is None:
        return [tuple(_prompted(word) for word in words)]
    rows = []
    for number, line in enumerate(_text(path).splitlines(), 1):
        if line.strip():
            parts = tuple(part.strip() for part in line.split("\t"))
            if len(parts) != len(words):
                raise click.UsageError(f"line {number} has not {len(words)} column(s) (tabs)")
            rows.append(parts)
    if not rows:
        raise click.UsageError("the file is empty")
    return rows


def key_of(identifier: str, pseudonymiser: Pseudonymiser) -> str:
    """The patient key of an identifier.

    Raises:
        click.UsageError: it is a placeholder, which names nobody.
    """
    key = pseudonymiser.patient_key(identifier)
    if key is None:
        raise click.UsageError("an identifier is a placeholder (blank, zeros, a listed word)")
    return key


def checked_key(_: click.Context, __: click.Parameter, value: object) -> object:
    """Pseudonyms may be arguments; anything else could be an identifier, and is not repeated."""
    keys = value if isinstance(value, tuple) else () if value is None else (value,)
    if not all(_KEY.fullmatch(str(key)) for key in keys):
        raise click.BadParameter("a patient key has 64 hex digits; identifiers: --file or prompt")
    return value


def _prompted(word: str) -> str:
    answer: str = click.prompt(word, hide_input=True, err=True)
    return answer


def _text(path: Path) -> str:
    try:
        if str(path) == "-":
            return sys.stdin.buffer.read().decode("utf-8-sig")
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                click.echo("warning: others can read the file of identifiers: chmod 600", err=True)
            return file.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.UsageError("the file is not UTF-8") from None
    except OSError:
        raise click.UsageError("the file cannot be read") from None
