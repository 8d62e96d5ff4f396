"""Alarms by e-mail."""

import ssl
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from smtplib import SMTP, SMTPException

from ecgbatch.errors import SetupFault
from ecgbatch.service.messages import Message
from ecgbatch.settings import Alerts, secret
from ecgbatch.terms import ReasonCode

TIMEOUT_S = 10.0


def mail(settings: Alerts) -> Callable[[Message], None] | None:
    """What sends to the addresses of the settings; None without any.

    What it returns raises OSError if the server took the message for nobody.

    Raises:
        SetupFault: SETTINGS_INVALID, the password or the certificates cannot be read.
    """
    if not settings.mail_to:
        return None
    password = ""
    if settings.smtp_password_file:
        password = secret(settings.smtp_password_file, "alerts.smtp_password_file")
    context = _context(settings)

    def send(message: Message) -> None:
        try:
            with SMTP(settings.smtp_host, settings.smtp_port, timeout=TIMEOUT_S) as server:
                if context is not None:
                    server.starttls(context=context)
                if settings.smtp_user:
                    server.login(settings.smtp_user, password)
                # Refused by all is an error; taken for some is not sent to them again.
                server.send_message(_mail(settings, message))
        except (SMTPException, OSError, ValueError) as fault:
            raise OSError(type(fault).__name__) from None

    return send


def _context(settings: Alerts) -> ssl.SSLContext | None:
    if settings.smtp_tls == "off":
        return None
    try:
        return ssl.create_default_context(cafile=settings.smtp_tls_root or None)
    except OSError:
        detail = "alerts.smtp_tls_root cannot be read"
        raise SetupFault(ReasonCode.SETTINGS_INVALID, detail) from None


def _mail(settings: Alerts, message: Message) -> EmailMessage:
    letter = EmailMessage()
    letter["Subject"] = message.subject()
    letter["From"] = settings.mail_from
    letter["To"] = ", ".join(settings.mail_to)
    letter["Date"] = formatdate()
    letter["Message-ID"] = make_msgid(domain=settings.mail_from.rpartition("@")[2])
    # No vacation notice comes back.
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(message.text())
    return letter
