"""/healthz, /readyz and /metrics. They answer from what the monitor saw last, never by a query."""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from ecgbatch.errors import SetupFault
from ecgbatch.service.exposition import CONTENT_TYPE, Metric, render
from ecgbatch.terms import ReasonCode

_TIMEOUT_S = 10.0
"""For a whole request, however slowly it comes."""
_AT_ONCE = 16
"""Requests; who comes beside them is turned away."""
_JSON = "application/json"

Verdict = Callable[[], ReasonCode | None]
"""None: all is well."""


class Endpoints:
    """A server for whoever watches over the service.

    Args:
        health: why the process is not sound.
        readiness: why nothing can be scored now.

    Raises:
        SetupFault: SETTINGS_INVALID, the address cannot be listened on.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        health: Verdict,
        readiness: Verdict,
        metrics: Callable[[], list[Metric]],
    ) -> None:
        def page() -> tuple[int, str, str]:
            return HTTPStatus.OK, CONTENT_TYPE, render(metrics())

        class Handler(_Handler):
            pages: ClassVar = {
                "/healthz": lambda: _verdict(health()),
                "/readyz": lambda: _verdict(readiness()),
                "/metrics": page,
            }

        class Server(_Server):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        try:
            self._server = Server((host, port), Handler)
        except (OSError, UnicodeError):
            detail = "service.host and service.port cannot be listened on"
            raise SetupFault(ReasonCode.SETTINGS_INVALID, detail) from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="endpoints", daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """A few requests at once, each for a short time: whoever asks cannot use the service up."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        over = threading.Timer(_TIMEOUT_S, _cut, (request,))
        over.daemon = True
        try:
            over.start()
            super().process_request_thread(request, client_address)
        finally:
            over.cancel()
            self._places.release()

    def handle_error(self, *_: object) -> None:
        """A client that went away is nobody's fault; a traceback would show its address."""


def _cut(request: socket.socket) -> None:
    """End a connection, whichever thread waits for it."""
    with suppress(OSError):
        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    """GET and HEAD of three pages; nothing that a client sends is shown or logged."""

    pages: ClassVar[dict[str, Callable[[], tuple[int, str, str]]]] = {}
    timeout = _TIMEOUT_S
    server_version = "ecgbatch"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(has_body=True)

    def do_HEAD(self) -> None:
        self._answer(has_body=False)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the library finds wrong, without its page, which repeats the request."""
        self._send(code, _JSON, "{}\n", has_body=True)

    def log_message(self, *_: object) -> None:
        """Requests are not logged."""

    def _answer(self, *, has_body: bool) -> None:
        page = self.pages.get(self.path.partition("?")[0])
        if page is None:
            self._send(HTTPStatus.NOT_FOUND, _JSON, "{}\n", has_body=has_body)
            return
        self._send(*page(), has_body=has_body)

    def _send(self, status: int, kind: str, text: str, *, has_body: bool) -> None:
        body = text.encode()
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Connection", "close")
        self.end_headers()
        if has_body:
            self.wfile.write(body)


def _verdict(reason: ReasonCode | None) -> tuple[int, str, str]:
    status = HTTPStatus.OK if reason is None else HTTPStatus.SERVICE_UNAVAILABLE
    return status, _JSON, json.dumps({"is_well": reason is None, "reason": reason}) + "\n"
