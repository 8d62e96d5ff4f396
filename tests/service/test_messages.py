"""Alarms reach a real HTTP and a real SMTP receiver, hold no patient data, and are not lost."""

import json
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ecgbatch.errors import SetupFault
from ecgbatch.service import outbox as outbox_module
from ecgbatch.service.alerts import ADVICE, Alarm
from ecgbatch.service.mail import mail
from ecgbatch.service.messages import Message
from ecgbatch.service.outbox import Outbox
from ecgbatch.service.webhook import webhook
from ecgbatch.settings import Alerts, load_settings
from ecgbatch.store.alarms import Phase
from ecgbatch.terms import ReasonCode
from tests.service.receivers import http_receiver, make_certificate, smtp_receiver

BEGINS = Message(
    Alarm.FAILURES_OPEN,
    Phase.BEGINS,
    "ecg-host",
    "0.1.0",
    datetime(2026, 5, 1, 1, 30, tzinfo=UTC),
    3.0,
    1.0,
    ReasonCode.FORMAT_PDF,
)
ENDS = Message(
    Alarm.FAILURES_OPEN, Phase.ENDS, "ecg-host", "0.1.0", datetime(2026, 5, 1, tzinfo=UTC)
)


def alerts(**table: object) -> Alerts:
    return load_settings(None, {"alerts": table}, {}).alerts


def secret_file(folder: Path, text: str, mode: int = 0o600) -> str:
    path = folder / "secret"
    path.write_text(text + "\n")
    path.chmod(mode)
    return str(path)


def to_webhook(port: int, **table: object) -> Callable[[Message], None]:
    send = webhook(alerts(webhook=f"http://127.0.0.1:{port}/hook", **table))
    assert send is not None
    return send


def to_mail(port: int, **table: object) -> Callable[[Message], None]:
    stated = {
        "mail_to": ["a@hospital.example", "b@hospital.example"],
        "mail_from": "ecgbatch@hospital.example",
        "smtp_host": "127.0.0.1",
        "smtp_port": port,
        "smtp_tls": "off",
    }
    send = mail(alerts(**(stated | table)))
    assert send is not None
    return send


def test_webhook_gets_numbers_names_and_codes_and_nothing_else(tmp_path: Path) -> None:
    token = secret_file(tmp_path, "the-token")
    with http_receiver() as inbox:
        to_webhook(inbox.port, webhook_token_file=token)(BEGINS)

    ((headers, body),) = inbox.posts
    assert headers["Authorization"] == "Bearer the-token"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {
        "program": "ecgbatch",
        "version": "0.1.0",
        "host": "ecg-host",
        "alarm": "failures_open",
        "phase": "begins",
        "since": "2026-05-01T01:30:00+00:00",
        "value": 3.0,
        "limit": 1.0,
        "unit": "ECGs",
        "reason": "format_pdf",
        "advice": ADVICE[Alarm.FAILURES_OPEN],
    }


@pytest.mark.parametrize("status", [302, 307, 400, 500])
def test_webhook_that_refuses_or_points_elsewhere_has_not_taken_it(status: int) -> None:
    with http_receiver() as inbox, http_receiver() as elsewhere:
        inbox.status = status
        inbox.location = f"http://127.0.0.1:{elsewhere.port}/"
        with pytest.raises(OSError, match="HTTPError"):
            to_webhook(inbox.port)(BEGINS)

    assert elsewhere.posts == []


def test_webhook_on_this_machine_passes_by_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with http_receiver() as inbox, http_receiver() as proxy:
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        to_webhook(inbox.port)(BEGINS)

    assert (len(inbox.posts), proxy.posts) == (1, [])


def test_webhook_that_is_not_there_is_an_error_without_its_address() -> None:
    with http_receiver() as inbox:
        port = inbox.port
    with pytest.raises(OSError, match=r"^URLError$"):
        to_webhook(port)(BEGINS)


def test_mail_reaches_everybody_as_plain_text() -> None:
    with smtp_receiver() as inbox:
        to_mail(inbox.port)(BEGINS)
        to_mail(inbox.port)(ENDS)

    begins, ends = inbox.mails
    assert begins["To"] == "a@hospital.example, b@hospital.example"
    assert begins["Subject"] == "ecgbatch on ecg-host: failures_open begins"
    assert begins["Auto-Submitted"] == "auto-generated"
    assert begins.get_content().splitlines() == [
        "ecgbatch on ecg-host: failures_open begins",
        "since 2026-05-01 01:30:00 UTC",
        "value 3 ECGs, limit 1 ECGs",
        "reason format_pdf",
        "",
        ADVICE[Alarm.FAILURES_OPEN],
    ]
    assert ends["Subject"] == "ecgbatch on ecg-host: failures_open ends"


