"""From claims to agents: of issuers, and of Kubernetes clusters."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.identify.naming import DEEPEST, MOST_ROLES, Naming
from gateway.identify.service_accounts import agent_of, facts_of_claims, facts_of_review
from gateway.identify.tokens import BadToken

CLAIMS = {
    "sub": "bot-7",
    "https://acme.test/team": "payments",
    "realm_access": {"roles": ["reader", "writer"]},
    "scope": "tools:read tools:write",
    "env": ["prod", "eu"],
    "count": 1,
}


def test_claims_are_found_by_name_or_by_path() -> None:
    agent = Naming("https://acme.test/team", "realm_access.roles", "acme:").agent_of(CLAIMS, "jwt")
    assert (agent.id, agent.roles, agent.source) == ("acme:payments", ("reader", "writer"), "jwt")
    assert agent.claims is CLAIMS
    assert Naming(roles="scope").agent_of(CLAIMS, "jwt").roles == ("tools:read", "tools:write")
    assert Naming(roles="nothing.here").agent_of(CLAIMS, "jwt").roles == ()


@pytest.mark.parametrize(
    ("require", "good"),
    [
        ({"env": ("prod",)}, True),
        ({"env": ("dev", "eu"), "sub": ("bot-7",)}, True),
        ({"count": (1,)}, True),
        ({"count": (True,)}, False),
        ({"env": ("dev",)}, False),
        ({"env": ("prod",), "tier": ("gold",)}, False),
        ({"realm_access": ("roles",)}, False),
    ],
)
def test_what_is_required_must_be_there(require: dict[str, tuple[Any, ...]], good: bool) -> None:
    naming = Naming(require=require)
    if good:
        assert naming.agent_of(CLAIMS, "jwt").id == "bot-7"
    else:
        with pytest.raises(BadToken, match="required"):
            naming.agent_of(CLAIMS, "jwt")


@pytest.mark.parametrize("name", [None, "", 7, ["a"], " a", "a\n", "a\u202eb", "x" * 257, "\ud800"])
def test_names_that_nobody_could_tell_apart_are_refused(name: object) -> None:
    with pytest.raises(BadToken, match="sub"):
        Naming().agent_of({"sub": name}, "jwt")


def test_what_an_issuer_says_is_bounded() -> None:
    deep: Any = "x"
    for _ in range(DEEPEST):
        deep = {"a": deep}
    with pytest.raises(BadToken, match="deep"):
        Naming().agent_of({"sub": "a", "deep": deep}, "jwt")
    with pytest.raises(BadToken, match="more than"):
        Naming(roles="r").agent_of({"sub": "a", "r": ["x"] * (MOST_ROLES + 1)}, "jwt")
    assert Naming(roles="r").agent_of({"sub": "a", "r": ["ok", 7, "\ud800", "", None]}, "jwt").roles == ("ok",)


PROJECTED = {
    "sub": "system:serviceaccount:finance:payer",
    "kubernetes.io": {
        "namespace": "finance",
        "pod": {"name": "payer-0", "uid": "u-1"},
        "node": {"name": "n1", "uid": 7},
        "serviceaccount": {"name": "somebody-else", "uid": "u-2"},
    },
}
FACTS = {"namespace": "finance", "serviceaccount": "payer", "pod": "payer-0", "pod_uid": "u-1", "node": "n1"}
EXTRA = {
    "authentication.kubernetes.io/pod-name": ("payer-0",),
    "authentication.kubernetes.io/pod-uid": ("u-1",),
    "authentication.kubernetes.io/node-name": ("n1",),
    "authentication.kubernetes.io/node-uid": (),
}


def test_a_clusters_signature_and_its_word_tell_the_same() -> None:
    assert facts_of_claims(PROJECTED) == FACTS
    assert facts_of_review(PROJECTED["sub"], EXTRA) == FACTS  # type: ignore[arg-type]
    agent = agent_of(FACTS, "{namespace}/{serviceaccount}@{pod}", ("pod",))
    assert (agent.id, agent.roles, agent.claims) == ("finance/payer@payer-0", ("pod",), FACTS)


@pytest.mark.parametrize(
    "sub",
    [
        None,
        "ada",
        "system:node:n1",
        "system:serviceaccount:finance",
        "system:serviceaccount::payer",
        "system:serviceaccount:finance:payer:more",
        ["system:serviceaccount:finance:payer"],
    ],
)
def test_who_is_no_service_account_is_no_agent(sub: object) -> None:
    with pytest.raises(BadToken, match="service account"):
        facts_of_claims({**PROJECTED, "sub": sub})


def test_a_name_that_needs_a_pod_is_not_given_to_a_token_without_one() -> None:
    with pytest.raises(BadToken, match="pod"):
        agent_of(facts_of_claims({"sub": PROJECTED["sub"]}), "{namespace}{serviceaccount}{pod}", ())
