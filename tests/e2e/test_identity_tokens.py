"""Agents that show tokens, at a real gateway with a real issuer: good ones, every kind of bad one, and new keys."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.tokens import Issuer

from .harness.gateway import Gateway, call, problem_of
from .harness.governed import KEY
from .harness.http1 import Message
from .harness.issuer import OWN, IssuerServer
from .harness.net import eventually
from .harness.upstream import Upstream

POLICIES = """
apiVersion: toolgate/v1
kind: Grant
metadata: {name: teams}
spec: {agents: ["acme:*", "system:serviceaccount:finance:*", "keyed"], tools: ["*"]}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: treasury}
spec:
  match: {operations: ["* /pay"]}
  rules:
    - {name: finance-only, when: '!(has(agent.claims.team) && agent.claims.team == "finance")', then: deny}
"""
PAYER = "system:serviceaccount:finance:payer"


@pytest.fixture(scope="module")
def issuer() -> Iterator[IssuerServer]:
    server = IssuerServer("RS256")
    yield server
    server.close()


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory, issuer: IssuerServer, upstream: Upstream) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "own").write_text(OWN)
    identify = [
        {
            "jwt": {
                "issuer": issuer.url,
                "audience": ["toolgate"],
                "jwks_url": f"{issuer.url}/jwks",
                "algorithms": ["RS256", "ES256"],
                "roles": "realm.roles",
                "require": {"env": ["prod", "test"]},
                "prefix": "acme:",
            }
        },
        {"kubernetes": {"url": issuer.url, "token_file": "own"}},
        {"api_key": {"keys": [{"sha256": hashlib.sha256(KEY.encode()).hexdigest(), "agent": "keyed"}]}},
    ]
    tool = {"url": f"http://127.0.0.1:{upstream.port}"}
    process = Gateway(folder, {"raw": tool}, POLICIES, identify=identify).start()
    yield process
    process.stop()
    assert "Traceback" not in process.output, process.output


def good(issuer: IssuerServer, **claims: Any) -> str:
    return issuer.token(**{"env": "prod", "team": "finance", **claims})


def shown(gateway: Gateway, token: str, path: str = "/raw/x", **more: str) -> Message:
    return call(gateway, "GET", path, [("Authorization", f"Bearer {token}"), *more.items()])


def part(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_an_agent_is_who_its_token_says_and_the_tool_never_sees_it(
    known: Gateway, issuer: IssuerServer, upstream: Upstream
) -> None:
    token = good(issuer, realm={"roles": ["payer", "reader"]})
    with upstream.recording() as seen:
        for _ in range(3):
            answer = shown(known, token)
            assert answer.status == 200
        record = known.trace(answer.get("x-toolgate-call"))
    assert (record["agent"], record["roles"]) == ("acme:ada", ["payer", "reader"])
    assert not any(request.all("authorization") for request in seen.requests)
    assert issuer.fetched.count("/jwks") == 1
    assert token not in known.trace_file.read_text() + known.output
    assert token.rpartition(".")[2] not in known.trace_file.read_text() + known.output


def test_rules_read_what_the_token_says(known: Gateway, issuer: IssuerServer, upstream: Upstream) -> None:
    with upstream.recording():
        assert shown(known, good(issuer), "/raw/pay").status == 200
        problem_of(shown(known, good(issuer, team="sales"), "/raw/pay"), "policy_denied", 403)
        problem_of(shown(known, good(issuer, team=None), "/raw/pay"), "policy_denied", 403)


def forged(issuer: IssuerServer) -> Iterator[tuple[str, str]]:
    now, real = time.time(), issuer.issuer
    said = {"iss": issuer.url, "aud": "toolgate", "sub": "ada", "exp": int(now) + 600, "env": "prod"}
    other = Issuer(issuer.url, "first", "RS256")
    public = real.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = good(issuer)
    head, body, signature = signed.split(".")
    yield "none", f"{part({'alg': 'none', 'kid': 'first'})}.{part(said)}."
    yield "None", f"{part({'alg': 'nOnE', 'kid': 'first'})}.{part(said)}."
    for secret in (public, json.dumps(real.jwk()).encode()):
        text = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'first'})}.{part(said)}"
        yield "public key as a secret", f"{text}.{part(hmac.new(secret, text.encode(), 'sha256').digest())}"
    yield "another key", other.token(now, env="prod")
    yield "no signature", f"{head}.{body}."
    yield "another body", f"{head}.{part({**said, 'sub': 'root'})}.{signature}"
    yield "a key of its own", other.token(now, env="prod", headers={"jwk": other.jwk()})
    yield "keys elsewhere", other.token(now, env="prod", headers={"jku": "http://127.0.0.1:9/jwks", "kid": "x"})
    for kid in ("../../../../dev/null", "x' OR '1'='1", "http://169.254.169.254/", "first\x00"):
        yield f"kid {kid!r}", other.token(now, env="prod", headers={"kid": kid})
    yield "an algorithm that is not allowed", jwt.encode(said, real.private, "RS512", headers={"kid": "first"})
    yield "audience", good(issuer, aud="another")
    yield "no audience", good(issuer, aud=None)
    yield "expired", good(issuer, exp=int(now) - 120)
    yield "never expires", good(issuer, exp=None)
    yield "not yet", good(issuer, nbf=int(now) + 600)
    yield "nested", good(issuer) and real.token(now, env="prod", headers={"cty": "JWT"})
    yield "another purpose", real.token(now, env="prod", headers={"typ": "logout+jwt"})
    yield "not required", good(issuer, env="dev")
    yield "nobody", good(issuer, sub=None)
    yield "hidden letters", good(issuer, sub="ada\u202e")
    yield "huge", good(issuer, pad="x" * 20_000)
    yield "deep", good(issuer, deep=json.loads("[" * 60 + "]" * 60))
    yield "a service account that the cluster does not know", good(issuer, iss="https://x.test", sub=PAYER)


def test_every_forged_token_is_refused_and_says_so_as_rfc_6750_has_it(
    known: Gateway, issuer: IssuerServer, upstream: Upstream
) -> None:
    with upstream.recording() as seen:
        for what, token in forged(issuer):
            answer = shown(known, token)
            problem_of(answer, "unauthenticated", 401)
            (challenge,) = answer.all("www-authenticate")
            assert challenge.startswith(b'Bearer realm="toolgate", error="invalid_token", error_description='), what
            assert not set(token[-40:].encode()) <= set(challenge), what
    assert not seen.turns
    assert issuer.fetched.count("/jwks") <= 2, "invented keys do not make it fetch"


@pytest.mark.parametrize(
    "fields",
    [
        lambda token: [("Authorization", token)],
        lambda token: [("Authorization", f"Token {token}")],
        lambda token: [("X-Authorization", f"Bearer {token}")],
        lambda token: [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")],
        lambda token: [("Authorization", f"Bearer {token} {token}")],
        lambda token: [("Cookie", f"token={token}")],
    ],
)
def test_a_token_counts_where_it_belongs_only(
    known: Gateway, issuer: IssuerServer, upstream: Upstream, fields: Any
) -> None:
    with upstream.recording() as seen:
        problem_of(call(known, "GET", "/raw/x", fields(good(issuer))), "unauthenticated", 401)
        problem_of(call(known, "GET", f"/raw/x?access_token={good(issuer)}"), "unauthenticated", 401)
    assert not seen.turns


def test_tokens_of_a_cluster_and_keys_are_known_in_the_same_header(
    known: Gateway, issuer: IssuerServer, upstream: Upstream
) -> None:
    token = Issuer("https://cluster.test").token(time.time(), sub=PAYER)
    issuer.accounts[token] = PAYER
    with upstream.recording() as seen:
        for _ in range(3):
            answer = shown(known, token)
        assert known.trace(answer.get("x-toolgate-call"))["agent"] == PAYER
        answer = shown(known, KEY)
        assert known.trace(answer.get("x-toolgate-call"))["agent"] == "keyed"
    assert not any(request.all("authorization") for request in seen.requests)
    reviews = [path for path in issuer.fetched if path.endswith("/tokenreviews")]
    assert len(reviews) <= 2
    nodes = Issuer("https://cluster.test").token(time.time(), sub=PAYER)
    issuer.accounts[nodes] = "system:node:n1"
    problem_of(shown(known, nodes), "unauthenticated", 401)


def test_keys_rotate_and_a_reload_forgets_tokens(tmp_path: Path, upstream: Upstream) -> None:
    issuer = IssuerServer()
    config = {"issuer": issuer.url, "audience": ["toolgate"], "jwks_url": f"{issuer.url}/jwks", "prefix": "acme:"}
    gateway = Gateway(
        tmp_path, {"raw": {"url": f"http://127.0.0.1:{upstream.port}"}}, POLICIES, identify=[{"jwt": config}]
    ).start()
    try:
        with upstream.recording():
            old = issuer.token()
            assert shown(gateway, old).status == 200
            first = issuer.issuer
            issuer.issuer = Issuer(issuer.url, "second")
            issuer.keys = issuer.issuer.keys(first)
            new = issuer.token()
            eventually(lambda: shown(gateway, new).status == 200, 15, "the new key is fetched")
            assert shown(gateway, old).status == 200
            assert issuer.fetched.count("/jwks") == 2

            gateway.config["identify"] = [{"jwt": {**config, "require": {"env": "prod"}}}]
            gateway.file.write_text(yaml.safe_dump(gateway.config))
            eventually(lambda: shown(gateway, new).status == 401, 15, "what was known by the old rules is forgotten")
            issuer.close()
            assert shown(gateway, issuer.token(env="prod")).status == 200, "keys outlive reloads, and their issuer"
    finally:
        gateway.stop()
        issuer.close()
    assert "Traceback" not in gateway.output, gateway.output


def test_where_the_issuer_is_away_agents_are_told_to_come_back(tmp_path: Path, upstream: Upstream) -> None:
    issuer = Issuer("http://127.0.0.1:9")
    gateway = Gateway(
        tmp_path,
        {"raw": {"url": f"http://127.0.0.1:{upstream.port}"}},
        POLICIES,
        identify=[{"jwt": {"issuer": issuer.name, "audience": ["toolgate"]}}, {"anonymous": "keyed"}],
    ).start()
    try:
        with upstream.recording() as seen:
            answer = shown(gateway, issuer.token(time.time()))
            assert problem_of(answer, "identity_unavailable", 503)["retryable"] is True
            assert answer.all("retry-after")
            assert not seen.turns, "it is nobody, not anybody"
            assert call(gateway, "GET", "/raw/x").status == 200
    finally:
        gateway.stop()
