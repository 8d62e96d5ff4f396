"""A real headless Chromium over its DevTools pipe: what a person would see, and what it asked for.

No package is needed, only the browser: `make test` sets it up where it may.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PATIENCE_S = 60.0
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


def find_browser() -> str | None:
    """Its path, or None on a machine without one."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def _browser() -> str:
    """A CI run without one fails, a developer's machine skips."""
    if path := find_browser():
        return path
    if os.environ.get("CI"):
        pytest.fail("no Chromium: CI does not pass over the report's pages")
    pytest.skip("no Chromium on this machine: `make .venv/.browser` says how to get one")


@dataclass
class Page:
    """One page in one tab; `requests` and `complaints` grow while it is used."""

    pipe: "_Pipe"
    session: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def ask(self, method: str, **parameters: object) -> Any:
        return self.pipe.ask(method, parameters, self.session, self._hear)

    def show(self, file: Path, width: int, height: int = 900, scheme: str = "light") -> None:
        """Open a file in a window of so many CSS pixels and wait until it is drawn."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.media("screen", scheme)
        self.ask("Page.navigate", url=file.absolute().as_uri())
        until = time.monotonic() + _PATIENCE_S
        while self.value("document.readyState + location.protocol") != "completefile:":
            assert time.monotonic() < until, "the page does not finish loading"
            time.sleep(0.05)
        self.value("Promise.all([...document.images].map(one => one.decode())).then(() => 1)")

    def media(self, medium: str, scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", media=medium, features=features)

    def value(self, expression: str) -> Any:
        """What a script's expression gives; scripts of the page itself are another matter."""
        answer = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def picture(self, *, whole: bool = False) -> bytes:
        """PNG of the window, or of the whole page."""
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        return base64.b64decode(answer["data"])

    def printed(self) -> bytes:
        """PDF on A4."""
        answer = self.ask("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        return base64.b64decode(answer["data"])

    def _hear(self, message: Mapping[str, Any]) -> None:
        what, told = message.get("method"), message.get("params", {})
        if what == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"][:200])
        elif what == "Log.entryAdded":
            self.complaints.append(told["entry"]["text"])
        elif what == "Runtime.exceptionThrown":
            self.complaints.append(told["exceptionDetails"]["text"])
        elif what == "Runtime.consoleAPICalled":
            self.complaints.append(str(told["args"]))


class _Pipe:
    """Messages of JSON, each ended by a zero byte."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._rest = b""
        self._number = 0

    def ask(
        self,
        method: str,
        parameters: Mapping[str, object],
        session: str | None = None,
        hear: Any = lambda _: None,
    ) -> Any:
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method}
        message["params"] = parameters
        if session is not None:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            hear(answer)

    def _receive(self) -> Any:
        while b"\0" not in self._rest:
            part = os.read(self._read, 1 << 20)
            assert part, "the browser has ended"
            self._rest += part
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)


@contextmanager
def opened_page(profile: Path) -> Iterator[Page]:
    """A browser with an empty profile and one tab, ended afterwards."""
    to_browser, write = os.pipe()
    read, from_browser = os.pipe()
    # The browser expects its pipe at 3 and 4; a shell puts it there.
    start = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
    command = ["bash", "-c", start, "browser", _browser(), *_ARGUMENTS]
    process = subprocess.Popen(
        [*command, f"--user-data-dir={profile}", "about:blank"],
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(to_browser)
    os.close(from_browser)
    pipe = _Pipe(read, write)
    try:
        target = pipe.ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        attached = {"targetId": target, "flatten": True}
        page = Page(pipe, pipe.ask("Target.attachToTarget", attached)["sessionId"])
        for domain in ("Page", "Network", "Log", "Runtime"):
            page.ask(f"{domain}.enable")
        yield page
        pipe.ask("Browser.close", {})
    finally:
        os.close(write)
        os.close(read)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(find_browser() is None)
