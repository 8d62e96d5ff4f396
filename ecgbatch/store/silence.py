"""Connections to a PostgreSQL server that do not wait for ever for its answer.

The kernel ends a connection whose other end confirms nothing (`tcp_user_timeout`). It does not see
one that confirms everything and then says nothing, such as a proxy or a firewall that has lost the
server behind it: no packet is missing there, and keepalives are answered.
"""

import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, event

_Answer = TypeVar("_Answer")


class Heard(psycopg.Connection[Any]):
    """A connection that is closed when the server has been silent for too long."""

    _silence_s: float | None = None
    _now_s: float | None = None

    @property
    def limit_s(self) -> float | None:
        """Longest wait for the next sign of the server, at this moment; None is for ever."""
        return self._now_s

    def limit(self, silence_s: float | None, *, once: bool = False) -> None:
        """Wait at most so long for the next sign of the server; None is for ever.

        Args:
            once: only until this transaction ends.
        """
        self._now_s = silence_s
        if not once:
            self._silence_s = silence_s

    def wait(self, gen: PQGen[_Answer], *arguments: Any, **named: Any) -> _Answer:
        """Consume a generator that works on the connection.

        Raises:
            psycopg.OperationalError: the server said nothing for too long.
        """
        if self.pgconn.transaction_status == TransactionStatus.IDLE:
            self._now_s = self._silence_s
        if self._now_s is None:
            return super().wait(gen, *arguments, **named)
        return super().wait(self._listen(gen, self._now_s), *arguments, **named)

    def _listen(self, gen: PQGen[_Answer], silence_s: float) -> PQGen[_Answer]:
        """The same generator; whoever drives it says every now and then that nothing has come."""
        try:
            wants = next(gen)
            until = time.monotonic() + silence_s
            while True:
                ready = yield wants
                if ready:
                    until = time.monotonic() + silence_s
                elif time.monotonic() >= until:
                    # Closed without a word to the server: nobody knows how the transaction ended.
                    self.pgconn.finish()
                    raise psycopg.OperationalError("no answer from the server")
                wants = gen.send(ready)
        except StopIteration as end:
            answer: _Answer = end.value
            return answer


def limit_silence(engine: Engine, silence_s: float) -> None:
    """Let all connections of an engine wait at most so long for each answer."""

    def connect(_: object, __: object, arguments: Any, named: Any) -> Heard:
        connection = Heard.connect(*arguments, **named)
        connection.limit(silence_s)
        return connection

    event.listen(engine, "do_connect", connect)


def lift(connection: object, silence_s: float | None) -> None:
    """Another limit for one connection, until its transaction ends."""
    if isinstance(connection, Heard):
        connection.limit(silence_s, once=True)
