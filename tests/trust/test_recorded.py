"""Tokens of service accounts, and what a real API server (Kubernetes 1.36) said of them and of its keys.

They were made for the audience ``egate``, in November 2026; nothing of that cluster is left.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.identify.service_accounts import agent_of, facts_of_claims, facts_of_review
from gateway.identify.tokens import BadToken, Expected, key_set, verify
from gateway.trust.review import Reviewed, Reviewer

FIXTURES = Path(__file__).with_name("fixtures")
AUDIENCE, ISSUER = "egate", "https://kubernetes.default.svc"
KEYS = key_set((FIXTURES / "jwks.json").read_bytes())
NAME = "{namespace}/{serviceaccount}/{pod}"


def recorded(name: str) -> dict[str, Any]:
    review: dict[str, Any] = json.loads((FIXTURES / f"tokenreview-{name}.json").read_bytes())
    return review


def token(name: str) -> str:
    found: str = recorded(name)["spec"]["token"]
    return found


BEGINS, ENDS = 1795488359, 1795488959
"""Of the good token (``nbf``, ``exp``)."""


def claims(name: str, now: float = BEGINS + 60, audience: str = AUDIENCE, issuer: str = ISSUER) -> Any:
    return verify(token(name), KEYS, Expected(issuer, frozenset({audience}), frozenset({"RS256"}), leeway=60.0), now)


async def reviewed(name: str, folder: Path) -> tuple[Reviewed, dict[str, Any]]:
    """What is made of the recorded answer, and the question that was asked for it."""
    asked: list[dict[str, Any]] = []

    class Server:
        async def ask(self, url: str, *, body: bytes, **_: object) -> bytes:
            asked.append(json.loads(body))
            return json.dumps(recorded(name)).encode()

    (folder / "token").write_text("the gateway's own")
    reviewer = Reviewer("https://k8s.test", str(folder / "token"), [AUDIENCE], Server(), lambda: 0.0)  # type: ignore[arg-type]
    return await reviewer.reviewed(token(name)), asked[0]


async def test_a_good_token_is_its_pods_by_review_and_by_signature_alike(tmp_path: Path) -> None:
    found, asked = await reviewed("ok", tmp_path)
    assert asked["spec"] == recorded("ok")["spec"], "what is asked is what the server was asked"
    by_review = agent_of(facts_of_review(found.username, found.extra), NAME, ())
    by_signature = agent_of(facts_of_claims(claims("ok")), NAME, ())
    assert by_review == by_signature
    assert by_review.id == "agents/agent-a/fx-plain"
    assert by_review.claims["pod_uid"] == "e6e1769e-7d22-4a08-ad83-7ac60a24b7cd"


@pytest.mark.parametrize("name", ["wrongaud", "garbage"])
async def test_the_api_servers_no_is_a_no(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadToken, match="does not know it, or not for this audience"):
        await reviewed(name, tmp_path)


def test_a_token_for_another_audience_is_refused_by_its_signature_too() -> None:
    with pytest.raises(BadToken, match="audience"):
        claims("wrongaud")
    assert claims("wrongaud", audience=ISSUER)["sub"] == "system:serviceaccount:agents:agent-a"


def test_a_token_without_a_pod_is_nobody_where_the_name_has_the_pod_in_it() -> None:
    with pytest.raises(BadToken, match="not bound to a pod"):
        agent_of(facts_of_claims(claims("wrongaud", audience=ISSUER)), NAME, ())


@pytest.mark.parametrize(
    ("now", "why"), [(BEGINS - 61, "not valid yet"), (ENDS + 61, "expired"), (ENDS + 86_400, "expired")]
)
def test_a_token_is_good_for_its_ten_minutes(now: float, why: str) -> None:
    with pytest.raises(BadToken, match=why):
        claims("ok", now)
    assert claims("ok", ENDS - 1)["aud"] == [AUDIENCE]


def test_another_clusters_token_and_no_token_are_refused() -> None:
    with pytest.raises(BadToken, match="issuer"):
        claims("ok", issuer="https://oidc.other.example")
    with pytest.raises(BadToken, match="no signed JSON Web Token"):
        claims("garbage")


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_token_that_was_changed_is_refused(part: int) -> None:
    parts = token("ok").split(".")
    middle = len(parts[part]) // 2
    parts[part] = parts[part][:middle] + ("A" if parts[part][middle] != "A" else "B") + parts[part][middle + 1 :]
    with pytest.raises(BadToken):
        verify(".".join(parts), KEYS, Expected(ISSUER, frozenset({AUDIENCE}), frozenset({"RS256"})), BEGINS + 60)
