"""What is asked of a source database, around the site's query and with bound values."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal, Protocol
from urllib.parse import unquote
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Connection,
    Date,
    DateTime,
    LargeBinary,
    Numeric,
    Select,
    String,
    Uuid,
    bindparam,
    case,
    cast,
    column,
    false,
    func,
    literal_column,
    or_,
    select,
    text,
)
from sqlalchemy.types import TypeEngine

from ecgbatch.errors import SetupFault
from ecgbatch.sources.database_query import Moment
from ecgbatch.terms import ReasonCode

Holds = Literal["content", "path"]

_PAGE = 500
_LENGTH = {"postgresql": "octet_length", "mssql": "datalength", "oracle": "dbms_lob.getlength"}
_COLUMNS: dict[Sequence[str], Holds] = {
    ("changed_at", "content", "id"): "content",
    ("changed_at", "id", "path"): "path",
}


class Row(Protocol):
    """What the query says of one ECG; `size` is in bytes, None where it holds none."""

    id: Any
    changed_at: Any
    size: int | None
    path: str | None
    content: bytes | str | None


@dataclass(slots=True)
class Rows:
    """The rows of a query, whole or by id.

    Attributes:
        query: one SELECT, fit to stand in parentheses.
        limit_bytes: larger content is not fetched.
        expected: what its rows are to hold.
    """

    query: str
    limit_bytes: int
    expected: Holds
    _is_checked: bool = field(default=False, repr=False)
    _type_of_id: type | None = field(default=None, repr=False)

    def holds(self, connection: Connection) -> Holds:
        """What the rows hold, as the query's columns say.

        Raises:
            SetupFault: SOURCE_QUERY_INVALID, other columns; SETTINGS_INVALID, paths without a root
                or the other way round.
        """
        if not self._is_checked:
            own = text(self.query).columns(column("id")).subquery("q")
            none: Select[Any] = select(literal_column("*")).select_from(own).where(false())
            names = tuple(sorted(name.lower() for name in list(connection.execute(none).keys())))
            if names not in _COLUMNS:
                raise SetupFault(
                    ReasonCode.SOURCE_QUERY_INVALID, "needs id, changed_at and content or path"
                )
            if _COLUMNS[names] != self.expected:
                raise SetupFault(
                    ReasonCode.SETTINGS_INVALID, "source.path_root goes with a query of path"
                )
            self._is_checked = True
        return self.expected

    def streamed(self, connection: Connection, since: Moment | None) -> Any:
        """Rows that changed then or later, or nobody knows when; all without `since`."""
        asked = self._asked(connection)
        if since is not None:
            changed_at = asked.selected_columns.changed_at
            bound = bindparam("since", since, type_=_type_of(since))
            asked = asked.where(or_(changed_at >= bound, changed_at.is_(None)))
        options = {"stream_results": True, "yield_per": _PAGE}
        return connection.execute(asked, execution_options=options)

    def of_id(
        self, connection: Connection, locator: str, *, with_content: bool = False
    ) -> list[Any]:
        """At most two rows with this id."""
        value = self._id(connection, unquote(locator))
        if value is None:
            return []
        asked = self._asked(connection, with_content=with_content)
        mine = asked.where(asked.selected_columns.id == bindparam("id", value[0], type_=value[1]))
        return list(connection.execute(mine).fetchmany(2))

    def _asked(self, connection: Connection, *, with_content: bool = False) -> Select[Any]:
        """The site's query with what is asked of each row; no bytes unless asked for."""
        holds = self.holds(connection)
        own = text(self.query).columns(column("id"), column("changed_at"), column(holds))
        rows = own.subquery("q")
        columns: list[Any] = [rows.c.id, rows.c.changed_at]
        if holds == "path":
            return select(*columns, rows.c.path)
        size = _length(connection.dialect.name, rows.c.content)
        columns.append(size.label("size"))
        if with_content:
            columns.append(case((size <= self.limit_bytes, rows.c.content)).label("content"))
        return select(*columns)

    def _id(self, connection: Connection, stated: str) -> tuple[Any, TypeEngine[Any]] | None:
        """The id as the column's own type, which an index needs; None where it cannot be one."""
        if self._type_of_id is None:
            own = text(self.query).columns(column("id")).subquery("q")
            first = connection.execute(select(own.c.id).limit(1)).scalar()
            self._type_of_id = None if first is None else type(first)
        kinds: dict[type, TypeEngine[Any]] = {
            int: BigInteger(),
            Decimal: Numeric(),
            UUID: Uuid(),
            str: String(),
        }
        kind = self._type_of_id
        if kind not in kinds:
            return None
        try:
            return kind(stated), kinds[kind]
        except (ValueError, ArithmeticError):
            return None


def now_of(connection: Connection) -> datetime:
    """The source's clock (UTC)."""
    moment: datetime = connection.execute(select(func.current_timestamp())).scalar_one()
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _type_of(moment: Moment) -> TypeEngine[Any]:
    match moment:
        case datetime():
            return DateTime(timezone=moment.tzinfo is not None)
        case date():
            return Date()
        case int():
            return BigInteger()
    return String()


def _length(dialect: str, content: Any) -> Any:
    """Bytes that a row holds, without fetching them."""
    if dialect in _LENGTH:
        return getattr(func, _LENGTH[dialect])(content)
    return func.length(cast(content, LargeBinary) if dialect == "sqlite" else content)
