"""API keys, known here only by their SHA-256: a stolen configuration file opens nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from msgspec import Struct

from gateway.errors import Refused
from gateway.model import Agent, Reason, Request


class Key(Struct, frozen=True):
    """One key: the hex SHA-256 of the key's bytes, and whose it is."""

    sha256: str
    agent: str
    roles: tuple[str, ...] = ()


class ApiKeyIdentity:
    """Reads a key from a header field: ``Bearer KEY`` or the bare key.

    Keys are looked up by digest, so the comparison's timing tells nothing about a key.
    """

    def __init__(self, header: str, keys: Iterable[Key]) -> None:
        self.shows = header.lower().encode("ascii")
        self.expects = f"an API key in {header.lower()}"
        self._agents = {bytes.fromhex(key.sha256): Agent(key.agent, key.roles, "api_key", self.shows) for key in keys}

    def identify(self, request: Request) -> Agent | None:
        value = request.lookup.get(self.shows)
        if value is None:
            return None
        agent = self._known(value)
        if agent is None:
            raise Refused(
                Reason.UNAUTHENTICATED,
                401,
                f"the key in {self.shows.decode()} is not known here",
                "check the key; keys are configured by their SHA-256 under identify",
                ((b"WWW-Authenticate", b'Bearer realm="toolgate", error="invalid_token"'),),
            )
        return agent

    def carried(self, request: Request) -> bool:
        value = request.lookup.get(self.shows)
        return value is not None and self._known(value) is not None

    def _known(self, value: bytes) -> Agent | None:
        key = value[7:].strip() if value[:7].lower() == b"bearer " else value.strip()
        return self._agents.get(hashlib.sha256(key).digest())
