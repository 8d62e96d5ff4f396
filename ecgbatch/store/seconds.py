"""Seconds between two stored moments, as SQL."""

from sqlalchemy import ColumnElement, Float
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class seconds_between(FunctionElement[float]):  # noqa: N801 - it stands for a function of SQL
    """`seconds_between(earlier, later)`; on SQLite to about 0.1 ms."""

    type = Float()
    inherit_cache = True

    def __init__(self, earlier: ColumnElement[object], later: ColumnElement[object]) -> None:
        super().__init__(earlier, later)


@compiles(seconds_between, "postgresql")
def _postgresql(element: seconds_between, compiler: SQLCompiler, **options: object) -> str:
    earlier, later = (compiler.process(clause, **options) for clause in element.clauses)
    return f"extract(epoch FROM ({later} - {earlier}))"


@compiles(seconds_between, "sqlite")
def _sqlite(element: seconds_between, compiler: SQLCompiler, **options: object) -> str:
    earlier, later = (compiler.process(clause, **options) for clause in element.clauses)
    return f"(julianday({later}) - julianday({earlier})) * 86400.0"
