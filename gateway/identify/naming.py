"""From what a token says to an agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.identify.names import LONGEST, presentable
from gateway.identify.tokens import BadToken
from gateway.model import Agent

MOST_ROLES = 200
DEEPEST = 16
"""Mappings and lists that a claim may have within each other."""


class Naming(Struct, frozen=True):
    """Which claims say what. A path is a claim's whole name, or leads into it: ``realm_access.roles``.

    ``prefix`` stands before each id, so that one issuer cannot give the names of another. ``require`` maps paths to
    the values of which the claim must be one, or have one.
    """

    agent: str = "sub"
    roles: str = ""
    prefix: str = ""
    require: Mapping[str, tuple[Any, ...]] = {}

    def agent_of(self, claims: Mapping[str, Any], source: str) -> Agent:
        """Whom the claims are about.

        Raises:
            BadToken: nobody who may be known here.
        """
        _check_depth(claims, DEEPEST)
        for path, wanted in self.require.items():
            if not _is_one_of(value_at(claims, path), wanted):
                raise BadToken(f"its {path} is not what is required here")
        name = value_at(claims, self.agent)
        if not isinstance(name, str) or not presentable(name, LONGEST - len(self.prefix)):
            raise BadToken(f"it has no {self.agent} that could be an agent's name")
        return Agent(self.prefix + name, self._roles_in(claims), source, claims=claims)

    def _roles_in(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        found = value_at(claims, self.roles) if self.roles else None
        if isinstance(found, str):
            found = found.split()  # as the values of scope are written (RFC 6749, 3.3)
        if not isinstance(found, list):
            return ()
        if len(found) > MOST_ROLES:
            raise BadToken(f"it has more than {MOST_ROLES} {self.roles}")
        return tuple([one for one in found if isinstance(one, str) and presentable(one)])


def value_at(claims: Mapping[str, Any], path: str) -> Any:
    """The claim with this whole name (which may be a URL), else what the steps lead to; None for nothing."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for step in path.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def _is_one_of(value: Any, wanted: tuple[Any, ...]) -> bool:
    values = value if isinstance(value, list) else [value]
    return any(type(one) is type(each) and one == each for one in values for each in wanted)


def _check_depth(value: Any, left: int) -> None:
    """Raises BadToken where it lies deeper than rules can read."""
    if isinstance(value, dict | list):
        if not left:
            raise BadToken(f"its claims lie more than {DEEPEST} deep")
        for item in value.values() if isinstance(value, dict) else value:
            _check_depth(item, left - 1)
