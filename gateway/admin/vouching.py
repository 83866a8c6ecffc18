"""Tokens that others vouch for: an issuer by its signature, a Kubernetes API server by its word.

Loaded only where the configuration has one of them: what verifies signatures takes 10 MB.
"""

from __future__ import annotations

import time

from gateway.admin.mapping import check_name, given, principal_of_claims
from gateway.admin.principals import Principal
from gateway.admin.problems import wrong
from gateway.admin.users import Users
from gateway.config.schema_admin import KUBERNETES, Admin, JwtConfig, KubernetesConfig
from gateway.identify.tokens import BadToken, Expected, claimed
from gateway.trust.ask import Asker
from gateway.trust.keys import keys_of
from gateway.trust.review import Reviewer


class Vouchers:
    """Those of one configuration. ``close`` ends their connections."""

    def __init__(self, admin: Admin) -> None:
        self._jwt = None if admin.jwt is None else _Jwt(admin.jwt)
        self._kubernetes = None if admin.kubernetes is None else _Kubernetes(admin.kubernetes)

    async def principal(self, secret: str, users: Users) -> Principal:
        """Whose token this is. Only what looks like a token of theirs is shown to anybody: not a mistyped one of ours.

        Raises:
            Failure: 401 nobody's; 403 somebody's without a role.
            Unavailable: who would know cannot be asked.
        """
        said = claimed(secret)
        if not said:
            raise wrong()
        try:
            if self._jwt is not None and said.get("iss") == self._jwt.issuer:
                return await self._jwt.principal(secret, users)
            if self._kubernetes is not None:
                return await self._kubernetes.principal(secret, users)
        except BadToken as error:
            raise wrong(str(error)) from None
        raise wrong("it is of another issuer (iss)")

    async def close(self) -> None:
        """Ask nobody any more."""
        for asked in (self._jwt, self._kubernetes):
            if asked is not None:
                await asked.asker.close()


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
