"""Real receivers of alarms on this machine: an HTTP server and an SMTP server."""

import base64
import shutil
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


@dataclass
class Inbox:
    """What a receiver got, and how it is to answer."""

    port: int = 0
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    log_ins: list[tuple[str, str]] = field(default_factory=list)
    status: int = 204
    location: str = ""
    refuses: bool = False


@contextmanager
def http_receiver() -> Iterator[Inbox]:
    inbox = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            inbox.posts.append((dict(self.headers), body))
            self.send_response(inbox.status)
            if inbox.location:
                self.send_header("Location", inbox.location)
            self.end_headers()

        do_GET = do_POST  # noqa: N815 - so that a followed redirect would be seen

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        inbox.port = server.server_address[1]
        yield from _served(server, inbox)


class _SmtpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, certificate: Path | None) -> None:
        super().__init__(("127.0.0.1", 0), _Smtp)
        self.certificate = certificate
        self.inbox = Inbox(self.server_address[1])


class _Smtp(socketserver.StreamRequestHandler):
    server: "_SmtpServer"
    is_encrypted = False
    is_over = False

    def handle(self) -> None:
        self.say("220 localhost ready")
        while not self.is_over and (line := self.rfile.readline().decode().strip()):
            word = line.split()[0].upper()
            if word == "QUIT":
                self.say("221 bye")
                return
            getattr(self, f"on_{word.lower()}", self.on_other)(line)

    def finish(self) -> None:
        super().finish()
        self.request.close()

    def say(self, *lines: str) -> None:
        for line in lines:
            self.wfile.write(f"{line}\r\n".encode())
        self.wfile.flush()

    def on_ehlo(self, _: str) -> None:
        extra = ["250-AUTH PLAIN"] if self.is_encrypted else []
        if self.server.certificate is not None and not self.is_encrypted:
            extra = ["250-STARTTLS"]
        self.say("250-localhost", *extra, "250 8BITMIME")

    def on_starttls(self, _: str) -> None:
        self.say("220 go on")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(self.server.certificate))
        try:
            self.request = context.wrap_socket(self.request, server_side=True)
        except OSError:  # the other side does not trust us
            self.is_over = True
            return
        self.connection = self.request
        self.setup()
        self.is_encrypted = True

    def on_auth(self, line: str) -> None:
        _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
        self.server.inbox.log_ins.append((user, password))
        self.say("235 welcome")

    def on_rcpt(self, _: str) -> None:
        self.say("550 nobody here" if self.server.inbox.refuses else "250 ok")

    def on_data(self, _: str) -> None:
        self.say("354 end with a dot")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line)
        mail = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.server.inbox.mails.append(mail)
        self.say("250 taken")

    def on_other(self, _: str) -> None:
        self.say("250 ok")


@contextmanager
def smtp_receiver(certificate: Path | None = None) -> Iterator[Inbox]:
    """Takes mail as RFC 5321 has it; with a certificate it offers STARTTLS and AUTH PLAIN."""
    with _SmtpServer(certificate) as server:
        yield from _served(server, server.inbox)


def _served(server: socketserver.TCPServer, inbox: Inbox) -> Iterator[Inbox]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield inbox
    finally:
        server.shutdown()
        thread.join()


def make_certificate(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1 in one PEM file; it vouches for itself."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    path = folder / "server.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", folder / "key.pem", "-out", folder / "certificate.pem"),
        ],
        check=True,
        capture_output=True,
    )
    parts = [folder / "key.pem", folder / "certificate.pem"]
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path
