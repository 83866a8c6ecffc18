"""Whose certificates of servers and agents are believed."""

from __future__ import annotations

import ssl
from pathlib import Path


def believing(
    *, pem: str | None = None, file: str | Path | None = None, purpose: ssl.Purpose = ssl.Purpose.SERVER_AUTH
) -> ssl.SSLContext:
    """A context that believes the authorities in ``pem`` or ``file``, or the system's where neither is given.

    Raises:
        OSError: they cannot be read, or there are none (ssl.SSLError is one).
    """
    if pem is not None and not pem.strip():
        raise ssl.SSLError("no certificate")  # else the system's would be believed
    context = ssl.create_default_context(purpose, cafile=file, cadata=pem)
    if pem is not None or file is not None:
        # Authorities that people make, and those of clusters (EKS), lack what Python 3.13 asks for by RFC 5280: key
        # identifiers, most often. Signatures, names and times are looked at all the same.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


__all__ = ["believing"]
