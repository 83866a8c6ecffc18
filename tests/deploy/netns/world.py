"""What is outside of the pod: tools, and places that agents have no business with. Run as a program.

Writes one line of JSON to standard output for all that reaches it.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_lock = threading.Lock()


def _tell(**what: Any) -> None:
    with _lock:
        print(json.dumps(what), flush=True)


class _Tool(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        port = self.server.server_address[1]
        names = {name.lower(): value for name, value in self.headers.items()}
        _tell(kind="http", port=port, host=names["host"], path=self.path, token=names.get("authorization"))
        body = f"{port} answers".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, family: int, port: int, context: ssl.SSLContext | None = None) -> None:
        self.address_family = family
        super().__init__(("::" if family == socket.AF_INET6 else "0.0.0.0", port), _Tool)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        super().server_bind()

    def handle_error(self, *_: Any) -> None:
        pass


def _bound(family: int, kind: int, port: int) -> socket.socket:
    bound = socket.socket(family, kind)
    if family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    bound.bind(("", port))
    return bound


def _greets(family: int, port: int) -> Callable[[], None]:
    """A server that speaks first, as databases and mail servers do."""
    listening = _bound(family, socket.SOCK_STREAM, port)
    listening.listen(8)

    def serve() -> None:
        while True:
            connection, _ = listening.accept()
            _tell(kind="tcp", port=port)
            connection.sendall(b"welcome\n")
            connection.close()

    return serve


def _hears(family: int, port: int) -> Callable[[], None]:
    """UDP: what comes goes back."""
    listening = _bound(family, socket.SOCK_DGRAM, port)

    def serve() -> None:
        while True:
            data, sender = listening.recvfrom(2048)
            _tell(kind="udp", port=port, data=data.decode("latin-1"))
            listening.sendto(data, sender)

    return serve


def main(certificate: str, key: str) -> None:
    """Serve until killed; says ``ready`` first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    serving: list[Callable[[], None]] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        servers = [_Server(family, 80), _Server(family, 8080), _Server(family, 443, context)]
        serving += [server.serve_forever for server in servers]
        serving += [_greets(family, 5432), _hears(family, 53), _hears(family, 443), _hears(family, 5353)]
    threads = [threading.Thread(target=serve, daemon=True) for serve in serving]
    for thread in threads:
        thread.start()
    _tell(kind="ready")
    threads[0].join()


if __name__ == "__main__":
    main(*sys.argv[1:])
