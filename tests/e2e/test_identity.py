"""Who is asking, what they may reach, and which credentials go where."""

from __future__ import annotations

import pytest

from .harness import http1
from .harness.gateway import Gateway, call, problem_of
from .harness.governed import KEY
from .harness.net import listen
from .harness.upstream import Upstream

TESTER = [("X-Agent-Id", "tester-1")]
READER = [("X-Agent-Id", "reader")]
ANN = [("Authorization", f"Bearer {KEY}")]


def _allowed(governed: Gateway, upstream: Upstream, *request: object) -> http1.Message:
    """The request that the tool saw."""
    with upstream.recording() as seen:
        answer = call(governed, *request)  # type: ignore[arg-type]
        assert answer.status == 200, answer.body
    return seen.requests[0]


def _refused(governed: Gateway, upstream: Upstream, *request: object) -> http1.Message:
    with upstream.recording() as seen:
        answer = call(governed, *request)  # type: ignore[arg-type]
    assert not seen.turns, f"the tool was called: {seen.raw!r}"
    return answer


@pytest.mark.parametrize(
    "fields",
    [[], [("Authorization", "Bearer wrong")], [("X-Agent-Id", "")], [("X-Agent-Id", "a"), ("X-Agent-Id", "tester-1")]],
    ids=["none", "wrong key", "empty id", "two ids"],
)
def test_the_unknown_are_401(governed: Gateway, upstream: Upstream, fields: list[tuple[str, str]]) -> None:
    answer = _refused(governed, upstream, "GET", "/open/x", fields)
    problem_of(answer, "unauthenticated", 401)
    assert answer.all("www-authenticate"), "RFC 9110, 15.5.2"


@pytest.mark.parametrize("value", [f"Bearer {KEY}", f"bearer {KEY}", KEY])
def test_a_key_is_known_by_its_hash(governed: Gateway, upstream: Upstream, value: str) -> None:
    seen = _allowed(governed, upstream, "GET", "/open/x", [("Authorization", value)])
    assert not seen.all("authorization"), "the agent's credential for the gateway is not for the tool"


def test_the_trace_names_the_agent_and_its_roles(governed: Gateway, upstream: Upstream) -> None:
    with upstream.recording():
        record = governed.trace(call(governed, "GET", "/open/x", ANN).get("x-toolgate-call"))
    assert (record["agent"], record["roles"]) == ("ann", ["analyst"])


def test_what_no_grant_names_is_refused(governed: Gateway, upstream: Upstream) -> None:
    problem_of(_refused(governed, upstream, "GET", "/notes/x", TESTER), "not_granted", 403)
    problem_of(_refused(governed, upstream, "POST", "/open/x", ANN), "not_granted", 403)
    problem_of(_refused(governed, upstream, "GET", "/open/x", READER), "not_granted", 403)


def test_grants_by_id_and_by_role_hold(governed: Gateway, upstream: Upstream) -> None:
    _allowed(governed, upstream, "GET", "/notes/x", ANN)
    _allowed(governed, upstream, "DELETE", "/open/x", TESTER)
    _allowed(governed, upstream, "GET", "/notes/public/a/b?q=1", READER)


@pytest.mark.parametrize(
    "path",
    [
        "/private",
        "/public/../private",
        "/public/%2e%2e/private",
        "/public/%2E%2E/private",
        "/public/.%2e/private",
        "/public%2F..%2Fprivate",
        "/public/..%2Fprivate",
        "/public/..;/private",
        "/public/..;x=1/private",
        "/public/./../private",
        "/public//../private",
        "/public/..\\private",
        "/public/..%5Cprivate",
        "/public/..%00/private",
        "/PUBLIC/../private",
        "//private",
        "/./private",
        "/%2e%2e/private",
        "/public",
        "/publicity/x",
    ],
)
def test_a_disguised_path_is_not_inside_a_grant(governed: Gateway, upstream: Upstream, path: str) -> None:
    """Tools resolve dots, decode, and fold in many ways: what could leave the granted folder does not pass."""
    answer = _refused(governed, upstream, "GET", f"/notes{path}", READER)
    assert answer.status in (400, 403, 404)


