"""The three pages: what they answer, to whom, and that Prometheus reads the third."""

import http.client
import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ecgbatch.errors import SetupFault
from ecgbatch.service import endpoints as module
from ecgbatch.service.alerts import Alarm, Holding
from ecgbatch.service.endpoints import Endpoints
from ecgbatch.service.exposition import Metric, many, one, render
from ecgbatch.service.metrics import Own, metrics
from ecgbatch.service.monitor import Snapshot
from ecgbatch.store.bundles import BundleRow
from ecgbatch.store.health import Beat, Health, ScanRow
from ecgbatch.terms import Disposition, ReasonCode, WorkState

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HEALTH = Health(
    moment=NOW,
    items={**dict.fromkeys(Disposition, 0), Disposition.SCORED: 7},
    unaccounted=0,
    failures={ReasonCode.FORMAT_PDF: 2},
    oldest_waiting_at=None,
    newest_item_at=NOW - timedelta(seconds=40),
    queue={WorkState.READY: 3, WorkState.LEASED: 1, WorkState.RETRY_WAIT: 0},
    results=1_234_567,
    last_scan=ScanRow("scan", NOW - timedelta(seconds=9), NOW, 1),
    last_success_at=NOW - timedelta(seconds=8),
    beats=(
        Beat("w1", "work", NOW, NOW - timedelta(seconds=5)),
        Beat("w2", "work", NOW, NOW - timedelta(seconds=500)),
    ),
    halted_at=None,
    champion=BundleRow("a" * 64, "PLANTED-NAME", "3", True, "/PLANTED/folder"),
    last_event=5,
)
SNAPSHOT = Snapshot(
    health=HEALTH,
    lost_leases=4,
    results_per_second=2.5,
    holding=(Holding(Alarm.QUEUE_OLD, 5, 1),),
)
OWN = Own("0.1.0", 2, 1, 0.5, 120.0, {"mail": (3, 1, 0)})


