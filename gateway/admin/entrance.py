"""All ways in that a configuration has: who shows which token is whom, and which sessions still hold."""

from __future__ import annotations

import os
import time
from hashlib import sha256
from typing import TYPE_CHECKING

from msgspec import Struct
from pydantic import BaseModel

from gateway.admin.principals import Principal
from gateway.admin.problems import Failure, wrong
from gateway.admin.sessions import Session, Sessions
from gateway.admin.users import Users
from gateway.config.schema_admin import Admin
from gateway.trust.ask import Unavailable

if TYPE_CHECKING:
    from gateway.admin.oidc import Oidc
    from gateway.admin.vouching import Vouchers

_OF_THIS_PROCESS = os.urandom(32)
"""Signs sessions where the configuration has nothing to sign them with: they end with the process."""


class Admitted(Struct, frozen=True):
    """Somebody who was let in, and the stamp of the sessions that they begin."""

    principal: Principal
    stamp: str


class Entrance:
    """Of one configuration. ``close`` ends its connections."""

    def __init__(self, admin: Admin) -> None:
        self.users = Users(admin)
        key = admin.session_key or admin.token
        secret = _OF_THIS_PROCESS if key is None else key.encode()
        self.sessions = Sessions(secret, admin.session_life, time.time)
        self.oidc = _oidc(admin)
        self._vouchers = _vouchers(admin)
        sections: dict[str, BaseModel | None] = {"jwt": admin.jwt, "oidc": admin.oidc, "kubernetes": admin.kubernetes}
        self._stamps = {name: _stamp(section) for name, section in sections.items() if section is not None}
        self.takes_tokens = bool(self.users.names or self._vouchers)

    async def admit(self, secret: str) -> Admitted:
        """Whose token this is.

        Raises:
            Failure: 401 nobody's; 403 somebody's without a role; 503 who would know cannot be asked.
        """
        known = self.users.find(secret)
        if known is not None:
            return Admitted(known.principal, known.stamp)
        if self._vouchers is None:
            raise wrong()
        try:
            principal = await self._vouchers.principal(secret, self.users)
        except Unavailable as error:
            raise Failure(503, f"whoever vouches for this token cannot be asked: {error}", "try again later") from None
        return self.admitted(principal)

    def admitted(self, principal: Principal) -> Admitted:
        """Somebody whom an issuer vouches for."""
        return Admitted(principal, self._stamps[principal.source])

    def still(self, session: Session) -> Principal | None:
        """Whose session this is, where what it was begun by still holds: a user who is gone, another token, or other
        rules for roles end it."""
        if session.source in ("token", "user"):
            now = self.users.still(session.name, session.stamp)
            return None if now is None else Principal(now.id, now.roles, session.principal.source)
        return session.principal if self._stamps.get(session.source) == session.stamp else None

    async def close(self) -> None:
        """Ask nobody any more."""
        if self.oidc is not None:
            await self.oidc.asker.close()
        if self._vouchers is not None:
            await self._vouchers.close()


def _vouchers(admin: Admin) -> Vouchers | None:
    if admin.jwt is None and admin.kubernetes is None:
        return None
    from gateway.admin.vouching import Vouchers

    return Vouchers(admin)


def _oidc(admin: Admin) -> Oidc | None:
    if admin.oidc is None:
        return None
    from gateway.admin.oidc import Oidc

    return Oidc(admin.oidc, time.monotonic, time.time)


def _stamp(section: BaseModel) -> str:
    """Changes with the settings. Not with the secret, which might be guessed from it: it stands in cookies."""
    settings = section.model_dump_json(exclude={"client_secret"})
    return sha256(f"session by {settings}".encode()).hexdigest()[:32]
