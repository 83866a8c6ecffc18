"""A tool that speaks TLS."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from pathlib import Path

import pytest

from . import http1
from .net import Peer, listen


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate for this name, in one file, with its key beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    file = folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
         "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(file) + ".key", "-out", str(file)],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    return file


class Secure:
    """Answers each request with ``over TLS`` and its body. ``heard`` is set by the first byte that comes in."""

    def __init__(self, certificate: Path) -> None:
        self.certificate = certificate
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, str(certificate) + ".key")
        self._listener = listen()
        self.port: int = self._listener.getsockname()[1]
        self.heard = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        try:
            while True:
                raw, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(raw,), daemon=True).start()
        except OSError:
            return

    def _serve(self, raw: object) -> None:
        try:
            if raw.recv(1, 2):  # type: ignore[attr-defined]  # MSG_PEEK
                self.heard.set()
            with Peer(self._context.wrap_socket(raw, server_side=True)) as peer:  # type: ignore[arg-type]
                while peer.wait_for_bytes():
                    message = http1.read_request(peer)
                    peer.send(http1.response("200 OK", body=b"over TLS " + message.body))
        except OSError:
            return

    def close(self) -> None:
        self._listener.shutdown(2)
        self._listener.close()