def samples(page: str) -> dict[tuple[str, ...], float]:
    """As Prometheus reads the page: name and label values to value."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_prometheus_reads_every_number() -> None:
    found = samples(render(metrics(SNAPSHOT, OWN)))

    assert found["ecgbatch_items", "scored"] == 7
    assert found["ecgbatch_items", "failed"] == 0
    assert found["ecgbatch_failures_open", "format_pdf"] == 2
    assert found["ecgbatch_work_units", "ready"] == 3
    assert found["ecgbatch_results_total",] == 1_234_567
    assert found["ecgbatch_results_per_second",] == 2.5
    assert found["ecgbatch_last_success_age_seconds",] == 8
    assert found["ecgbatch_last_scan_age_seconds",] == 9
    assert found["ecgbatch_last_scan_exit_code",] == 1
    assert found["ecgbatch_newest_item_age_seconds",] == 40
    assert found["ecgbatch_oldest_waiting_seconds",] == 0
    assert found["ecgbatch_workers",] == 1
    assert found["ecgbatch_heartbeat_age_seconds", "work"] == 5
    assert found["ecgbatch_worker_processes",] == 2
    assert found["ecgbatch_worker_restarts_total",] == 1
    assert found["ecgbatch_lost_leases_total",] == 4
    assert found["ecgbatch_halted",] == 0
    assert found["ecgbatch_database_up",] == 1
    assert found["ecgbatch_bundle_info", "a" * 64, "3", "true"] == 1
    assert found["ecgbatch_alarm", "queue_old"] == 1
    assert found["ecgbatch_alarm", "disk_low"] == 0
    assert found["ecgbatch_alarm_messages_sent_total", "mail"] == 3
    assert found["ecgbatch_alarm_messages_failed_total", "mail"] == 1


def test_page_holds_no_name_and_no_place() -> None:
    assert "PLANTED" not in render(metrics(SNAPSHOT, OWN))


def test_before_the_first_answer_there_are_only_the_services_own_numbers() -> None:
    found = samples(render(metrics(Snapshot(fault=ReasonCode.DATABASE_UNAVAILABLE), OWN)))

    assert found["ecgbatch_database_up",] == 0
    assert not any(name.startswith("ecgbatch_items") for name, *_ in found)


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\nb", "a}b,c=1"])
def test_label_of_any_text_is_read_back_as_it_was(text: str) -> None:
    page = render([many("m", "Any\ntext.", "label", {text: 1.0}), Metric("empty", "Left out.")])

    assert samples(page) == {("ecgbatch_m", text): 1.0}
    assert "empty" not in page


@pytest.mark.parametrize("value", [0.1 + 0.2, 1e-9, 1e15, 123456789012345.0, -2.5])
def test_number_is_read_back_as_it_was(value: float) -> None:
    assert samples(render([one("m", "h", value)])) == {("ecgbatch_m",): pytest.approx(value)}


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (SNAPSHOT, None),
        (Snapshot(), ReasonCode.DATABASE_UNAVAILABLE),
        (replace(SNAPSHOT, fault=ReasonCode.DATABASE_REVISION), ReasonCode.DATABASE_REVISION),
        (
            replace(SNAPSHOT, health=replace(HEALTH, champion=None)),
            ReasonCode.BUNDLE_NOT_ACTIVE,
        ),
        (replace(SNAPSHOT, health=replace(HEALTH, halted_at=NOW)), ReasonCode.OPERATOR),
    ],
)
def test_readiness_names_what_is_missing(snapshot: Snapshot, reason: ReasonCode | None) -> None:
    assert snapshot.unready is reason


@contextmanager
def asked(reason: ReasonCode | None = None, host: str = "127.0.0.1") -> Iterator[Endpoints]:
    endpoints = Endpoints(
        host,
        0,
        health=lambda: None,
        readiness=lambda: reason,
        metrics=lambda: [one("m", "h", 1)],
    )
    endpoints.start()
    try:
        yield endpoints
    finally:
        endpoints.stop()


@dataclass
class Answer:
    status: int
    text: str
    headers: http.client.HTTPMessage


def ask(endpoints: Endpoints, method: str, path: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", endpoints.port, timeout=5)
    connection.request(method, path)
    answer = connection.getresponse()
    told = Answer(answer.status, answer.read().decode(), answer.headers)
    connection.close()
    return told


def test_pages_answer_get_and_head_and_nothing_else() -> None:
    with asked(ReasonCode.OPERATOR) as endpoints:
        well, unready = ask(endpoints, "GET", "/healthz"), ask(endpoints, "GET", "/readyz?x=1")
        page, head = ask(endpoints, "GET", "/metrics"), ask(endpoints, "HEAD", "/metrics")
        other, posted = ask(endpoints, "GET", "/../etc/passwd"), ask(endpoints, "POST", "/metrics")

    assert (well.status, json.loads(well.text)) == (200, {"is_well": True, "reason": None})
    assert (unready.status, json.loads(unready.text)["reason"]) == (503, "operator")
    assert page.text == "# HELP ecgbatch_m h\n# TYPE ecgbatch_m gauge\necgbatch_m{} 1\n"
    assert page.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert (head.status, head.text) == (200, "")
    assert head.headers["Content-Length"] == page.headers["Content-Length"]
    assert (other.status, posted.status) == (404, 501)
    for answer in (well, page, other, posted):
        assert "passwd" not in answer.text
        assert not answer.headers["Server"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_client_that_says_nothing_keeps_nobody_waiting() -> None:
    with asked() as endpoints:
        silent = [socket.create_connection(("127.0.0.1", endpoints.port)) for _ in range(10)]
        assert ask(endpoints, "GET", "/healthz").status == 200
        for one_of_them in silent:
            one_of_them.close()


def test_who_comes_beside_the_many_is_turned_away_until_their_time_is_over(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    monkeypatch.setattr(module, "_TIMEOUT_S", 1.0)
    with asked() as endpoints:
        slow = [socket.create_connection(("127.0.0.1", endpoints.port)) for _ in range(3)]
        for one_of_them in slow:
            one_of_them.sendall(b"GET /healthz HTTP/1.1\r\n")
        time.sleep(0.3)
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            ask(endpoints, "GET", "/healthz")
        began = time.monotonic()
        while time.monotonic() - began < 1.5:  # a byte now and then buys no more time
            for one_of_them in slow:
                with suppress(OSError):
                    one_of_them.sendall(b"X")
            time.sleep(0.2)
        assert ask(endpoints, "GET", "/healthz").status == 200
        for one_of_them in slow:
            one_of_them.close()

    assert capfd.readouterr() == ("", "")


def test_client_that_resets_leaves_no_trace(capfd: pytest.CaptureFixture[str]) -> None:
    with asked() as endpoints:
        for _ in range(5):
            raw = socket.create_connection(("127.0.0.1", endpoints.port))
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raw.sendall(b"GET /metrics HTTP/1.1\r\nHost: x")
            raw.close()  # by RST
        time.sleep(0.3)
        assert ask(endpoints, "GET", "/healthz").status == 200

    assert capfd.readouterr() == ("", "")


def test_nonsense_is_refused_without_being_repeated() -> None:
    with asked() as endpoints, socket.create_connection(("127.0.0.1", endpoints.port)) as raw:
        raw.sendall(b"PLANTED \x1b[31m nonsense\r\n\r\n")
        answer = raw.makefile("rb").read()

    assert answer.endswith(b"{}\n")
    assert b"PLANTED" not in answer


def test_only_the_address_of_the_settings_is_listened_on() -> None:
    with asked(host="127.0.0.1") as endpoints, pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.2", endpoints.port), timeout=5)


def test_port_that_is_taken_is_a_set_up_to_mend() -> None:
    with asked() as endpoints, pytest.raises(SetupFault) as caught:
        Endpoints(
            "127.0.0.1",
            endpoints.port,
            health=lambda: None,
            readiness=lambda: None,
            metrics=list,
        )

    assert caught.value.reason is ReasonCode.SETTINGS_INVALID
