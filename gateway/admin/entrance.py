"""All ways in that a configuration has: who shows which token is whom, and which sessions still hold."""

from __future__ import annotations

import os
import time
from hashlib import sha256

from msgspec import Struct
from pydantic import BaseModel

from gateway.admin.mapping import check_name, given, principal_of_claims
from gateway.admin.oidc import Oidc
from gateway.admin.principals import Principal
from gateway.admin.problems import Failure
from gateway.admin.sessions import Session, Sessions
from gateway.admin.users import Users
from gateway.config.schema_admin import KUBERNETES, Admin, JwtConfig, KubernetesConfig
from gateway.identify.tokens import BadToken, Expected, claimed
from gateway.trust.ask import Asker, Unavailable
from gateway.trust.keys import keys_of
from gateway.trust.review import Reviewer

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
        self.oidc = None if admin.oidc is None else Oidc(admin.oidc, time.monotonic, time.time)
        self._jwt = None if admin.jwt is None else _Jwt(admin.jwt)
        self._kubernetes = None if admin.kubernetes is None else _Kubernetes(admin.kubernetes)
        sections: dict[str, BaseModel | None] = {"jwt": admin.jwt, "oidc": admin.oidc, "kubernetes": admin.kubernetes}
        self._stamps = {name: _stamp(section) for name, section in sections.items() if section is not None}
        self.takes_tokens = bool(self.users.names or self._jwt or self._kubernetes)

    async def admit(self, secret: str) -> Admitted:
        """Whose token this is.

        Raises:
            Failure: 401 nobody's; 403 somebody's without a role; 503 who would know cannot be asked.
        """
        known = self.users.find(secret)
        if known is not None:
            return Admitted(known.principal, known.stamp)
        try:
            principal = await self._vouched(secret)
        except BadToken as error:
            raise wrong(str(error)) from None
        except Unavailable as error:
            raise Failure(503, f"whoever vouches for this token cannot be asked: {error}", "try again later") from None
        return self.admitted(principal)

    def admitted(self, principal: Principal) -> Admitted:
        """Somebody whom an issuer vouches for."""
        return Admitted(principal, self._stamps[principal.source])

    async def _vouched(self, secret: str) -> Principal:
        """Only what looks like a token of theirs is shown to anybody: not a mistyped one of ours."""
        said = claimed(secret)
        if not said:
            raise wrong()
        if self._jwt is not None and said.get("iss") == self._jwt.issuer:
            return await self._jwt.principal(secret, self.users)
        if self._kubernetes is not None:
            return await self._kubernetes.principal(secret, self.users)
        raise wrong("it is of another issuer (iss)" if self._jwt is not None else "")

    def still(self, session: Session) -> Principal | None:
        """Whose session this is, where what it was begun by still holds: a user who is gone, another token, or other
        rules for roles end it."""
        if session.source in ("token", "user"):
            now = self.users.still(session.name, session.stamp)
            return None if now is None else Principal(now.id, now.roles, session.principal.source)
        return session.principal if self._stamps.get(session.source) == session.stamp else None

    async def close(self) -> None:
        """Ask nobody any more."""
        for asked in (self.oidc, self._jwt, self._kubernetes):
            if asked is not None:
                await asked.asker.close()


def wrong(why: str = "") -> Failure:
    """Nobody's token."""
    detail = "the admin token is missing or wrong"
    return Failure(401, f"{detail}: {why}" if why else detail, "send Authorization: Bearer TOKEN")


class _Jwt:
    def __init__(self, config: JwtConfig) -> None:
        self.issuer, self._config = config.issuer, config
        self.asker = Asker(config.ca_file)
        self._keys = keys_of(
            self.asker, time.monotonic, issuer=config.issuer, url=config.jwks_url, file=config.jwks_file
        )
        algorithms, audiences = frozenset(config.algorithms), frozenset(config.audience)
        self._expected = Expected(config.issuer, audiences, algorithms, config.leeway)

    async def principal(self, token: str, users: Users) -> Principal:
        claims = await self._keys.verified(token, self._expected, time.time())
        return principal_of_claims(claims, self._config.claims, self._config.roles, "jwt", users.names)


class _Kubernetes:
    def __init__(self, config: KubernetesConfig) -> None:
        self._config = config
        self.asker = Asker(config.ca_file if config.url.startswith("https:") else None)
        self._reviewer = Reviewer(config.url, config.token_file, config.audiences, self.asker, time.monotonic)

    async def principal(self, token: str, users: Users) -> Principal:
        found = await self._reviewer.reviewed(token)
        name = KUBERNETES + found.username
        check_name(name, users.names)
        return Principal(name, given(self._config.roles, (found.username, *found.groups)), "kubernetes")


def _stamp(section: BaseModel) -> str:
    return sha256(f"session by {section.model_dump_json()}".encode()).hexdigest()[:32]
