"""From what an issuer says of somebody to a principal with roles."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from gateway.admin.principals import Principal
from gateway.admin.problems import Failure
from gateway.config.schema_admin import KUBERNETES, RESERVED, Claims

LONGEST = 200
"""Characters of a name."""
MOST = 1_000
"""Values of a claim that are looked at."""


def principal_of_claims(
    claims: Mapping[str, Any], config: Claims, roles: Mapping[str, Collection[str]], source: str, taken: Collection[str]
) -> Principal:
    """Who the claims say somebody is. Names in ``taken`` are others'.

    Raises:
        Failure: 403, they have no name that will do, or no role.
    """
    name = claims.get(config.name)
    if config.name == "email" and claims.get("email_verified", True) is not True:
        raise Failure(403, "the issuer has not verified the e-mail address", "verify it there")
    if not isinstance(name, str):
        raise Failure(403, f"the token has no name in {config.name!r}", "see claims.name in the configuration")
    check_name(name, taken)
    if name.startswith(KUBERNETES):
        raise Failure(403, "the name in the token is not one that the issuer may give")
    return Principal(name, given(roles, _values(claims, config.roles)), source)


def given(roles: Mapping[str, Collection[str]], values: Iterable[str]) -> frozenset[str]:
    """The roles that these values give.

    Raises:
        Failure: 403, none.
    """
    has = {*values, "*"}
    found = frozenset(role for role, wanted in roles.items() if not has.isdisjoint(wanted))
    if not found:
        raise Failure(403, "you are known, and have no role here", "ask whoever configures `admin` for one")
    return found


def check_name(name: str, taken: Collection[str]) -> None:
    """Raises Failure where nobody may be called so: names are told apart in the audit and on approvals."""
    if not name or len(name) > LONGEST or "/" in name or not name.isprintable() or name != name.strip():
        raise Failure(403, "the name in the token is none that can be shown", "choose another claim in claims.name")
    if name in RESERVED or name in taken:
        raise Failure(403, f"the name {name} is that of a local user", "choose another claim in claims.name")


def _values(claims: Mapping[str, Any], path: str) -> list[str]:
    """The texts of a claim: by its whole name (which may be a URL), or step by step."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for step in path.split("."):
            found = found.get(step) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return [found]
    return [one for one in found[:MOST] if isinstance(one, str)] if isinstance(found, list) else []
