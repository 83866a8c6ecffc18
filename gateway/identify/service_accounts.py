"""Kubernetes service accounts: whom a projected token, or an API server's word on it, is about.

https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#schema-for-service-account-private-claims
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.identify.names import presentable
from gateway.identify.tokens import BadToken
from gateway.model import Agent

SERVICE_ACCOUNT = "system:serviceaccount:"
"""How the names of service accounts begin; no user or node has such a name."""

Facts = dict[str, str]


def facts_of_claims(claims: Mapping[str, Any]) -> Facts:
    """Namespace, service account, pod and node that a verified token is bound to. Raises BadToken."""
    facts = _facts_of_name(claims.get("sub"))
    bound = claims.get("kubernetes.io")
    bound = bound if isinstance(bound, dict) else {}
    for kind, name, uid in (("pod", "pod", "pod_uid"), ("node", "node", "node_uid")):
        part = bound.get(kind)
        if isinstance(part, dict):
            facts |= {key: part[of] for key, of in ((name, "name"), (uid, "uid")) if isinstance(part.get(of), str)}
    return facts


def facts_of_review(username: str, extra: Mapping[str, Sequence[str]]) -> Facts:
    """The same from what an API server tells of a token (``status.user``). Raises BadToken."""
    facts = _facts_of_name(username)
    for key, name in _EXTRA.items():
        if values := extra.get(f"authentication.kubernetes.io/{name}"):
            facts[key] = values[0]
    return facts


_EXTRA = {"pod": "pod-name", "pod_uid": "pod-uid", "node": "node-name", "node_uid": "node-uid"}


def agent_of(facts: Facts, template: str, roles: tuple[str, ...]) -> Agent:
    """The agent whose name is the template, filled. Raises BadToken where the token does not tell what it needs."""
    try:
        name = template.format_map(facts)
    except KeyError as missing:
        raise BadToken(f"it is not bound to a {missing.args[0]}, which the agent's name is made of") from None
    if not presentable(name):
        raise BadToken("its names are none that an agent could have")
    return Agent(name, roles, "kubernetes", claims=facts)


def _facts_of_name(name: object) -> Facts:
    pieces = name.split(":") if isinstance(name, str) and name.startswith(SERVICE_ACCOUNT) else []
    if len(pieces) != 4 or not all(pieces):
        raise BadToken("it is of no service account")
    return {"namespace": pieces[2], "serviceaccount": pieces[3]}
