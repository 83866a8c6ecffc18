"""Who has a token of their own: ``admin.token``, and the users of the configuration, known by SHA-256."""

from __future__ import annotations

import hmac
from hashlib import sha256

from msgspec import Struct

from gateway.admin.principals import ROLES, Principal
from gateway.config.schema_admin import Admin


class Known(Struct, frozen=True):
    """Somebody and the digest of their token."""

    digest: bytes
    principal: Principal

    @property
    def stamp(self) -> str:
        """Tells sessions of this token from those of another of the same user, and does not betray its digest."""
        return sha256(b"session of " + self.digest).hexdigest()[:32]


class Users:
    """All of one configuration."""

    def __init__(self, admin: Admin) -> None:
        known = [Known(bytes.fromhex(user.sha256), _principal(user.name, user.roles)) for user in admin.users]
        if admin.token is not None:
            everything = Principal("admin", frozenset(ROLES), "token")
            known.insert(0, Known(sha256(admin.token.encode()).digest(), everything))
        self._known = tuple(known)
        self.names = frozenset(one.principal.id for one in known)

    def find(self, secret: str) -> Known | None:
        """Whose token this is. It takes as long whoever it is, and if nobody."""
        digest, found = sha256(secret.encode("utf-8", "surrogateescape")).digest(), None
        for one in self._known:
            if hmac.compare_digest(one.digest, digest):
                found = one
        return found

    def still(self, ident: str, stamp: str) -> Principal | None:
        """The user whose token has this stamp, with the roles they have now."""
        return next((one.principal for one in self._known if one.principal.id == ident and one.stamp == stamp), None)


def _principal(name: str, roles: tuple[str, ...]) -> Principal:
    return Principal(name, frozenset(roles), "user")
