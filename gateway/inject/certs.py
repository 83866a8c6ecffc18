"""Certificates that an injector issues for itself. The authority's key signs one certificate and is thrown away, so
that nobody can sign another; the next certificate has the next authority, and for a while both are believed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID
from msgspec import Struct

LASTS = timedelta(days=90)
"""How long a certificate is good, and its authority."""
RENEWED = LASTS * 2 / 3
"""How old a certificate is when the next one is issued."""
_CLOCKS = timedelta(hours=1)
"""By how much clocks in a cluster may differ."""
_MOST = 4
"""Authorities that are believed at once, the newest."""


class Issued(Struct, frozen=True):
    """A certificate, its key, and the authorities by which to believe it and the one before it; all PEM."""

    certificate: bytes
    key: bytes
    authorities: bytes


def issue(name: str, now: datetime, before: bytes = b"") -> Issued:
    """A new certificate for the DNS ``name``. Those of the authorities ``before`` that are still good stay beside its
    own."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    title = _title(f"toolgate injector {now:%Y-%m-%d}")
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    signer = (
        _blank(title, title, authority.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(authority, SHA256())
    )
    made = (
        _blank(_title("toolgate injector"), title, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
        .sign(authority, SHA256())
    )
    believed = [signer, *_good(before, now)][:_MOST]
    return Issued(
        made.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        b"".join(one.public_bytes(Encoding.PEM) for one in believed),
    )


def lasting(issued: Issued, name: str, now: datetime) -> bool:
    """Whether it is a certificate for ``name`` that need not be renewed yet, with its key and its authority."""
    try:
        made = x509.load_pem_x509_certificate(issued.certificate)
        key = load_pem_private_key(issued.key, None)
        names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        believed = [one for one in _good(issued.authorities, now) if _signed(made, one)]
    except (ValueError, TypeError, x509.ExtensionNotFound):
        return False
    own = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return (
        bool(believed)
        and own == made.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        and name in names.get_values_for_type(x509.DNSName)
        and made.not_valid_before_utc <= now < made.not_valid_before_utc + _CLOCKS + RENEWED
    )


def expiry(certificate: bytes) -> datetime:
    """Until when the first certificate in this PEM is good.

    Raises:
        ValueError: there is none in it.
    """
    return x509.load_pem_x509_certificate(certificate).not_valid_after_utc


def good(authorities: bytes, now: datetime) -> bytes:
    """Those of the authorities in this PEM that are not over; nothing where it is none."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in _good(authorities, now))


def _good(authorities: bytes, now: datetime) -> Iterator[x509.Certificate]:
    try:
        known = x509.load_pem_x509_certificates(authorities) if authorities else []
    except ValueError:
        return
    seen = set()
    for one in known:
        if one.not_valid_after_utc > now and one.serial_number not in seen:
            seen.add(one.serial_number)
            yield one


def _signed(made: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        made.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001 - InvalidSignature, and whatever keys of other kinds raise
        return False
    return True


def _title(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _blank(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - _CLOCKS)
        .not_valid_after(now.astimezone(UTC) + LASTS)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
