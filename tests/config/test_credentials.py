"""Credentials as they are written, what becomes of them, and what is said of those that will not do."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
import yaml

from gateway.config.load import attempt
from gateway.model import Tool
from gateway.model.credentials import Aws, Exchange, Fixed, Loan, OAuth2, secrets_of_loans
from gateway.parts import credentials
from tests.config.support import told, written

TOKEN_URL = "https://login.example/token"


def tool_of(folder: Path, credential: Any, **rest: Any) -> Tool:
    tools = {"github": {"url": "https://api.github.com", "credential": credential, **rest}}
    made = attempt(written(folder, yaml.safe_dump({"tools": tools})))
    assert made.loaded is not None, made.errors
    assert not made.warnings
    return made.loaded.tools[0]


@pytest.mark.parametrize(
    ("credential", "field"),
    [
        ({"header": "X-Key", "value": "s3cret"}, (b"X-Key", b"s3cret")),
        ({"bearer": "s3cret"}, (b"Authorization", b"Bearer s3cret")),
        ({"basic": {"user": "a", "password": "b:"}}, (b"Authorization", b"Basic YTpiOg==")),
    ],
)
def test_what_everybody_gets_costs_nothing_for_each_call(
    tmp_path: Path, credential: Any, field: tuple[bytes, bytes]
) -> None:
    made = tool_of(tmp_path, credential)
    assert made.inject == (field,)
    assert made.loans == ()
    assert {b"authorization", b"x-api-key", b"api-key", field[0].lower()} <= made.strip
    assert made.masks_echo


def test_what_differs_between_agents_or_calls_is_lent(tmp_path: Path) -> None:
    (tmp_path / "jwt").write_text("x")
    oauth2 = {"token_url": TOKEN_URL, "client_id": "c", "client_secret": "s", "auth_style": "body", "scopes": ["r"]}
    exchange = {"token_url": TOKEN_URL, "client_assertion_file": "jwt", "token_exchange": {"actor_file": "jwt"}}
    aws = {"region": "r", "service": "s3", "access_key_id": "i", "secret_access_key": "k"}
    made = tool_of(
        tmp_path,
        [
            {"header": "A", "value": "ones", "agents": ["one"]},
            {"header": "a", "value": "others"},
            {"header": "B", "value": "all"},
            {"query": "Key", "value": "q"},
            {"oauth2": oauth2, "roles": ["r*"]},
            {"oauth2": exchange, "agents": ["x"], "roles": ["y"]},
            {"aws_sigv4": aws},
        ],
        credential_required=True,
        echo="pass",
    )
    jwt = str(tmp_path / "jwt")
    assert made.inject == ((b"B", b"all"),)
    assert made.loans == (
        Loan("header:a", Fixed((b"A", b"ones")), ("one",)),
        Loan("header:a", Fixed((b"a", b"others"))),
        Loan("query:key", Fixed(member=("Key", "q"))),
        Loan("header:authorization", OAuth2(TOKEN_URL, "c", "s", scopes=("r",), in_body=True), (), ("r*",)),
        Loan(
            "header:authorization",
            OAuth2(TOKEN_URL, assertion_file=jwt, exchange=Exchange(actor_file=jwt)),
            ("x",),
            ("y",),
        ),
        Loan("header:authorization", Aws("r", "s3", "i", "k")),
    )
    assert made.loan_required
    assert not made.masks_echo
    assert {"key", "access_token", "x-amz-signature"} <= made.strip_query
    assert {b"a", b"b", b"x-amz-date", b"x-amz-security-token"} <= made.strip
    assert {"ones", "others", "q", "s", "k"} == set(secrets_of_loans(made.loans))


def test_a_model_of_google_gets_no_key_of_the_agents_in_the_query(tmp_path: Path) -> None:
    assert "key" in tool_of(tmp_path, {"header": "x-goog-api-key", "value": "k"}, protocol="gemini").strip_query
    assert not tool_of(tmp_path, {"header": "x-goog-api-key", "value": "k"}).strip_query


def test_all_that_is_secret_is_known_to_be(tmp_path: Path) -> None:
    oauth2 = {"token_url": TOKEN_URL, "client_id": "c", "client_secret": "client-secret"}
    config = {
        "tools": {
            "github": {
                "url": "https://a",
                "credential": [
                    {"basic": {"user": "u", "password": "password"}},
                    {"query": "k", "value": "in-query"},
                    {"header": "X", "value": "for-one", "agents": ["a"]},
                ],
            },
            "b": {"url": "https://b", "credential": {"oauth2": oauth2}},
        }
    }
    made = attempt(written(tmp_path, yaml.safe_dump(config)))
    assert made.loaded is not None
    known = {secret for _, secret in credentials(made.loaded)}
    assert {"in-query", "for-one", "client-secret", "Basic dTpwYXNzd29yZA=="} <= known


BAD = {
    "header: A": "value belongs to header or query",
    "bearer: canary-1\nvalue: canary-2": "value belongs to header or query",
    "header: A\nquery: b\nvalue: canary": "header and query given",
    "agents: [a]": "none given",
    "bearer: Bearer canary": "not a bearer token",
    "bearer: ''": "the value is empty",
    "query: 'a b'\nvalue: canary": "not the name of a query parameter",
    "basic: {user: 'a:b', password: canary}": "a user of Basic has no colon",
    'basic: {user: a, password: "can\\nary"}': "line break",
    "oauth2: {client_id: a, client_secret: canary}": "token_url is missing",
    "oauth2: {token_url: https://a}": "nothing proves who asks",
    "oauth2: {token_url: https://a, client_secret: canary}": "belongs to a client_id",
    "oauth2: {token_url: https://a, client_id: a, client_secret: canary, client_assertion_file: b}": "both given",
    "oauth2: {token_url: https://a, client_assertion_file: b}": "b is not there",
    "oauth2: {token_url: https://a, client_id: a, client_secret: canary, ca_file: c}": "cannot read c",
    "oauth2: {token_url: https://a, token_exchange: {subject: file}}": "belong together",
    "oauth2: {token_url: https://a, token_exchange: {subject: canary}}": "must be agent or file",
    "aws_sigv4: {region: a}": "service is missing",
    "aws_sigv4: {region: a, service: b, access_key_id: canary}": "belong together",
    "aws_sigv4: {region: a, service: b, session_token: canary}": "belongs to an access_key_id",
    "aws_sigv4: {region: a, service: b, profile: c, access_key_id: canary, secret_access_key: canary}": "keep one",
    "header: A\nvalue: canary\nagent: a": "unknown key",
}


@pytest.mark.parametrize("text", BAD)
def test_a_mistake_has_its_place_and_tells_no_secret(tmp_path: Path, text: str) -> None:
    config = "tools:\n  github:\n    url: https://api.github.com\n    credential:\n" + indent(text, "      ") + "\n"
    said = told(written(tmp_path, config))
    assert any(BAD[text] in each for each in said), said
    assert all(each.startswith("toolgate.yaml:") for each in said)
    assert "canary" not in "".join(said)


def test_one_that_nobody_would_get_is_a_mistake(tmp_path: Path) -> None:
    config = """
    tools:
      github:
        url: https://api.github.com
        credential:
          - {header: Authorization, value: a}
          - {bearer: b, agents: [c]}
    """
    assert told(written(tmp_path, config)) == [
        "toolgate.yaml:7:18: the credential sets Authorization twice (remove one of the two)"
    ]


@pytest.mark.parametrize("key", ["echo: pass", "credential_required: true"])
def test_what_is_said_of_no_credential_is_a_mistake(tmp_path: Path, key: str) -> None:
    said = told(written(tmp_path, f"tools:\n  github:\n    url: https://a\n    {key}\n"))
    assert len(said) == 1
    assert "credential" in said[0]


def test_a_token_endpoint_without_tls_is_warned_of(tmp_path: Path) -> None:
    def said(host: str) -> list[str]:
        oauth2 = f"{{token_url: 'http://{host}/t', client_id: a, client_secret: b}}"
        text = f"tools:\n  github:\n    url: https://a\n    credential: {{oauth2: {oauth2}}}\n"
        return told(written(tmp_path, text))

    assert "in clear" in said("login.example")[0]
    assert said("127.0.0.1:8000") == said("localhost") == said("[::1]") == []
