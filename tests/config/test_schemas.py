"""The published JSON Schemas are fresh, and agree with what the loader accepts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from gateway.config import marks
from gateway.config.schemas import NAMES, schema_of, text_of
from tests.config.support import CONFIG, GRANT

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


@pytest.mark.parametrize("name", NAMES)
def test_the_published_schema_is_what_the_models_say(name: str) -> None:
    published = (ROOT / "docs" / "schema" / f"{name}.schema.json").read_text()
    assert published == text_of(name), f"run: toolgate schema {name} > docs/schema/{name}.schema.json"


@pytest.mark.parametrize("name", NAMES)
def test_the_schema_is_a_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema_of(name))


def valid(name: str, text: str) -> list[bool]:
    validator = jsonschema.Draft202012Validator(schema_of(name))
    return [validator.is_valid(document.plain()) for document in marks.read(text)[0]]


def test_shipped_files_fit_their_schema_and_name_it() -> None:
    files = [(ROOT / "config.example.yaml", "config")]
    shipped = sorted((ROOT / "policies").rglob("*.yaml"))
    files += [(path, "test" if path.stem.endswith("_test") else "policy") for path in shipped]
    assert {name for _, name in files} == set(NAMES)
    for path, name in files:
        text = path.read_text()
        assert all(valid(name, text)), path
        modeline = text.partition("\n")[0]
        schema = modeline.partition("$schema=")[2]
        assert (path.parent / schema).resolve() == ROOT / "docs" / "schema" / f"{name}.schema.json", path


@pytest.mark.parametrize(
    "text",
    [
        CONFIG + "listen: 127.0.0.1:0\n",
        CONFIG + "identify: [{api_key: {keys: [{sha256: " + "a" * 64 + ", agent: b}]}}, {anonymous: c}]\n",
        "tools: {a: {url: 'http://b', credential: {header: A, value: b}}}",
        "tools: {a: {url: 'http://b', credential: [{header: A, value: b}], limits: {timeout: 1.5, connect: 250ms}}}",
        "tools: {a: {builtin: memory}}\nmemory: {namespaces: {team: {readers: ['role:lead'], history: {age: 7d}}}}",
    ],
)
def test_what_loads_fits_the_schema(text: str) -> None:
    assert valid("config", text) == [True]


SAID_ELSEWHERE = {
    # Only the loader can know these: they need other values, other files, or an expression to be compiled.
    "two documents", "tool name", "port", "zero", "small", "header name", "structural", "url idn", "url port0",
    "url path", "url whose host is a number to some", "tunnels without TLS", "egress ranges",
    "host", "shared host", "operation", "operation mix", "operation twice name", "operation shape", "both",
    "openapi missing", "credential empty", "credential break", "credential header", "credential twice", "tls", "ca",
    "anonymous first", "key twice", "env", "file", "reference", "open reference", "no policies",
    "nobody", "class", "two names", "unknown tool", "when type", "typo plain", "typo quoted", "typo block",
    "typo folded",
    "syntax", "mix", "variable", "two rules", "message type", "per", "max_wait", "slow", "fraction", "empty folder",
    "cost nan", "cost inf", "cost type", "cost bool expression", "cost syntax", "cost unknown variable", "cost folded",
    "cost proposal", "cost of mixed numbers", "answer limit zero", "mcp without mcp", "pins without mcp",
    "prices without a model", "head-only mcp", "head-only llm", "operations mcp", "openapi mcp", "allowed hosts",
    "pins folder", "approve an answer", "result in a request", "arguments in a list", "misspelt result",
    "cap of nothing", "cap glob", "cost by tokens",
    "label without a word", "label of another verdict", "redact nothing", "wrap nothing", "truncate to nothing",
    "a bound of another verdict", "strip only some", "tool results of a result", "fields of another verdict",
    "fields of a result in a request", "fields of a request in a response", "redact a proposal", "rollout for nobody",
    "rollout of what is not enforced", "agents and operators at one address",
    "agents at every address, operators at one of them", "probes at every address, operators at one of them",
    "an admin token that can be guessed", "a quarantine of a rule that refuses nothing", "a quarantine in a list",
    "an admin address without a login", "an admin address without TLS", "a login of one who is called as nobody may be",
    "two users with one token", "keys of an issuer that anybody could send", "keys of an issuer from two places",
    "a login that leads elsewhere", "a certificate that is not there", "probes where agents are listened to",
    "a quarantine without what it is of", "a tool that any agent can stop for ever",
    "jwt over plain http", "jwt behind keys", "one issuer twice", "certificate without tls",
    "certificate with two kinds", "spiffe pattern", "spiffe star inside", "certificate template",
    "kubernetes template", "kubernetes template word", "builtin without a namespace",
    "a memory whose expressions cannot be used", "a memory that cannot merge", "a memory that nobody could write",
    "a memory that its protocol does not fit",
}  # fmt: skip


def mistakes(name: str) -> list[Any]:
    entries = yaml.safe_load((HERE / name).read_text())
    return [pytest.param(one["text"], id=one["name"]) for one in entries if one["name"] not in SAID_ELSEWHERE]


@pytest.mark.parametrize("text", mistakes("mistakes_config.yaml"))
def test_editors_see_the_mistakes_of_shape_in_a_configuration(text: str) -> None:
    assert True not in valid("config", text)


@pytest.mark.parametrize("text", mistakes("mistakes_policies.yaml"))
def test_editors_see_the_mistakes_of_shape_in_a_policy(text: str) -> None:
    assert False in valid("policy", text)


def test_a_grant_fits_the_schema() -> None:
    assert valid("policy", GRANT) == [True]
