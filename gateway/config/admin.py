"""Checks of ``admin`` that need more than one setting, or files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gateway.config.fields import Address
from gateway.config.files import Files
from gateway.config.model_errors import Mistake
from gateway.config.schema_admin import Admin, is_loopback
from gateway.config.trusted import file_mistakes, issuer_mistakes, pair_mistakes


def admin_mistakes(admin: Admin, listen: Address, base: Path, files: Files) -> Iterator[Mistake]:
    """What makes the settings unusable. ``listen`` is where agents call; relative paths begin at ``base``."""
    yield from _exposed(admin)
    yield from _addresses(admin, listen)
    yield from _users(admin)
    if admin.jwt is not None:
        yield from issuer_mistakes(("admin", "jwt"), admin.jwt)
    if admin.oidc is not None and not admin.oidc.redirect_uri.endswith("/login/callback"):
        message = "the provider sends people back to /login/callback"
        yield Mistake(("admin", "oidc", "redirect_uri"), message, "write https://NAME/login/callback")
    yield from _files(admin, base, files)
    if admin.tls is not None:
        yield from pair_mistakes(("admin", "tls"), base / admin.tls.cert_file, base / admin.tls.key_file, files)


def settled(admin: Admin, base: Path) -> Admin:
    """The settings with paths that hold wherever the process stands."""
    updated: dict[str, object] = {}
    for section, keys in _PATHS.items():
        part = getattr(admin, section)
        if part is not None:
            paths = {key: os.path.abspath(base / file) for key in keys if (file := getattr(part, key)) is not None}
            updated[section] = part.model_copy(update=paths)
    return admin.model_copy(update=updated)


_PATHS = {
    "jwt": ("jwks_file", "ca_file"),
    "oidc": ("ca_file",),
    "kubernetes": ("ca_file", "token_file"),
    "tls": ("cert_file", "key_file"),
}


def _exposed(admin: Admin) -> Iterator[Mistake]:
    if is_loopback(admin.listen.host):
        return
    at = ("admin", "listen")
    if not admin.asks:
        message = f"{admin.listen} can be reached from other machines, and nobody would be asked who they are"
        hint = "write admin: 127.0.0.1:9090, or give token, users, jwt, oidc or kubernetes"
        yield Mistake(at, message, f"{hint}; for probes and metrics there is admin.probes")
    if admin.tls is None and not admin.plaintext:
        message = f"{admin.listen} can be reached from other machines, and tokens would pass unencrypted"
        hint = "give admin.tls, or write plaintext: true where a proxy or mesh in front of it speaks TLS"
        yield Mistake(at, message, hint)


def _addresses(admin: Admin, listen: Address) -> Iterator[Mistake]:
    probes = admin.probes
    if probes is not None and (probes.meets(admin.listen) or probes.meets(listen)):
        message = f"{probes} is where {'agents are' if probes.meets(listen) else 'operators are'} listened to, too"
        yield Mistake(("admin", "probes"), message, "give each its own port")


def _users(admin: Admin) -> Iterator[Mistake]:
    known: set[str] = set()
    for number, user in enumerate(admin.users):
        if user.sha256 in known:
            place = ("admin", "users", number, "sha256")
            yield Mistake(place, "this token is given twice", "give each user a token of their own")
        known.add(user.sha256)


def _files(admin: Admin, base: Path, files: Files) -> Iterator[Mistake]:
    """Those that are trusted. The token of a service account is not read: it is rotated by the hour, and may be one
    that only the pod has."""
    for section, key in (("jwt", "jwks_file"), ("jwt", "ca_file"), ("oidc", "ca_file")):
        yield from file_mistakes(("admin", section, key), getattr(getattr(admin, section), key, None), base, files)
