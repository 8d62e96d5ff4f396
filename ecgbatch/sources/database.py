"""A database as a source: a query says which ECGs there are, changed when, and holds or names them.

The session is read-only. The query is the site's own SELECT; what is asked of it (since when,
which row) stands around it, with bound values.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from ecgbatch.errors import Incomplete, InputFault, SetupFault, TransientFault
from ecgbatch.records import Member, RecordingBytes, Sighting
from ecgbatch.settings import Settings
from ecgbatch.sources.database_engine import may_write, place_of, session, source_engine
from ecgbatch.sources.database_query import (
    Watermark,
    digest_of,
    later,
    moment_of,
    one_select,
    text_of,
    watermark_of,
)
from ecgbatch.sources.database_rows import Row, Rows, now_of
from ecgbatch.sources.folder_read import print_record, read_record
from ecgbatch.sources.source import NOTHING_KNOWN, Finished, Memory, Scan
from ecgbatch.store.engine import Engine
from ecgbatch.terms import ReasonCode


@dataclass(slots=True)
class DatabaseSource:
    """Rows of a query, each one ECG.

    Attributes:
        place: the database without who logs in.
        rows: of one SELECT of `id`, `changed_at` and `content` or `path`.
        overlap_s: how far a look goes back behind the last one, for what was committed late.
        path_root: below which paths of rows lie.
        limit_bytes: a recording that is larger is refused unread.
    """

    engine: Engine
    place: str
    rows: Rows
    overlap_s: float
    path_root: Path | None
    limit_bytes: int

    @property
    def kind(self) -> Literal["database"]:
        return "database"

    @property
    def settles(self) -> bool:
        """Files that rows name may still be written; a row is committed whole."""
        return self.path_root is not None

    @property
    def archives(self) -> Literal[""]:
        return ""

    def put_away(self, record: Finished) -> bool:
        return False

    def close(self) -> None:
        self.engine.dispose()

    def check(self) -> str:
        """Ask for the query's columns, and what the role may do.

        Raises:
            SetupFault: SOURCE_UNAVAILABLE, SOURCE_QUERY_INVALID, SOURCE_ROLE_WRITES.
        """
        with session(self.engine) as connection:
            holds = self.rows.holds(connection)
            if may_write(connection):
                raise SetupFault(ReasonCode.SOURCE_ROLE_WRITES)
            return f"the query runs on {connection.dialect.name}; its rows hold a {holds}"

    def scan(self, memory: Memory = NOTHING_KNOWN) -> Scan:
        """Rows that changed since the last finished look, and what waits; the first time all rows.

        Raises:
            SetupFault: while it is iterated; SOURCE_UNAVAILABLE or SOURCE_QUERY_INVALID.
        """
        digest = digest_of(self.rows.query, self.place)
        mark = watermark_of(memory.watermark, digest)
        scan = Scan(_nothing(), covers_all=mark is None, watermark=memory.watermark)
        scan.sightings = self._sightings(scan, mark, digest, memory.waiting)
        return scan

    def _sightings(
        self,
        scan: Scan,
        mark: Watermark | None,
        digest: str,
        waiting: Callable[[], Iterable[str]],
    ) -> Generator[Sighting, None, None]:
        greatest = None if mark is None else mark.at
        since = None if mark is None else mark.since(self.overlap_s)
        with session(self.engine) as connection:
            self.rows.holds(connection)
            now = now_of(connection)
            with closing(self.rows.streamed(connection, since)) as rows:
                for row in rows:
                    greatest = later(greatest, moment_of(row.changed_at), now)
                    yield self._sighting(row)
        if mark is not None:
            yield from self._seen_again(waiting())
        if greatest is not None:
            scan.watermark = Watermark(greatest, digest).to_text()

    def _seen_again(self, waiting: Iterable[str]) -> Iterator[Sighting]:
        """What waits may lie behind the watermark by now."""
        for locator in waiting:
            with session(self.engine) as connection:
                rows = self.rows.of_id(connection, locator)
            if rows:
                yield self._sighting(rows[0])

    def _sighting(self, row: Row) -> Sighting:
        if row.id is None or isinstance(row.id, bytes | float | bool):
            raise SetupFault(ReasonCode.SOURCE_QUERY_INVALID, "id is no number or text")
        locator = quote(str(row.id), safe="")
        prints, is_whole = self._prints(row)
        return Sighting(locator, _fingerprint(row, prints), (locator,), is_whole)

    def _prints(self, row: Row) -> tuple[tuple[str, ...], bool]:
        if self.path_root is None:
            return ("-" if row.size is None else str(row.size),), bool(row.size)
        try:
            return print_record(self.path_root, _parts(row.path))
        except InputFault:
            return ("-",), True  # admitted, so that reading it says what is wrong
        except TransientFault:
            return ("-",), False

    def read(self, locator: str, fingerprint: str) -> RecordingBytes:
        """The bytes of one row, or of the file that it names.

        Raises:
            InputFault: too large, a path outside the root, or an id that is not unique.
            Incomplete: the row holds nothing.
            TransientFault: the row is gone, cannot be read now, or changed since it was seen.
        """
        try:
            recording, found = self._read(locator)
        except SetupFault:
            raise TransientFault(ReasonCode.READ_FAILED) from None
        if found != fingerprint:
            raise TransientFault(ReasonCode.CHANGED_WHILE_READING)
        return recording

    def read_as_is(self, locator: str) -> RecordingBytes:
        """As `read`, whatever has changed since it was seen.

        Raises:
            InputFault, Incomplete, TransientFault: as `read`.
            SetupFault: SOURCE_UNAVAILABLE or SOURCE_QUERY_INVALID.
        """
        return self._read(locator)[0]

    def _read(self, locator: str) -> tuple[RecordingBytes, str]:
        with session(self.engine) as connection:
            self.rows.holds(connection)
            rows = self.rows.of_id(connection, locator, with_content=True)
        if not rows:
            raise TransientFault(ReasonCode.READ_FAILED)
        if len(rows) > 1:
            raise InputFault(ReasonCode.SOURCE_QUERY_INVALID, "id is not unique")
        if self.path_root is None:
            recording, prints = _content(rows[0], self.limit_bytes)
        else:
            recording, prints = read_record(self.path_root, _parts(rows[0].path), self.limit_bytes)
        return recording, _fingerprint(rows[0], prints)


def open_source(settings: Settings, own_files: tuple[Path, ...]) -> DatabaseSource:
    """The database that the settings name; nothing is asked of it yet.

    Raises:
        SetupFault: SETTINGS_INVALID, its URL; SOURCE_QUERY_INVALID, its query.
    """
    stated = settings.source
    network, limit_bytes = settings.database, settings.limits.recording_bytes
    root = Path(stated.path_root).resolve() if stated.path_root else None
    engine = source_engine(settings.source_url(), network.tls, network.tls_root)
    return DatabaseSource(
        engine,
        place_of(engine.url),
        Rows(one_select(stated.query), limit_bytes, "path" if root else "content"),
        stated.overlap_s,
        root,
        limit_bytes,
    )


def _nothing() -> Generator[Sighting, None, None]:
    yield from ()


def _fingerprint(row: Row, prints: tuple[str, ...]) -> str:
    return ";".join((text_of(moment_of(row.changed_at)), *prints))


def _content(row: Row, limit_bytes: int) -> tuple[RecordingBytes, tuple[str, ...]]:
    if not row.size:
        raise Incomplete
    if row.size > limit_bytes:
        raise InputFault(ReasonCode.FILE_TOO_LARGE)
    content = row.content or b""
    whole = content.encode() if isinstance(content, str) else bytes(content)
    # The database's own count: of text it may differ from ours.
    return RecordingBytes((Member("content", whole),)), (str(row.size),)


def _parts(path: str | None) -> list[bytes]:
    """A row's path, relative to the root, one name after the other.

    Raises:
        InputFault: PATH_OUTSIDE_ROOT.
        TransientFault: the row names no path yet.
    """
    if not path:
        raise TransientFault(ReasonCode.READ_FAILED)
    parts = path.encode(errors="surrogateescape").replace(b"\\", b"/").split(b"/")
    if any(part in {b"", b".", b".."} or b"\0" in part for part in parts):
        raise InputFault(ReasonCode.PATH_OUTSIDE_ROOT)
    return parts
