"""Rules over arguments: what the policy saw is what the tool gets, or nothing is."""

from __future__ import annotations

import gzip
import json

import pytest

from .harness import http1
from .harness.gateway import Gateway, call, problem_of
from .harness.upstream import Upstream

JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
WHO = ("X-Agent-Id", "tester-1")


def _pay(governed: Gateway, body: bytes, kind: tuple[str, str] = JSON, tool: str = "bank") -> http1.Message:
    return call(governed, "POST", f"/{tool}/transfers", [WHO, kind], body)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"amount": 2000, "to": "DE1"}', JSON),
        (b'{"amount": 2000.5}', JSON),
        (b'{"amount": 1e4}', JSON),
        (b'{"amount": "2000"}', JSON),
        (b'{"\\u0061mount": 2000}', JSON),
        (b'{"amount": 2000}', ("Content-Type", "application/json; charset=utf-8")),
        (b'{"amount": 2000}', ("Content-Type", "APPLICATION/JSON")),
        (b'{"amount": 2000}', ("Content-Type", "application/vnd.bank+json")),
        (b"amount=2000&to=DE1", FORM),
        (b"%61mount=20%300", FORM),
    ],
    ids=str,
)
def test_a_rule_reads_the_arguments(governed: Gateway, upstream: Upstream, body: bytes, kind: tuple[str, str]) -> None:
    with upstream.recording() as seen:
        problem = problem_of(_pay(governed, body, kind), "policy_denied", 403)
    assert problem["rule"] == "payments/large"
    assert "at most 1000" in problem["detail"]
    assert problem["retryable"] is False
    assert not seen.turns


def test_a_rule_reads_the_query_of_a_get(governed: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen:
        problem_of(call(governed, "GET", "/bank/transfers?amount=2000", [WHO]), "policy_denied", 403)
        assert call(governed, "GET", "/bank/transfers?amount=20", [WHO]).status == 200
    assert [message.target for message in seen.requests] == [b"/transfers?amount=20"]


@pytest.mark.parametrize(
    ("body", "kind"), [(b'{ "amount" : 20.0 ,\n"to":"DE\\u0031" }', JSON), (b"amount=20&to=%44E", FORM)], ids=str
)
@pytest.mark.parametrize("chunked", [False, True])
def test_what_was_read_ahead_arrives_byte_for_byte(
    governed: Gateway, upstream: Upstream, body: bytes, kind: tuple[str, str], chunked: bool
) -> None:
    fields = [WHO, kind, ("Transfer-Encoding", "chunked")] if chunked else [WHO, kind]
    with upstream.recording() as seen:
        sent = http1.chunked(body[:7], body[7:]) if chunked else body
        assert call(governed, "POST", "/bank/transfers", fields, sent).status == 200
    assert seen.requests[0].body == body


@pytest.mark.parametrize(
    "body",
    [
        b'{"amount": 20, "amount": 2000}',
        b'{"amount": 2000, "amount": 20}',
        b'{"amount": 20, "\\u0061mount": 2000}',
        b'{"amount": 20, "x": {"a": 1, "a": 2}}',
        b'{"amount": NaN}',
        b'{"amount": 20, "x": Infinity}',
        b'{"amount": 20, "x": -Infinity}',
        b'{"amount": 20, "x": 9007199254740993}',
        b'{"amount": 20, "x": 1e400}',
        b'{"amount": 20, "x": "\\ud800"}',
        b'{"amount": 20, "\\udc00": 1}',
        b'{"amount": 20, "x": ' + b"[" * 65 + b"]" * 65 + b"}",
        b'{"amount": 20,}',
        b'{"amount": 20} {"amount": 2000}',
        b'{"amount": 20} // comment',
        b"{'amount': 20}",
        b'{"amount": 020}',
        b'{"amount": +20}',
        b'{"amount": 20, "x": "\xff"}',
        b'{"amount": 20, "x": "a\nb"}',
        b'\xef\xbb\xbf{"amount": 20}',
        b'{"amount": 20',
        b"",
    ],
    ids=lambda body: repr(body)[2:50],
)
def test_json_that_can_be_read_in_two_ways_is_refused(governed: Gateway, upstream: Upstream, body: bytes) -> None:
    with upstream.recording() as seen:
        answer = _pay(governed, body)
    assert not seen.turns, "the tool must not see it"
    if body:
        problem = problem_of(answer, "unreadable_body", 400)
        assert problem["advice"]
    else:
        assert answer.status in (400, 403)


def test_the_refusal_names_the_place(governed: Gateway) -> None:
    answer = _pay(governed, b'{\n "amount": 20,\n "amount": 2000\n}')
    detail = problem_of(answer, "unreadable_body", 400)["detail"]
    assert "amount" in detail
    assert "3" in detail, "the line (or position) of the second key"


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ([("Content-Type", "text/plain")], b'{"amount": 2000}'),
        ([], b'{"amount": 2000}'),
        ([("Content-Type", "application/octet-stream")], b'{"amount": 2000}'),
        ([JSON, ("Content-Encoding", "gzip")], gzip.compress(b'{"amount": 2000}', mtime=0)),
        ([JSON, ("Content-Encoding", "br")], b"\x0b\x07\x80"),
        ([("Content-Type", "application/json; charset=utf-16")], '{"amount": 2000}'.encode("utf-16")),
        ([JSON], '{"amount": 2000}'.encode("utf-16")),
        ([JSON, ("Content-Type", "text/plain")], b'{"amount": 2000}'),
        ([FORM], b"amount=20&amount=2000"),
        ([FORM], b"amount=20&%61mount=2000"),
        ([FORM], b"amount=20;amount=2000"),
        ([FORM, ("Content-Encoding", "deflate")], b"amount=2000"),
        ([("Content-Type", "multipart/form-data; boundary=x")],
         b'--x\r\nContent-Disposition: form-data; name="amount"\r\n\r\n2000\r\n--x--\r\n'),
        ([JSON], b'[{"amount": 2000}]'),
        ([JSON], b'{"Amount": 2000}'),
        ([JSON], b'{"amount": null}'),
        ([JSON], b'{"amount": [2000]}'),
    ],
    ids=lambda value: repr(value)[:60],
)  # fmt: skip
def test_no_disguise_gets_an_argument_past_the_rule(
    governed: Gateway, upstream: Upstream, fields: list[tuple[str, str]], body: bytes
) -> None:
    """Whatever the rule cannot read is refused: failurePolicy is Fail."""
    with upstream.recording() as seen:
        answer = call(governed, "POST", "/bank/transfers", [WHO, *fields], body)
    assert not seen.turns, f"the tool was sent {body!r}"
    assert answer.status in (400, 403, 415)


