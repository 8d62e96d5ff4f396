"""Alarms as JSON by POST."""

import json
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from typing import IO
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from ecgbatch.errors import SetupFault
from ecgbatch.service.messages import Message
from ecgbatch.settings import Alerts, secret
from ecgbatch.terms import ReasonCode

TIMEOUT_S = 10.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def webhook(settings: Alerts) -> Callable[[Message], None] | None:
    """What sends to the address of the settings; None without one.

    What it returns raises OSError if the message was not taken.

    Raises:
        SetupFault: SETTINGS_INVALID, a secret that cannot be read, or that would travel in clear.
    """
    url = settings.webhook
    if settings.webhook_file:
        url = secret(settings.webhook_file, "alerts.webhook_file")
    if not url:
        return None
    headers = {"Content-Type": "application/json", "User-Agent": "ecgbatch"}
    is_private = _is_private(url)
    if settings.webhook_token_file:
        if not is_private:
            raise SetupFault(ReasonCode.SETTINGS_INVALID, "alerts.webhook_token_file needs https")
        token = secret(settings.webhook_token_file, "alerts.webhook_token_file")
        headers["Authorization"] = f"Bearer {token}"
    # What is for this machine goes to no proxy of the environment.
    direct = [ProxyHandler({})] if urlsplit(url).hostname in _LOOPBACK else []
    opener = build_opener(_NoRedirect, *direct)

    def send(message: Message) -> None:
        body = json.dumps(message.fields()).encode()
        try:
            # http and https alone, checked above.
            with opener.open(Request(url, body, headers), timeout=TIMEOUT_S):  # noqa: S310
                pass
        except (URLError, HTTPException, ValueError) as fault:
            raise OSError(type(fault).__name__) from None

    return send


def _is_private(url: str) -> bool:
    """Whether nobody on the network can read what is sent there."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https"):
        raise SetupFault(ReasonCode.SETTINGS_INVALID, "alerts.webhook is no URL")
    return parts.scheme == "https" or host in _LOOPBACK


class _NoRedirect(HTTPRedirectHandler):
    """An answer that points elsewhere is a refusal: the token and the alarm stay here."""

    def redirect_request(  # noqa: PLR0917 - as the library calls it
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None
