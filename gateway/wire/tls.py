"""TLS for agents. New files take effect with the next connection; those that are open stay."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, time
from typing import Any

from gateway.config.authorities import believing
from gateway.config.schema_identify import ListenTls

HANDSHAKE = 10.0
"""Seconds for a handshake."""
GOODBYE = 2.0
"""Seconds for an agent to answer the end of TLS."""


class ListeningTls:
    """The certificate and the authorities of the moment.

    ``context`` is what the listening socket has as long as it listens. Each connection takes what is in force from
    another, since authorities can be added to a context, but not taken out of it.
    """

    def __init__(self, config: ListenTls) -> None:
        """Raises OSError (ssl.SSLError is one) where the files cannot be used."""
        self._now = _context(config)
        self._authorities = _authorities(config)
        self.context = _context(config)
        self.context.sni_callback = self._choose

    def renew(self, config: ListenTls) -> bool:
        """Take what the files hold now. Raises as the constructor, and then stays as it is.

        Returns whether other certificates of agents may be good than were before.
        """
        self._now = _context(config)
        self.context.verify_mode = self._now.verify_mode  # the mode is that of the socket, whatever is chosen below
        before, self._authorities = self._authorities, _authorities(config)
        return before != self._authorities

    def _choose(self, connection: Any, name: str | None, context: ssl.SSLContext) -> None:  # noqa: ARG002
        connection.context = self._now


def _context(config: ListenTls) -> ssl.SSLContext:
    context = believing(file=config.client_ca_file, purpose=ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(config.cert_file, config.key_file, password=lambda: "")  # or the terminal would be asked
    context.set_alpn_protocols(["http/1.1"])
    if config.client_ca_file is not None:
        # Sessions that are resumed would be by a certificate that nobody has looked at since: each begins anew.
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.num_tickets = 0
        context.verify_mode = ssl.CERT_REQUIRED if config.require else ssl.CERT_OPTIONAL
    return context


def _authorities(config: ListenTls) -> bytes:
    return b"" if config.client_ca_file is None else Path(config.client_ca_file).read_bytes()


def names_of(certificate: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The names in a verified certificate, as ``ssl`` tells them: URIs, then DNS names.

    None where one of a kind could be taken for one of the other.
    """
    if not certificate:
        return ()
    names: tuple[tuple[str, str], ...] = certificate.get("subjectAltName", ())
    uris = [name for kind, name in names if kind == "URI"]
    hosts = [name for kind, name in names if kind == "DNS"]
    if not all(":" in name for name in uris) or any(":" in name for name in hosts):
        return ()
    return (*uris, *hosts)


def good_until(certificate: Mapping[str, Any]) -> float:
    """When the certificate ends, on the monotonic clock."""
    return monotonic() + ssl.cert_time_to_seconds(certificate["notAfter"]) - time()
