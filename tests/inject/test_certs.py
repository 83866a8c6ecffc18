"""What an injector issues for itself, and when it issues anew."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from gateway.inject.certs import LASTS, RENEWED, Issued, expiry, good, issue, lasting

NOW = datetime(2026, 12, 1, tzinfo=UTC)
NAME = "toolgate-injector.toolgate.svc"
DAY = timedelta(days=1)


def shake(issued: Issued, name: str, folder: Path) -> None:
    """A handshake with whoever serves it, by the strictest rules. Raises ssl.SSLError."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    certificate.write_bytes(issued.certificate)
    key.write_bytes(issued.key)
    serving, asking = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    serving.load_cert_chain(certificate, key)
    asking.load_verify_locations(cadata=issued.authorities.decode())
    asking.verify_flags |= ssl.VERIFY_X509_STRICT
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(up, down, server_side=True)
    client = asking.wrap_bio(down, up, server_hostname=name)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.version() == "TLSv1.3"


def test_a_certificate_is_believed_by_its_authority_for_its_name(tmp_path: Path) -> None:
    issued = issue(NAME, datetime.now(UTC))
    shake(issued, NAME, tmp_path)
    with pytest.raises(ssl.SSLError, match="Hostname mismatch"):
        shake(issued, "other.toolgate.svc", tmp_path)
    other = issue(NAME, datetime.now(UTC))
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        shake(Issued(issued.certificate, issued.key, other.authorities), NAME, tmp_path)


def test_it_is_renewed_when_two_thirds_of_its_time_are_over() -> None:
    issued = issue(NAME, NOW)
    assert lasting(issued, NAME, NOW)
    assert lasting(issued, NAME, NOW + RENEWED - DAY)
    assert not lasting(issued, NAME, NOW + RENEWED)
    assert not lasting(issued, NAME, NOW - DAY), "of the future, by this clock"
    assert expiry(issued.certificate) == NOW + LASTS


def test_what_cannot_be_served_does_not_last() -> None:
    issued, other = issue(NAME, NOW), issue(NAME, NOW)
    unusable = [
        Issued(b"", b"", b""),
        Issued(b"no PEM", issued.key, issued.authorities),
        Issued(issued.certificate, b"no PEM", issued.authorities),
        Issued(issued.certificate, issued.key, b"no PEM"),
        Issued(issued.certificate, issued.key, b""),
        Issued(issued.certificate, other.key, issued.authorities),
        Issued(issued.certificate, issued.key, other.authorities),
        issue("other.toolgate.svc", NOW),
    ]
    assert [one for one in unusable if lasting(one, NAME, NOW)] == []


def test_authorities_before_are_believed_until_they_are_over_and_not_without_end() -> None:
    first = issue(NAME, NOW)
    second = issue(NAME, NOW + RENEWED, first.authorities)
    assert first.authorities in second.authorities
    assert good(second.authorities, NOW + LASTS + DAY) == second.authorities.removesuffix(first.authorities)
    believed = first.authorities
    for _ in range(10):
        believed = issue(NAME, NOW, believed).authorities
    assert len(x509.load_pem_x509_certificates(believed)) == 4


def test_an_authority_signs_one_certificate_and_no_authorities() -> None:
    (authority,) = x509.load_pem_x509_certificates(issue(NAME, NOW).authorities)
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)
