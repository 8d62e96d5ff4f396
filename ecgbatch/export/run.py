"""One export: what is new since the last one, in whole files, exactly once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ecgbatch.errors import SetupFault
from ecgbatch.export.commits import Choices, Commit, File
from ecgbatch.export.datasets import (
    ACTIVATIONS,
    CHANGES,
    DATASETS,
    IDENTIFIERS,
    PATIENT_KEYS,
    RESULTS,
    partition_of_month,
    partition_of_result,
)
from ecgbatch.export.files import Files
from ecgbatch.export.folder import Folder, held
from ecgbatch.export.watermark import Mark, Writers, advanced, may_still_come, without
from ecgbatch.store import outflow
from ecgbatch.store.engine import Connection, Engine, now, transaction
from ecgbatch.terms import ReasonCode

MOST_RESULTS = 100_000
"""In one commit: a bound for memory, and for what a kill costs."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export added.

    Attributes:
        exports: numbers of its commits; none if nothing was new.
        rows: new rows by dataset, without those of snapshots.
        result_id: up to here all results are in the folder, but for `n_open` that may still come.
    """

    exports: tuple[int, ...]
    rows: dict[str, int]
    files: tuple[File, ...]
    result_id: int
    event_id: int
    n_open: int


@dataclass(frozen=True, slots=True)
class _Step:
    commit: Commit
    is_all: bool


def export(
    engine: Engine, out: Path, choices: Choices, *, most_results: int = MOST_RESULTS
) -> Exported:
    """Bring the folder up to the database, in as many commits as it takes.

    Raises:
        SetupFault: RUN_LOCKED, another export into the folder; EXPORT_FOLDER_UNFIT, it belongs to
            another database or to other choices; OUTPUT_UNWRITABLE.
        TransientFault: DISK_FULL, or the database failed. What was committed stays; the next
            export goes on from there.
    """
    done: list[Commit] = []
    with held(out) as folder:
        is_all = False
        while not is_all:
            step = _step(engine, folder, choices, most_results)
            if step is None:
                break
            is_all = step.is_all
            if _is_news(folder.last, step.commit):
                folder.commit(step.commit)
                done.append(step.commit)
        return _exported(done, folder.last)


def _step(engine: Engine, folder: Folder, choices: Choices, most: int) -> _Step | None:
    """Write the files of the next commit aside; None if the database has nothing yet."""
    last = folder.last
    with transaction(engine) as connection:
        ceiling = outflow.ceiling(connection)
    with outflow.snapshot(engine) as connection:
        database = outflow.identity(connection)
        if last is not None:
            _check(connection, last, database, choices)
        if database is None or not ceiling.result_id:
            return None
        before = last or Commit(
            0, now(connection), database, choices, Mark(), Mark(), Writers(), None, ()
        )
        return _written(connection, folder, before, ceiling, most)


def _check(connection: Connection, last: Commit, database: str | None, choices: Choices) -> None:
    if last.database != database:
        raise SetupFault(ReasonCode.EXPORT_FOLDER_UNFIT, "it is of another database")
    if last.choices != choices:
        raise SetupFault(ReasonCode.EXPORT_FOLDER_UNFIT, "it was begun with other options")
    if outflow.anchor(connection, last.results.top) != last.anchor:
        detail = "the database has not, or no longer, what was exported last"
        raise SetupFault(ReasonCode.EXPORT_FOLDER_UNFIT, detail)


def _written(
    connection: Connection, folder: Folder, before: Commit, ceiling: outflow.Ceiling, most: int
) -> _Step:
    number, moment = folder.next_number, now(connection)
    stamp = {"export_number": number, "exported_at": moment}
    choices, writers = before.choices, _writers(ceiling.writers)
    is_open = may_still_come(before.writers, writers)
    came: list[int] = []
    with Files(folder.staging(), number, choices.kind) as files:
        n_read, top = 0, before.results.top
        for batch in outflow.results(connection, before.results.unread(ceiling.result_id), most):
            n_read += len(batch)
            top = max(top, batch[-1]["result_id"])
            came += [row["result_id"] for row in batch if row["result_id"] <= before.results.top]
            for partition, rows in _parted(batch):
                files.add(RESULTS, partition, _shown(rows, choices, stamp))
        is_all = n_read < most
        top = max(top, ceiling.result_id) if is_all else top
        events = before.events.unread(ceiling.event_id)
        for batch in outflow.changed(connection, events, before.results.top):
            files.add(CHANGES, partition_of_month(moment), _shown(batch, choices, stamp))
        if before.number == 0:
            files.add(CHANGES, partition_of_month(moment), [])
        files.add(ACTIVATIONS, "", outflow.activations(connection))
        keys = outflow.patient_keys(connection) if choices.with_identifiers else []
        files.add(PATIENT_KEYS, "", keys)
        commit = replace(
            before,
            number=number,
            at=moment,
            results=_advanced(
                connection,
                "result_id",
                before.results,
                top,
                writers=writers,
                came=came,
                is_open=is_open or not is_all,
            ),
            events=_advanced(
                connection,
                "event_id",
                before.events,
                ceiling.event_id,
                writers=writers,
                came=outflow.present(connection, "event_id", before.events.gaps),
                is_open=is_open,
            ),
            writers=writers,
            anchor=outflow.anchor(connection, top),
            files=files.finish(),
        )
    return _Step(commit, is_all)


def _advanced(
    connection: Connection,
    key: str,
    before: Mark,
    top: int,
    *,
    writers: Writers,
    came: Sequence[int],
    is_open: bool,
) -> Mark:
    """The mark of one table; without writers nothing below the top can still come."""
    old_gaps = without(before.gaps, came) if is_open else ()
    new_gaps = outflow.missing(connection, key, before.top, top) if writers.may_write else ()
    return advanced(before, top, old_gaps=old_gaps, new_gaps=new_gaps)


def _writers(names: frozenset[str] | None) -> Writers:
    return Writers(is_known=False) if names is None else Writers(names)


def _parted(batch: Sequence[outflow.Row]) -> Iterator[tuple[str, list[outflow.Row]]]:
    parts: dict[str, list[outflow.Row]] = {}
    for row in batch:
        partition = partition_of_result(row["bundle_digest"], row["created_at"])
        parts.setdefault(partition, []).append(row)
    yield from parts.items()


def _shown(
    rows: Sequence[outflow.Row], choices: Choices, stamp: Mapping[str, object]
) -> list[outflow.Row]:
    hidden = {} if choices.with_identifiers else dict.fromkeys(IDENTIFIERS)
    return [{**row, **hidden, **stamp} for row in rows]


def _is_news(last: Commit | None, commit: Commit) -> bool:
    """Whether there is anything that the folder does not say already."""
    if last is None or last.position() != commit.position():
        return True
    return _snapshots(last) != _snapshots(commit) or _added(commit) > 0


def _snapshots(commit: Commit) -> dict[str, str]:
    names = {dataset.name for dataset in DATASETS if dataset.is_snapshot}
    files = {file.path: file.sha256 for file in commit.files}
    return {path: digest for path, digest in files.items() if path.partition("/")[0] in names}


def _added(commit: Commit) -> int:
    return sum(file.rows for file in commit.files if not _is_snapshot(file))


def _is_snapshot(file: File) -> bool:
    return any(
        dataset.is_snapshot and file.path.startswith(f"{dataset.name}/") for dataset in DATASETS
    )


def _exported(done: Sequence[Commit], last: Commit | None) -> Exported:
    files = tuple(file for commit in done for file in commit.files)
    rows = {
        dataset.name: sum(file.rows for file in files if file.path.startswith(f"{dataset.name}/"))
        for dataset in DATASETS
        if not dataset.is_snapshot
    }
    results = Mark() if last is None else last.results
    events = Mark() if last is None else last.events
    return Exported(
        tuple(commit.number for commit in done),
        rows,
        files,
        results.top,
        events.top,
        results.n_open,
    )