@pytest.mark.parametrize("name", ["x-agent-id", "X-AGENT-ID"])
def test_the_identity_header_is_believed_in_any_case(governed: Gateway, upstream: Upstream, name: str) -> None:
    _allowed(governed, upstream, "GET", "/open/x", [(name, "tester-9")])


def test_an_unknown_tool_is_404(governed: Gateway, upstream: Upstream) -> None:
    for target in ("/nothing/x", "/", "/open.evil/x", "/OPEN/x", "/@open/x", "/%6Fpen%2Fx"):
        problem_of(_refused(governed, upstream, "GET", target, TESTER), "unknown_tool", 404)


def test_the_gateway_holds_the_credential(governed: Gateway, upstream: Upstream) -> None:
    own = [
        ("Authorization", "Bearer agents-own"),
        ("Proxy-Authorization", "Basic eDp5"),
        ("X-Api-Key", "agents-own"),
        ("Api-Key", "agents-own"),
        ("X-Goog-Api-Key", "agents-own"),
        ("X-Tenant", "evil"),
        ("X-Other", "kept"),
    ]
    seen = _allowed(governed, upstream, "GET", "/secret/x", [*TESTER, *own])
    assert seen.all("authorization") == [b"Bearer s3cr3t-token"]
    assert seen.all("x-tenant") == [b"acme"]
    assert seen.all("x-other") == [b"kept"]
    assert b"agents-own" not in b"".join(value for _, value in seen.fields)


def test_a_credential_cannot_be_named_away(governed: Gateway, upstream: Upstream) -> None:
    """Connection may name fields of the hop, but not what the gateway adds."""
    fields = [*TESTER, ("Connection", "close, Authorization, X-Tenant")]
    with upstream.recording() as seen, governed.connect() as peer:
        peer.send(http1.request("GET", "/secret/x", fields))
        http1.read_response(peer)
    if seen.requests:
        assert seen.requests[0].all("authorization") == [b"Bearer s3cr3t-token"]
        assert seen.requests[0].all("x-tenant") == [b"acme"]


def test_without_a_credential_the_agents_own_passes(governed: Gateway, upstream: Upstream) -> None:
    fields = [*TESTER, ("Authorization", "Bearer agents-own"), ("X-Internal", "no"), ("X-Api-Key", "own")]
    seen = _allowed(governed, upstream, "GET", "/plain/x", fields)
    assert seen.all("authorization") == [b"Bearer agents-own"]
    assert seen.all("x-api-key") == [b"own"]
    assert not seen.all("x-internal"), "stripped by configuration"


def test_no_secret_is_ever_written_down(governed: Gateway, upstream: Upstream) -> None:
    with upstream.recording():
        call(governed, "GET", "/secret/x?token=in-query-7", [*TESTER, ("X-Api-Key", "in-header-7")])
        answer = call(governed, "GET", "/secret/x", [("Authorization", "Bearer in-refused-7")])
        governed.trace(answer.get("x-toolgate-call"))
    written = governed.trace_file.read_text() + governed.output + governed.ask("/metrics")[1].decode()
    for secret in ("s3cr3t-token", "in-query-7", "in-header-7", "in-refused-7", KEY):
        assert secret not in written


@pytest.mark.parametrize("form", ["absolute", "absolute-https", "connect", "host", "prefix"])
def test_the_gateway_is_no_open_proxy(governed: Gateway, form: str) -> None:
    """A listener that is no tool must not even see a connection."""
    with listen() as elsewhere:
        elsewhere.settimeout(0.3)
        authority = f"127.0.0.1:{elsewhere.getsockname()[1]}"
        line, host = {
            "absolute": (f"GET http://{authority}/x HTTP/1.1", authority),
            "absolute-https": (f"GET https://{authority}/x HTTP/1.1", authority),
            "connect": (f"CONNECT {authority} HTTP/1.1", authority),
            "host": ("GET /x HTTP/1.1", authority),
            "prefix": (f"GET /http://{authority}/x HTTP/1.1", "gateway.test"),
        }[form]
        with governed.connect() as peer:
            peer.send(f"{line}\r\nHost: {host}\r\nX-Agent-Id: tester-1\r\n\r\n".encode())
            answer = http1.read_response(peer)
        assert answer.status in (403, 404)
        assert answer.json()["reason"] == "unknown_tool"
        with pytest.raises(TimeoutError):
            elsewhere.accept()