@pytest.mark.parametrize(
    "target",
    ["/transfers?amount=20&amount=2000", "/transfers?amount=20&%61mount=2000", "/transfers?amount=20;amount=2000",
     "/transfers?amount=20&amount", "/transfers"],
)  # fmt: skip
def test_no_disguised_query_gets_past_the_rule(governed: Gateway, upstream: Upstream, target: str) -> None:
    with upstream.recording() as seen:
        assert call(governed, "GET", f"/bank{target}", [WHO]).status in (400, 403)
    assert not seen.turns


def test_repeated_keys_are_a_list_where_the_tool_says_so(governed: Gateway, upstream: Upstream) -> None:
    """A list is no number, so this rule refuses it; a single key stays what it was."""
    with upstream.recording() as seen:
        assert call(governed, "GET", "/lists/transfers?amount=1&amount=2", [WHO]).status == 403
        assert call(governed, "GET", "/lists/transfers?amount=20", [WHO]).status == 200
    assert seen.turns == 1


def test_a_body_over_the_limit_is_413(governed: Gateway, upstream: Upstream) -> None:
    body = json.dumps({"amount": 20, "note": "x" * 5000}).encode()
    with upstream.recording() as seen:
        problem_of(_pay(governed, body), "body_too_large", 413)
        chunked = [WHO, JSON, ("Transfer-Encoding", "chunked")]
        answer = call(governed, "POST", "/bank/transfers", chunked, http1.chunked(body[:2000], body[2000:]))
        problem_of(answer, "body_too_large", 413)
    assert not seen.turns


def test_a_body_that_no_rule_reads_is_nobodys_business(governed: Gateway, upstream: Upstream) -> None:
    """Neither its size nor its syntax matters to a tool without rules over arguments."""
    body = b'{"a": 1, "a": NaN' + b"x" * 2_000_000
    with upstream.recording() as seen:
        assert call(governed, "POST", "/open/transfers", [WHO, JSON], body).status == 200
    assert seen.requests[0].body == body


