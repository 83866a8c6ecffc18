"""The certificate that is served now, and one from files that is read again when they change."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.errors import ToolgateError
from gateway.inject.certs import expiry
from gateway.inject.settings import CertificateFiles


class CertificateError(ToolgateError):
    """A certificate cannot be used; the text says why."""


class Served:
    """``context`` is TLS by the certificate of the moment: connections from then on have a new one."""

    def __init__(self) -> None:
        self.context = _blank()
        self.expires: datetime | None = None

    def take(self, certificate: bytes, key: bytes) -> None:
        """Serve these (PEM).

        Raises:
            CertificateError: they are none, or do not belong together. What was served stays.
        """
        try:
            expires = expiry(certificate)
            with TemporaryDirectory(prefix="toolgate-") as folder:  # OpenSSL reads keys from files only
                parts = Path(folder, "tls.crt"), Path(folder, "tls.key")
                for part, text in zip(parts, (certificate, key), strict=True):
                    part.write_bytes(text)
                for context in (_blank(), self.context):  # one that does not matter first: half of it might be taken
                    context.load_cert_chain(*parts, password=lambda: "")  # or the terminal would be asked
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise CertificateError(str(error)) from None
        self.expires = expires


class Files:
    """Takes what the files hold, and again when that changes, as when cert-manager renews it."""

    def __init__(self, files: CertificateFiles, take: Callable[[bytes, bytes], None]) -> None:
        self._files, self._take = files, take
        self._taken: list[bytes] = []

    async def look(self) -> None:
        """Take what is new.

        Raises:
            CertificateError: it cannot be read or used.
        """
        try:
            texts = [await asyncio.to_thread(one.read_bytes) for one in (self._files.cert_file, self._files.key_file)]
        except OSError as error:
            raise CertificateError(f"cannot read {error.filename}: {error.strerror}") from None
        if texts != self._taken:
            self._take(texts[0], texts[1])
            self._taken = texts


def _blank() -> ssl.SSLContext:
    return ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
