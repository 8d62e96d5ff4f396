"""`ecgbatch sql`."""

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, TextIO

import click

from ecgbatch.cli.options import print_json, print_table, settings_from, settings_options
from ecgbatch.terms import DEMONSTRATION_NOTICE, INTENDED_USE_NOTICE, counted

if TYPE_CHECKING:
    from ecgbatch.answer_files import Taken
    from ecgbatch.store.answer import Column, Question
    from ecgbatch.store.statement import Statement

    _Notices = Callable[[Iterable[Column]], list[str]]

_FORMATS = ("table", "csv", "json", "parquet")
_TABLE_ROWS = 1000
_RISKS = {
    *("score", "result", "bundle_stratum", "v_latest_risk", "v_as_of", "v_worklist"),
    *("v_patient_history", "v_strata_daily", "v_bundle_comparison", "v_bundle_stratum"),
}
_RISK_WORDS = ("risk", "stratum", "any_vessel", "probability", "near_cut", "mean_risk", "high_vess")


@click.command("sql")
@click.argument("typed", metavar="[STATEMENT]", required=False)
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    help="Read the statement from a file; `-` is standard input.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    help="Else by the ending of --out, else a table.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write, whole or not at all; Parquet needs it.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help=f"Most rows; else {_TABLE_ROWS} in a table and all elsewhere.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, max=86_400, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds for the statement.",
)
@settings_options
def command(
    typed: str | None,
    file: Path | None,
    form: str | None,
    out: Path | None,
    limit: int | None,
    timeout_s: float,
    config_file: Path | None,
    db_url: str | None,
    as_json: bool,
) -> None:
    """Ask the database one SQL STATEMENT that only reads; `-` reads it from standard input.

    The session cannot write, and sees what the account may see. docs/sql.md has every view and
    column, and what to ask. Identifiers do not belong on a command line: use --file for those.

    Exit code 2: the statement is wrong, would write, or took too long; nothing was written.
    """
    from ecgbatch.answer_files import Taken, whole
    from ecgbatch.preparation import open_to_read
    from ecgbatch.store.reading import has_demonstration, reading
    from ecgbatch.store.statement import statement

    kind = _form(form, out, as_json)
    asked = statement(_text(typed, file))
    engine = open_to_read(settings_from(config_file, db_url))
    seen = Taken()

    def notices(columns: "Iterable[Column]") -> list[str]:
        if not _is_of_risks(asked, columns):
            return []
        states_it = any(column.name == "is_clinical" for column in columns)
        is_shown = seen.not_clinical if states_it else has_demonstration(engine)
        return [*([DEMONSTRATION_NOTICE] if is_shown else []), INTENDED_USE_NOTICE]

    with reading(engine, asked, timeout_s) as question, _told_if_full():
        if out is None:
            columns = _print(question, kind, limit, seen, notices)
        else:
            with whole(out) as path:
                columns = _save(question, kind, limit, seen, notices, path)
    if out is not None and as_json:
        print_json({"rows": seen.rows, "is_cut": seen.is_cut, "notices": notices(columns)})
    elif out is not None:
        click.echo(f"wrote {counted(seen.rows, 'row')} to {out}")
    if seen.is_cut:
        click.echo(f"only the first {counted(seen.rows, 'row')}; --limit takes more", err=True)
    for notice in notices(columns):
        click.echo(notice, err=True)


def _form(form: str | None, out: Path | None, as_json: bool) -> str:
    if out is None:
        if form == "parquet":
            raise click.UsageError("--format parquet needs --out FILE")
        if as_json and form not in (None, "json"):
            raise click.UsageError("--json and --format contradict each other")
        return "json" if as_json else form or "table"
    if not out.absolute().parent.is_dir():
        raise click.UsageError("the folder of --out does not exist")
    form = form or out.suffix.lower().removeprefix(".")
    if form not in _FORMATS[1:]:
        raise click.UsageError("--out needs --format csv, json or parquet, or such an ending")
    return form


def _text(typed: str | None, file: Path | None) -> str:
    if (typed is None) == (file is None):
        raise click.UsageError("give either a STATEMENT or --file FILE")
    if typed not in (None, "-"):
        return str(typed)
    try:
        if file is None or str(file) == "-":
            return sys.stdin.buffer.read().decode()
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise click.UsageError("the statement cannot be read as UTF-8 text") from None


def _is_of_risks(asked: "Statement", columns: "Iterable[Column]") -> bool:
    """Whether a notice belongs under the answer: by what is read, or by a column's name."""
    return bool(asked.names & _RISKS) or any(c.name.startswith(_RISK_WORDS) for c in columns)


def _print(
    question: "Question", form: str, limit: int | None, seen: "Taken", notices: "_Notices"
) -> "tuple[Column, ...]":
    from ecgbatch.answer_files import taken, write_csv

    if form == "json":
        # Put aside first: an answer that breaks off would be no JSON.
        with TemporaryFile("w+", encoding="utf-8") as aside:
            columns = _write_json(question, limit, seen, notices, aside)
            aside.seek(0)
            shutil.copyfileobj(aside, sys.stdout)
        return columns
    answer = question.ask()
    if form == "csv":
        write_csv(answer.columns, taken(answer, limit, seen), sys.stdout)
    else:
        rows = taken(answer, limit or _TABLE_ROWS, seen)
        shown = [[_printable(value) for value in row] for row in rows]
        print_table([str(_printable(column.name)) for column in answer.columns], shown)
    sys.stdout.flush()
    return answer.columns


def _save(
    question: "Question",
    form: str,
    limit: int | None,
    seen: "Taken",
    notices: "_Notices",
    path: Path,
) -> "tuple[Column, ...]":
    from ecgbatch.answer_files import taken, write_csv, write_parquet

    if form == "parquet":
        return write_parquet(question, limit, path, seen)
    with path.open("w", encoding="utf-8", newline="") as file:
        if form == "json":
            return _write_json(question, limit, seen, notices, file)
        answer = question.ask()
        write_csv(answer.columns, taken(answer, limit, seen), file)
        return answer.columns


def _write_json(
    question: "Question", limit: int | None, seen: "Taken", notices: "_Notices", file: TextIO
) -> "tuple[Column, ...]":
    from ecgbatch.answer_files import taken, write_json

    answer = question.ask()

    def rest() -> dict[str, object]:
        return {"is_cut": seen.is_cut, "notices": notices(answer.columns)}

    write_json(answer.columns, taken(answer, limit, seen), file, rest)
    return answer.columns


@contextmanager
def _told_if_full() -> Iterator[None]:
    """Standard output can be a full disk too; a reader that went away is no fault."""
    from ecgbatch.answer_files import unwritable

    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as fault:
        raise unwritable(fault) from None


def _printable(value: object) -> str | None:
    """A cell of the table: text of a file must not move the cursor or colour the terminal."""
    from ecgbatch.csv_safety import plain

    if value is None:
        return None
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else repr(value)
    text = str(plain(value))
    if isinstance(value, bool):
        text = text.lower()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
