"""TLS before the tests' PostgreSQL: our own certificates, and a door on TCP that shows them.

The server of the test wheel is built without TLS, so a thread ends the encryption before it, as a
proxy in a hospital does. Client, handshake, certificates and database are real.
"""

import select
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""What a client sends first if it wants TLS; the answer is one letter, S or N."""


@dataclass(frozen=True)
class Authority:
    """A certificate authority, and a server's certificate by it for the name `localhost`."""

    root: Path
    certificate: Path
    key: Path


def find_openssl() -> str | None:
    """The `openssl` program, which Debian has in the package of that name."""
    return shutil.which("openssl")


def authority(openssl: str, folder: Path) -> Authority:
    """A new authority with its server's certificate, in an empty folder."""
    folder.mkdir()

    def run(*arguments: object) -> None:
        subprocess.run([openssl, *map(str, arguments)], check=True, cwd=folder, capture_output=True)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run(*new, "-x509", "-days", 2, "-subj", "/CN=root", "-keyout", "ca.key", "-out", "ca.crt")
    run(*new, "-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr")
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names")
    run("x509", "-req", "-in", "server.csr", "-days", 2, *signed, "-out", "server.crt")
    return Authority(folder / "ca.crt", folder / "server.crt", folder / "server.key")


@contextmanager
def door(socket_file: Path, shown: Authority | None) -> Iterator[int]:
    """A TCP port of this machine before a server's Unix socket; None: one that knows no TLS."""
    context = None
    if shown is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(shown.certificate, shown.key)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(
            target=_serve, args=(listening, socket_file, context), daemon=True
        )
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def _serve(listening: socket.socket, socket_file: Path, context: ssl.SSLContext | None) -> None:
    with suppress(OSError):
        while True:
            client, _ = listening.accept()
            threading.Thread(
                target=_guest, args=(client, socket_file, context), daemon=True
            ).start()


def _guest(client: socket.socket, socket_file: Path, context: ssl.SSLContext | None) -> None:
    # A client that does not like the certificate ends the handshake: no fault of the door.
    with suppress(OSError), client, socket.socket(socket.AF_UNIX) as server:
        server.connect(str(socket_file))
        if context is None or client.recv(8, socket.MSG_PEEK) != _SSL_REQUEST:
            _relay(client, server)
            return
        client.recv(8)
        client.sendall(b"S")
        with context.wrap_socket(client, server_side=True) as private:
            _relay(private, server)


def _relay(client: socket.socket, server: socket.socket) -> None:
    """Both ways in one thread: an encrypted socket is not for two at once."""
    other = {client: server, server: client}
    while True:
        is_buffered = isinstance(client, ssl.SSLSocket) and client.pending()
        ready = [client] if is_buffered else select.select([client, server], [], [])[0]
        for source in ready:
            chunk = source.recv(65536)
            if not chunk:
                return
            other[source].sendall(chunk)