def test_a_client_that_waits_for_leave_is_given_it_where_a_rule_reads_the_body(
    governed: Gateway, upstream: Upstream
) -> None:
    """Expect: 100-continue: the gateway asks for the body itself, and the decision follows."""
    body = b'{"amount": 2000}'
    fields = [WHO, JSON, ("Expect", "100-continue"), ("Content-Length", str(len(body)))]
    with upstream.recording() as seen, governed.connect() as peer:
        peer.send(http1.request("POST", "/bank/transfers", fields))
        assert http1.read_head(peer).status == 100
        peer.send(body)
        problem_of(http1.read_response(peer), "policy_denied", 403)
    assert not seen.turns


def test_a_client_that_waits_for_leave_is_refused_without_its_body(governed: Gateway, upstream: Upstream) -> None:
    fields = [("X-Agent-Id", "stranger"), ("Expect", "100-continue"), ("Content-Length", "1000")]
    with upstream.recording() as seen, governed.connect() as peer:
        peer.send(http1.request("POST", "/open/x", fields))
        answer = http1.read_response(peer)
        assert not answer.interim
        problem_of(answer, "not_granted", 403)
    assert not seen.turns


def test_head_only_decides_without_arguments(governed: Gateway, upstream: Upstream) -> None:
    """The rule needs an argument that it cannot have: Fail refuses, and says so."""
    body = json.dumps({"amount": 20, "note": "x" * 500}).encode()
    with upstream.recording() as seen:
        assert _pay(governed, body, tool="heads").status == 403
        assert _pay(governed, b'{"amount": 20}', tool="heads").status == 200
    assert seen.turns == 1


def test_what_nobody_has_decided_is_a_refusal(governed: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen:
        problem = problem_of(_pay(governed, b'{"amount": 700}'), "approval_pending", 403)
    assert problem["rule"] == "payments/medium"
    assert not seen.turns


def test_a_warning_lets_the_call_pass_and_is_recorded(governed: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen:
        answer = _pay(governed, b'{"amount": 0.5}')
    assert (answer.status, seen.turns) == (200, 1)
    spoke = governed.trace(answer.get("x-toolgate-call"))["rules"]
    assert [(rule["rule"], rule["verdict"], rule["mode"]) for rule in spoke] == [("small", "warn", "Enforce")]


@pytest.mark.parametrize(("tool", "mode"), [("audited", "Audit"), ("warned", "Warn")])
def test_shadow_modes_record_and_do_not_refuse(governed: Gateway, upstream: Upstream, tool: str, mode: str) -> None:
    with upstream.recording() as seen:
        answer = call(governed, "GET", f"/{tool}/x", [WHO])
    assert (answer.status, seen.turns) == (200, 1)
    record = governed.trace(answer.get("x-toolgate-call"))
    assert record["decision"] == "allow"
    assert [(rule["verdict"], rule["mode"]) for rule in record["rules"]] == [("deny", mode)]


def test_a_rule_reads_template_and_headers(governed: Gateway, upstream: Upstream) -> None:
    """An absent header makes the second rule fail, and a rule that fails refuses."""
    with upstream.recording() as seen:
        problem = problem_of(call(governed, "DELETE", "/shop/items/1", [WHO]), "policy_denied", 403)
        assert "item 1 stays" in problem["detail"]
        refused = call(governed, "DELETE", "/shop/items/2", [WHO])
        assert refused.json()["reason"] in ("policy_error", "policy_denied")
        assert call(governed, "DELETE", "/shop/items/2", [WHO, ("X-Danger", "no")]).status == 200
        problem_of(call(governed, "DELETE", "/shop/items/2", [WHO, ("X-Danger", "yes")]), "policy_denied", 403)
    assert seen.turns == 1


@pytest.mark.parametrize("path", ["/items/%31", "/items/./1", "/items//1", "/items/1;x", "/x/../items/1"])
def test_a_disguised_path_is_not_outside_a_rule(governed: Gateway, upstream: Upstream, path: str) -> None:
    """Item 1 must stay, however its path is written."""
    with upstream.recording() as seen:
        answer = call(governed, "DELETE", f"/shop{path}", [WHO, ("X-Danger", "no")])
    assert not seen.turns, f"the tool was asked {seen.requests[0].line!r}"
    assert answer.status in (400, 403, 404)
