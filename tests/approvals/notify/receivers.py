"""Real receivers on this machine: one that keeps every request, and a mail server that keeps every mail."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

from tests.e2e.harness.net import free_port


class Got:
    """One request."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path, self.headers, self.body = path, headers, body

    def json(self) -> Any:
        return json.loads(self.body)


Answering = Callable[[Got], tuple[int, dict[str, str], bytes]]


def taken(_: Got) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, b"ok"


class Receiver:
    """An HTTP server that keeps what it gets; ``answering`` says what it answers."""

    def __init__(self, answering: Answering = taken) -> None:
        self.got: list[Got] = []
        self.answering = answering
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                got = Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                status, fields, answer = outer.answering(got)
                outer.got.append(got)
                self.send_response(status)
                for name, value in fields.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                with contextlib.suppress(OSError):  # whoever sent it does not wait any more
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def at(self, path: str) -> list[Got]:
        """What came to paths that begin so."""
        return [got for got in list(self.got) if got.path.startswith(path)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


class _Keeping:
    def __init__(self, server: MailServer) -> None:
        self._server = server

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self._server.unknown:
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self._server.busy:
            self._server.busy -= 1
            return "451 come again"
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self._server.mails.append((tuple(envelope.rcpt_tos), mail))
        self._server.encrypted.append(session.ssl is not None)
        return "250 ok"


class MailServer:
    """aiosmtpd: STARTTLS and a password where there is a certificate, else neither."""

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        self.mails: list[tuple[tuple[str, ...], EmailMessage]] = []
        self.encrypted: list[bool] = []
        self.unknown: set[str] = set()
        self.busy = 0
        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
        self._controller = Controller(
            _Keeping(self),
            hostname="127.0.0.1",
            port=free_port(),
            tls_context=context,
            require_starttls=context is not None,
            auth_required=context is not None,
            authenticator=self._authenticate if context is not None else None,
        )
        self._controller.start()

    @staticmethod
    def _authenticate(server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        known = (data.login, data.password) == (b"toolgate", b"mail-pass-word")
        return AuthResult(success=known, handled=False)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._controller.port}"

    def close(self) -> None:
        self._controller.stop()
