"""Checks of how agents are recognised that need more than one setting, or files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gateway.config.files import Files
from gateway.config.model_errors import Mistake
from gateway.config.schema import Config
from gateway.config.schema_identify import Identify, ListenTls
from gateway.config.trusted import file_mistakes, issuer_mistakes, pair_mistakes


def identity_mistakes(config: Config, base: Path, files: Files) -> Iterator[Mistake]:
    """What makes ``identify`` and ``listen_tls`` unusable; relative paths begin at ``base``."""
    yield from _order(config.identify)
    yield from _keys(config.identify)
    tls = config.listen_tls
    for number, source in enumerate(config.identify):
        at = ("identify", number)
        if source.jwt is not None:
            yield from issuer_mistakes((*at, "jwt"), source.jwt)
            for key in ("jwks_file", "ca_file"):
                yield from file_mistakes((*at, "jwt", key), getattr(source.jwt, key), base, files)
        if source.certificate is not None and (tls is None or tls.client_ca_file is None):
            message = "no connection has a client certificate, since nobody is asked for one"
            yield Mistake((*at, "certificate"), message, "give listen_tls with client_ca_file")
    if tls is not None:
        yield from pair_mistakes(("listen_tls",), base / tls.cert_file, base / tls.key_file, files)
        yield from file_mistakes(("listen_tls", "client_ca_file"), tls.client_ca_file, base, files)
        if tls.client_ca_file is None and "require" in tls.model_fields_set:
            message = "require has no effect without client_ca_file, which says whose certificates are good"
            yield Mistake(("listen_tls", "require"), message, "give client_ca_file, or remove require")


def settled_identities(identify: tuple[Identify, ...], base: Path) -> tuple[Identify, ...]:
    """The ways with paths that hold wherever the process stands."""
    return tuple(_settled(source, base) for source in identify)


def settled_tls(tls: ListenTls | None, base: Path) -> ListenTls | None:
    """The same for TLS."""
    if tls is None:
        return None
    keys = ("cert_file", "key_file", "client_ca_file")
    return tls.model_copy(update={key: _absolute(getattr(tls, key), base) for key in keys})


def _settled(source: Identify, base: Path) -> Identify:
    for section, keys in (("jwt", ("jwks_file", "ca_file")), ("kubernetes", ("ca_file", "token_file"))):
        part = getattr(source, section)
        if part is not None:
            paths = {key: _absolute(getattr(part, key), base) for key in keys}
            return source.model_copy(update={section: part.model_copy(update=paths)})
    return source


def _absolute(file: str | None, base: Path) -> str | None:
    return None if file is None else os.path.abspath(base / file)


def _order(identify: tuple[Identify, ...]) -> Iterator[Mistake]:
    """Ways that are never reached."""
    keys_in: dict[str, int] = {}
    judged: dict[tuple[str, str], int] = {}
    for number, source in enumerate(identify):
        at = ("identify", number)
        if source.anonymous is not None and number != len(identify) - 1:
            message = "anonymous recognises everybody, so that what follows is never reached"
            yield Mistake((*at, "anonymous"), message, "move it to the end of the list")
        if source.shown_in in keys_in and source.api_key is None:
            message = f"the api_key before it refuses all in {source.shown_in} that is none of its keys"
            yield Mistake((*at, "jwt" if source.jwt is not None else "kubernetes"), message, "move it before that")
        if source.api_key is not None:
            keys_in.setdefault(source.shown_in, number)
        token = source.jwt or source.kubernetes
        if token is not None:
            who = (source.shown_in, token.issuer or "the API server")
            if who in judged:
                message = f"tokens of {who[1]} in {who[0]} are judged by entry {judged[who] + 1} already"
                hint = "make one entry of the two: it may name several audiences"
                yield Mistake((*at, "jwt" if source.jwt is not None else "kubernetes"), message, hint)
            judged.setdefault(who, number)


def _keys(identify: tuple[Identify, ...]) -> Iterator[Mistake]:
    known: set[str] = set()
    for number, source in enumerate(identify):
        for at, key in enumerate(source.api_key.keys if source.api_key is not None else ()):
            if key.sha256 in known:
                place = ("identify", number, "api_key", "keys", at, "sha256")
                yield Mistake(place, "this key is given twice", "give each agent a key of its own")
            known.add(key.sha256)
