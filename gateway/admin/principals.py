"""Who is at the admin side, and what they may do there."""

from __future__ import annotations

from aiohttp import web
from msgspec import Struct

from gateway.admin.problems import Failure

VIEWER, APPROVER, ADMIN = "viewer", "approver", "admin"
ROLES = (VIEWER, APPROVER, ADMIN)
"""What the gateway itself asks for: looking, deciding on approvals, changing anything. An admin may do all."""


class Principal(Struct, frozen=True):
    """Somebody at the admin side. ``id`` is what the gateway knows them by, never what they say of themselves.

    ``roles`` may have more than ``ROLES``: terms of approvals may ask for those (``"payments" in approver.roles``).
    """

    id: str
    roles: frozenset[str]
    source: str = ""
    """How they are known: token, user, jwt, oidc, kubernetes, loopback, or session (with one of these)."""

    def may(self, role: str) -> bool:
        """Whether they have this role, or are an admin; every role may look."""
        return role in self.roles or ADMIN in self.roles or (role == VIEWER and APPROVER in self.roles)


_PRINCIPAL: web.RequestKey[Principal] = web.RequestKey("principal", Principal)


def enter(request: web.Request, principal: Principal) -> None:
    """Note who makes this request: done by the gate, once."""
    request[_PRINCIPAL] = principal


def principal_of(request: web.Request) -> Principal:
    """Who makes this request, which the gate has let through."""
    return request[_PRINCIPAL]


def need(request: web.Request, role: str) -> Principal:
    """Who makes this request, where they have the role.

    Raises:
        Failure: 403, they do not.
    """
    principal = principal_of(request)
    if not principal.may(role):
        raise Failure(403, f"{principal.id} is no {role}", "ask whoever configures `admin` for the role")
    return principal


def author(request: web.Request, said: str) -> str:
    """Who a change is by: whoever the gateway knows them to be. Only where whoever is on this machine may do all, and
    nobody is asked who they are, it is whom they say."""
    principal = principal_of(request)
    return said if principal.source == "loopback" else principal.id
