"""The notifier that sends e-mail."""

from __future__ import annotations

import smtplib
import ssl

from perdure.ledger.alerts.outbox import Notification
from perdure.settings.alert_settings import EmailNotifier
from perdure_workers.notifiers import message
from perdure_workers.notifiers.errors import NotSent


def send_email(settings: EmailNotifier, notification: Notification, todo: str) -> None:
    """Send an e-mail by SMTP.

    Raises:
        NotSent: The server was not reached or did not take it.
    """
    mail = message.email(notification, todo, settings.sender, settings.to)
    try:
        with _connected(settings) as server:
            if settings.user is not None and settings.password is not None:
                server.login(settings.user, settings.password.text)
            server.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"{settings.host}: {type(error).__name__}: {_without_secret(settings, error)}") from None


def _connected(settings: EmailNotifier) -> smtplib.SMTP:
    host, port, timeout = settings.host, settings.port, settings.timeout
    if settings.security == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=timeout, context=ssl.create_default_context())
    server = smtplib.SMTP(host, port, timeout=timeout)
    if settings.security == "starttls":
        try:
            server.starttls(context=ssl.create_default_context())
        except BaseException:
            server.close()
            raise
    return server


def _without_secret(settings: EmailNotifier, error: Exception) -> str:
    text = str(error)[:300]
    return text.replace(settings.password.text, "***") if settings.password else text
