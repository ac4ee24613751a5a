"""A real SMTP server in a thread that keeps what it got."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from perdure.system.ports import free_port


@dataclass
class Mailbox:
    port: int
    received: list[Message] = field(default_factory=list)

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.received.append(message_from_bytes(envelope.content))
        return "250 OK"


@contextmanager
def mailbox(user: str, password: str) -> Iterator[Mailbox]:
    """Run a mail server that takes mail of one user."""

    def knows(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        right = isinstance(given, LoginPassword) and (given.login, given.password) == (user.encode(), password.encode())
        return AuthResult(success=right, handled=False)

    running = Mailbox(free_port())
    controller = Controller(
        running, hostname="127.0.0.1", port=running.port, authenticator=knows, auth_required=True, auth_require_tls=False
    )
    controller.start()
    try:
        yield running
    finally:
        controller.stop()
