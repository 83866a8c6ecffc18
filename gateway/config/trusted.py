"""Checks of what is trusted to tell who somebody is: issuers, authorities, certificates. All is read with the
configuration, so that new files are a new version."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from gateway.config.authorities import believing
from gateway.config.files import Files
from gateway.config.model_errors import Mistake
from gateway.config.model_errors import Path as Place
from gateway.config.schema_admin import IssuerConfig, is_trusted

_FOLDER = "correct the path; it begins at the configuration's folder"


def issuer_mistakes(at: Place, issuer: IssuerConfig) -> Iterator[Mistake]:
    """What is wrong with where an issuer's keys come from."""
    if issuer.jwks_url is not None and issuer.jwks_file is not None:
        yield Mistake((*at, "jwks_file"), "jwks_url and jwks_file are both given", "keep one of them")
    if issuer.jwks_url is None and issuer.jwks_file is None and not is_trusted(issuer.issuer):
        message = "whoever is on the way to the issuer could show keys of their own in its place"
        yield Mistake((*at, "issuer"), message, "give jwks_url with https, or jwks_file")


def file_mistakes(at: Place, file: str | None, base: Path, files: Files) -> Iterator[Mistake]:
    """What is wrong with a file that is trusted, at ``at`` in the configuration."""
    if file is None:
        return
    path = base / file
    try:
        data = files.read(path)
    except OSError as error:
        yield Mistake(at, f"cannot read {path}: {error.strerror or error}", _FOLDER)
        return
    if at[-1] in ("ca_file", "client_ca_file"):
        try:
            believing(pem=data.decode("ascii", "ignore"))
        except (ssl.SSLError, ValueError):
            yield Mistake(at, f"{path} holds no certificate that can be read", "give a PEM file")


def pair_mistakes(at: Place, certificate: Path, key: Path, files: Files) -> Iterator[Mistake]:
    """What is wrong with a certificate and its key."""
    for name, path in (("cert_file", certificate), ("key_file", key)):
        try:
            files.read(path)
        except OSError as error:
            yield Mistake((*at, name), f"cannot read {path}: {error.strerror or error}", _FOLDER)
            return
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, password=lambda: "")  # else a passphrase is asked of the terminal
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        message = f"{certificate} and {key} cannot be used: {reason}"
        yield Mistake(at, message, "give a certificate and its own key, in PEM, without a passphrase")
