"""Data files being written: Parquet with a fixed schema, or CSV that a spreadsheet leaves alone."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa
from pyarrow import parquet

from ecgbatch import csv_safety
from ecgbatch.export.commits import File, Kind
from ecgbatch.export.datasets import Dataset
from ecgbatch.export.folder import described, sync

Row = Mapping[str, object]
_ROW_GROUP = 50_000


class _Sheet(Protocol):
    """A file that rows are added to."""

    def add(self, rows: Sequence[Row]) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...


class Files:
    """The files of one export, one for each partition, below a folder.

    A context manager: closed in either case, complete only after `finish`.
    """

    def __init__(self, root: Path, number: int, kind: Kind) -> None:
        self._root = root
        self._name = f"export-{number:08d}.{kind}"
        self._kind = kind
        self._sheets: dict[Path, _Sheet] = {}
        self._handles: dict[Path, BinaryIO] = {}
        self._rows: dict[Path, int] = {}

    def __enter__(self) -> "Files":
        return self

    def __exit__(self, *_: object) -> None:
        for path, handle in self._handles.items():
            if not handle.closed:
                self._sheets[path].abandon()
                with suppress(OSError):
                    handle.close()

    def add(self, dataset: Dataset, partition: str, rows: Sequence[Row]) -> None:
        """Append rows to a partition; `partition` is its Hive folders, or empty.

        Raises:
            OSError: the disk is full or refuses.
        """
        name = f"{dataset.name}.{self._kind}" if dataset.is_snapshot else self._name
        path = self._root / dataset.name / partition / name
        if path not in self._sheets:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handles[path] = path.open("wb")
            self._sheets[path] = _opened(self._handles[path], dataset.schema, self._kind)
        self._sheets[path].add(rows)
        self._rows[path] = self._rows.get(path, 0) + len(rows)

    def finish(self) -> tuple[File, ...]:
        """Close all files, seen to be on the disk.

        Raises:
            OSError: the disk is full or refuses.
        """
        for path, sheet in self._sheets.items():
            sheet.close()
            self._handles[path].flush()
            sync(self._handles[path].fileno())
            self._handles[path].close()
        return tuple(described(self._root, path, self._rows[path]) for path in self._sheets)


def _opened(handle: BinaryIO, schema: pa.Schema, kind: Kind) -> _Sheet:
    return _ParquetSheet(handle, schema) if kind == "parquet" else _CsvSheet(handle, schema)


class _ParquetSheet:
    def __init__(self, handle: BinaryIO, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = parquet.ParquetWriter(handle, schema, compression="zstd")
        self._batches: list[pa.RecordBatch] = []
        self._waiting = 0

    def add(self, rows: Sequence[Row]) -> None:
        self._batches.append(pa.RecordBatch.from_pylist(rows, schema=self._schema))
        self._waiting += len(rows)
        if self._waiting >= _ROW_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def abandon(self) -> None:
        with suppress(OSError):
            self._writer.close()
        # Else it would try again, at some time, on a closed file.
        self._writer.is_open = False

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._batches, self._schema))
        self._batches, self._waiting = [], 0


class _CsvSheet:
    def __init__(self, handle: BinaryIO, schema: pa.Schema) -> None:
        self._handle = handle
        self._names = schema.names
        self._write(self._names)

    def add(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._write([row[name] for name in self._names])

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass

    def _write(self, values: Sequence[object]) -> None:
        self._handle.write(csv_safety.line(values).encode())
