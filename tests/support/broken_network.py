"""A network that breaks: a TCP port before a server's Unix socket, with faults on demand.

A fault hits one connection, at the next message that fits it. What the client sends is cut into
the protocol's messages, so that the COMMIT is known when it passes.
"""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from typing import Literal

Kind = Literal["blackhole", "reset", "latency", "lost_commit"]
LATENCY_S = 5.0
_COMMIT = b"Q" + struct.pack("!i", 11) + b"COMMIT\0"
_READY = b"Z"


@dataclass
class Network:
    """The port, and what has happened on it.

    Attributes:
        done: faults by kind.
        noticed_s: for each connection that fell silent, how long until its client closed it.
    """

    port: int
    done: dict[str, int] = field(default_factory=dict)
    noticed_s: list[float] = field(default_factory=list)
    _next: list[Kind] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    def fail(self, kind: Kind) -> None:
        """Let the next message that fits meet this fault."""
        with self._lock:
            self._next.append(kind)

    def is_due(self) -> bool:
        """Whether a fault has met nothing yet."""
        return bool(self._next)

    def _take(self, is_commit: bool) -> Kind | None:
        with self._lock:
            for kind in self._next:
                if is_commit or kind != "lost_commit":
                    self._next.remove(kind)
                    self.done[kind] = self.done.get(kind, 0) + 1
                    return kind
        return None


@contextmanager
def broken_network(socket_file: Path) -> Iterator[Network]:
    """A whole network; it breaks when it is told to."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        network = Network(listening.getsockname()[1])
        thread = threading.Thread(
            target=_accept, args=(listening, socket_file, network), daemon=True
        )
        thread.start()
        yield network
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def _accept(listening: socket.socket, socket_file: Path, network: Network) -> None:
    with suppress(OSError):
        while True:
            client, _ = listening.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(
                target=_carry, args=(client, socket_file, network), daemon=True
            ).start()


def _carry(client: socket.socket, socket_file: Path, network: Network) -> None:
    with suppress(OSError), client, socket.socket(socket.AF_UNIX) as server:
        server.connect(str(socket_file))
        _Line(client, server, network).carry()


class _Line:
    """One connection, both ways, in one thread."""

    def __init__(self, client: socket.socket, server: socket.socket, network: Network) -> None:
        self._client, self._server, self._network = client, server, network
        self._sent = b""
        self._is_started = False
        self._delay_s = 0.0

    def carry(self) -> None:
        while True:
            for source in select([self._client, self._server], [], [])[0]:
                chunk = source.recv(65536)
                if not chunk:
                    return
                if source is self._server:
                    time.sleep(self._delay_s)
                    self._delay_s = 0.0
                    self._client.sendall(chunk)
                elif self._meets(chunk):
                    return

    def _meets(self, chunk: bytes) -> bool:
        """Carry what the client sent; True if that was the end of the line."""
        self._sent += chunk
        while (message := self._message()) is not None:
            kind = self._network._take(message == _COMMIT) if self._is_started else None
            self._is_started = self._is_started or message[:1] == b"Q"
            if kind == "reset":
                _reset(self._client)
                _reset(self._server)
                return True
            if kind == "blackhole":
                self._be_silent()
                return True
            self._server.sendall(message)
            if kind == "latency":
                self._delay_s = LATENCY_S
            if kind == "lost_commit":
                self._swallow_answer()
                return True
        return False

    def _message(self) -> bytes | None:
        """The next whole message; the first ones of a connection have no type."""
        head = 0 if not self._is_typed() else 1
        if len(self._sent) < head + 4:
            return None
        length = head + struct.unpack_from("!i", self._sent, head)[0]
        if len(self._sent) < length:
            return None
        message, self._sent = self._sent[:length], self._sent[length:]
        return message

    def _is_typed(self) -> bool:
        # The length of a first message begins with a zero byte; no type is one.
        return self._sent[:1] != b"\0"

    def _be_silent(self) -> None:
        """Take what comes, say nothing, end nothing; the server's side stays open as well."""
        began = time.monotonic()
        with suppress(OSError):
            while self._client.recv(65536):
                pass
        self._network.noticed_s.append(time.monotonic() - began)

    def _swallow_answer(self) -> None:
        answer = b""
        # ReadyForQuery is the last message of an answer: its type, its length, one letter.
        while answer[-6:-5] != _READY:
            chunk = self._server.recv(65536)
            if not chunk:
                break
            answer += chunk


def _reset(one: socket.socket) -> None:
    if one.family == socket.AF_INET:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()
