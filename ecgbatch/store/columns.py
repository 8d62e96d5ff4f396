"""Column types that mean the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime

from sqlalchemy import BigInteger, Dialect, Integer, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.types import TypeDecorator, TypeEngine

from ecgbatch.errors import EcgbatchError
from ecgbatch.terms import ReasonCode

KEY = BigInteger().with_variant(Integer, "sqlite")
"""Integer key; SQLite numbers rows by itself only in a column of type INTEGER."""

_UTC_TEXT = "%Y-%m-%dT%H:%M:%S.%fZ"


class UtcTime(TypeDecorator[datetime]):
    """A moment: `timestamptz` on PostgreSQL, on SQLite text of fixed width that sorts by time."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime] | TypeEngine[str]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise EcgbatchError(ReasonCode.INTERNAL_FAULT, "a time without a zone")
        moment = value.astimezone(UTC)
        return moment if dialect.name == "postgresql" else moment.strftime(_UTC_TEXT)

    def process_result_value(
        self, value: datetime | str | None, dialect: Dialect
    ) -> datetime | None:
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(UTC)


class WallClock(TypeDecorator[datetime]):
    """A file's own clock, unconverted and without a zone; on SQLite ISO text."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime] | TypeEngine[str]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=False))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        if value is None:
            return None
        reading = value.replace(tzinfo=None)
        return reading if dialect.name == "postgresql" else reading.isoformat()

    def process_result_value(
        self, value: datetime | str | None, dialect: Dialect
    ) -> datetime | None:
        return datetime.fromisoformat(value) if isinstance(value, str) else value