def test_mail_logs_in_over_a_connection_whose_certificate_it_has_checked(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    table = {
        "smtp_tls": "starttls",
        "smtp_user": "ecgbatch",
        "smtp_password_file": secret_file(tmp_path, "the password"),
    }
    with smtp_receiver(certificate) as inbox:
        to_mail(inbox.port, smtp_tls_root=str(tmp_path / "certificate.pem"), **table)(BEGINS)
        assert inbox.log_ins == [("ecgbatch", "the password")]
        assert len(inbox.mails) == 1

        with pytest.raises(OSError, match=ssl.SSLCertVerificationError.__name__):
            to_mail(inbox.port, **table)(BEGINS)  # the system does not know this certificate

    assert len(inbox.log_ins) == len(inbox.mails) == 1


def test_server_without_tls_gets_no_mail_where_tls_is_wanted() -> None:
    with smtp_receiver() as inbox, pytest.raises(OSError, match="SMTPNotSupportedError"):
        to_mail(inbox.port, smtp_tls="starttls")(BEGINS)

    assert inbox.mails == []


def test_mail_refused_for_all_has_not_been_sent() -> None:
    with smtp_receiver() as inbox:
        inbox.refuses = True
        with pytest.raises(OSError, match="SMTPRecipientsRefused"):
            to_mail(inbox.port)(BEGINS)


@pytest.mark.parametrize(
    ("table", "detail"),
    [
        ({"webhook": "http://hook.example/x"}, "needs https"),
        ({"webhook": "https://[hook"}, "is no URL"),
        ({"webhook": "https://127.0.0.1/x", "open": True}, "needs mode 0600"),
    ],
)
def test_secret_that_could_be_read_on_its_way_or_on_the_disk_is_refused(
    table: dict[str, object], detail: str, tmp_path: Path
) -> None:
    mode = 0o644 if table.pop("open", False) else 0o600
    with pytest.raises(SetupFault, match=detail) as caught:
        webhook(alerts(webhook_token_file=secret_file(tmp_path, "t", mode), **table))

    assert caught.value.reason is ReasonCode.SETTINGS_INVALID


def test_without_receivers_there_is_nothing_to_send_with() -> None:
    assert webhook(alerts()) is None
    assert mail(alerts()) is None


@pytest.mark.parametrize("alarm", Alarm)
@pytest.mark.parametrize("phase", Phase)
def test_no_message_can_hold_more_than_names_numbers_and_codes(alarm: Alarm, phase: Phase) -> None:
    message = Message(alarm, phase, "h", "0", datetime(2026, 5, 1, tzinfo=UTC), 2.0, 1.0, None)
    fields = message.fields()

    free_text = {"host", "version", "since", "program", "unit"}
    for name, value in fields.items():
        is_closed = value in {*Alarm, *Phase, *ReasonCode, *ADVICE.values()}
        is_number = value is None or isinstance(value, int | float)
        assert is_closed or is_number or name in free_text
    assert message.text().startswith(f"ecgbatch on h: {alarm} {phase}\n")


def test_outbox_keeps_a_message_until_the_receiver_takes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox_module, "FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(outbox_module._Way, "__init__", _hasty(outbox_module._Way.__init__))
    with http_receiver() as inbox, smtp_receiver() as letters:
        inbox.status = 503
        outbox = Outbox({"webhook": to_webhook(inbox.port), "mail": to_mail(letters.port)})
        outbox.start()
        outbox.put(BEGINS)
        outbox.put(ENDS)
        assert _wait(lambda: len(letters.mails) == 2)  # not kept up by the webhook
        assert _wait(lambda: len(inbox.posts) >= 2)
        inbox.status = 204
        assert _wait(lambda: outbox.counts()["webhook"][0] == 2)
        outbox.stop(5)

    phases = [json.loads(body)["phase"] for _, body in inbox.posts]
    assert phases == ["begins"] * (len(phases) - 1) + ["ends"]
    sent, failed, waiting = outbox.counts()["webhook"]
    assert (sent, failed, waiting) == (2, len(phases) - 2, 0)


def test_stopped_outbox_tries_once_more_and_ends() -> None:
    tried: list[Message] = []

    def refuse(message: Message) -> None:
        tried.append(message)
        raise OSError("refused")

    outbox = Outbox({"webhook": refuse})
    outbox.start()
    outbox.put(BEGINS)
    assert _wait(lambda: outbox.counts()["webhook"][1] == 1)
    outbox.stop(5)

    assert not outbox._thread.is_alive()
    assert len(tried) == 2
    assert outbox.counts()["webhook"] == (0, 2, 1)


def test_outbox_that_nobody_empties_stays_small() -> None:
    outbox = Outbox({"webhook": lambda _: None})  # never started
    for _ in range(500):
        outbox.put(BEGINS)

    assert outbox.counts()["webhook"] == (0, 300, 200)


def _hasty(init: Callable[..., None]) -> Callable[..., None]:
    def made(way: object, send: object) -> None:
        init(way, send, wait_s=0.05)

    return made


def _wait(is_true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not is_true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return is_true()
