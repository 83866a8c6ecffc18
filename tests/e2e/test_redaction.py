"""Masks, labels and rollout through the real process: what the tool gets, what the agent gets, what is recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.policy.rollout import share

from .harness import http1
from .harness.gateway import ALL, Gateway, call, problem_of
from .harness.net import eventually
from .harness.upstream import Upstream

RULES = """
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: secrets}
spec:
  match: {tools: [web, mcp]}
  rules:
    - name: passwords
      when: '!has(args.password) || size(string(args.password)) > 3'
      then: redact
      fields: [args.password, "args.cards.*.number"]
      annotations: {severity: high}
    - name: people
      phase: response
      when: 'true'
      then: redact
      fields: ["result.people.*.ssn", result.structuredContent.ssn]
    - {name: weak, when: 'has(args.password) && args.password == "abcd"', then: deny, message: choose another}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: shadow}
spec:
  mode: Audit
  match: {tools: [shadowed]}
  rules:
    - {name: passwords, when: has(args.password), then: redact, fields: [args.password]}
    - {name: mark, when: has(args.password), then: label, label: shadow}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: taint}
spec:
  match: {tools: [vault, mail]}
  rules:
    - {name: saw, phase: response, when: has(result.secret), then: label, label: saw-secret}
    - {name: no-mail, when: 'tool.name == "mail" && "saw-secret" in run.labels', then: deny, message: no mail any more}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: gradual}
spec:
  rollout: {percent: 50, agents: [canary]}
  match: {tools: [rolled]}
  rules:
    - {name: none, when: 'true', then: deny}
"""
TOOLS = ("web", "mcp", "shadowed", "vault", "mail", "rolled")
JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
MASK = "[redacted]"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    url = f"http://127.0.0.1:{upstream.port}"
    tools: dict[str, Any] = {name: {"url": url} for name in TOOLS}
    tools["mcp"] |= {"protocol": "mcp", "mcp": {"allowed_hosts": ["gateway.test"]}}
    process = Gateway(
        tmp_path_factory.mktemp("redaction"),
        tools,
        ALL + RULES,
        identify=[{"header": "X-Agent"}],
    )
    process.config["trace"] |= {"args": True, "redact": []}
    process.start()
    yield process
    process.stop()
    assert "Traceback" not in process.output, process.output
    told = [json.dumps(record) for record in process.traces() if record["tool"] != "shadowed"]
    assert not [record for record in told if "hunter2" in record], "what was masked for the tool is not recorded either"


def ask(gateway: Gateway, path: str, body: bytes, *fields: tuple[str, str], agent: str = "tester") -> Any:
    return call(gateway, "POST", path, [("X-Agent", agent), *(fields or (JSON,))], body=body)


def answer(value: Any) -> bytes:
    return http1.response("200 OK", [JSON, ("ETag", '"v1"')], json.dumps(value).encode())


# -- HTTP --------------------------------------------------------------------------------------------------------


def test_a_tool_gets_masks_in_place_of_what_a_rule_names(gateway: Gateway, upstream: Upstream) -> None:
    body = b'{"password": "hunter2", "cards": [{"number": "4111hunter2", "n": 1}], "x": "\\u00e9"}'
    digest = ("Content-MD5", "abc")
    with upstream.recording(answer({"ok": True})) as seen:
        got = ask(gateway, "/web/login?page=2", body, JSON, digest)
    (came,) = seen.requests
    assert json.loads(came.body) == {"password": MASK, "cards": [{"number": MASK, "n": 1}], "x": "é"}
    assert came.get("content-length") == str(len(came.body)).encode()
    assert came.get("content-md5") is None, "it spoke of other bytes"
    assert b"hunter2" not in seen.raw
    record = gateway.trace(got.get("x-toolgate-call"))
    assert record["amendments"] == ["redacted args.password", "redacted args.cards.*.number"]
    assert record["args"]["password"] == MASK
    (said,) = [rule for rule in record["rules"] if rule["rule"] == "passwords"]
    assert (said["verdict"], said["annotations"]) == ("redact", {"severity": "high"})


def test_forms_and_queries_are_masked_where_they_stand(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.recording(answer({})) as seen:
        ask(gateway, "/web/a", b"a=%7e&password=hunter2&b=1", FORM)
        ask(gateway, "/web/a?password=hunter2&b=%7e", b"")
    form, query = seen.requests
    assert form.body == b"a=%7e&password=%5Bredacted%5D&b=1"
    assert query.line == b"POST /a?password=%5Bredacted%5D&b=%7e HTTP/1.1"
    assert b"hunter2" not in seen.raw


def test_a_chunked_body_is_masked_too(gateway: Gateway, upstream: Upstream) -> None:
    body = b'{"password": "hunter2"}'
    head = b"POST /web/x HTTP/1.1\r\nHost: h\r\nX-Agent: a\r\nContent-Type: application/json\r\n"
    with upstream.recording(answer({})) as seen, gateway.connect() as peer:
        peer.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for piece in (body[:9], body[9:]):
            peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        peer.send(b"0\r\n\r\n")
        assert http1.read_response(peer).status == 200
    (came,) = seen.requests
    assert json.loads(came.body) == {"password": MASK}


def test_rules_see_what_was_there_and_a_denial_is_stronger(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.recording() as seen:
        got = ask(gateway, "/web/login", b'{"password": "abcd"}')
    assert problem_of(got, "policy_denied", 403)["rule"] == "secrets/weak"
    assert seen.turns == 0
    record = gateway.trace(got.get("x-toolgate-call"))
    assert record["args"] == {"password": MASK}, "nor is it recorded"
    assert {rule["rule"] for rule in record["rules"]} == {"passwords", "weak"}


def test_an_agent_gets_masks_in_place_of_what_a_rule_names(gateway: Gateway, upstream: Upstream) -> None:
    people = [{"ssn": "123", "name": "Ann"}, {"name": "Bo"}]
    with upstream.recording(answer({"people": people})):
        got = ask(gateway, "/web/people", b"{}")
    assert json.loads(got.body) == {"people": [{"ssn": MASK, "name": "Ann"}, {"name": "Bo"}]}
    assert got.all("content-length") == [str(len(got.body)).encode()]
    assert got.all("etag") == [], "it spoke of other bytes"
    record = gateway.trace(got.get("x-toolgate-call"))
    assert "redacted result.people.*.ssn" in record["notes"]


def test_an_answer_that_cannot_be_masked_is_kept_back(gateway: Gateway, upstream: Upstream) -> None:
    with upstream.recording(http1.response("200 OK", [("Content-Type", "text/plain")], b"ssn 123")):
        got = ask(gateway, "/web/people", b"{}")
    problem_of(got, "result_unreadable", 502)
    assert b"123" not in got.body


def test_a_shadow_rule_masks_nothing_and_marks_nothing(gateway: Gateway, upstream: Upstream) -> None:
    body = b'{ "password" : "hunter2" }'
    with upstream.recording(answer({})) as seen:
        got = ask(gateway, "/shadowed/x", body)
    assert seen.requests[0].body == body
    record = gateway.trace(got.get("x-toolgate-call"))
    assert [(rule["verdict"], rule["mode"]) for rule in record["rules"]] == [("redact", "Audit"), ("label", "Audit")]
    assert record["amendments"] == []


# -- MCP ---------------------------------------------------------------------------------------------------------


def tool_call(**arguments: Any) -> dict[str, Any]:
    params = {"name": "login", "arguments": arguments, "_meta": {"progressToken": 1}}
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}


def test_an_mcp_server_gets_masks_in_the_arguments_and_the_agent_in_the_result(
    gateway: Gateway, upstream: Upstream
) -> None:
    structured = {"ssn": "123-45", "n": 1}
    content = [{"type": "text", "text": json.dumps(structured)}, {"type": "text", "text": "done"}]
    said = {"jsonrpc": "2.0", "id": 7, "result": {"content": content, "structuredContent": structured}}
    with upstream.recording(answer(said)) as seen:
        got = ask(gateway, "/mcp", json.dumps(tool_call(password="hunter2", n=1)).encode())
    assert json.loads(seen.requests[0].body) == tool_call(password=MASK, n=1)
    result = json.loads(got.body)["result"]
    assert result["structuredContent"] == {"ssn": MASK, "n": 1}
    assert json.loads(result["content"][0]["text"]) == {"ssn": MASK, "n": 1}
    assert result["content"][1] == content[1]
    record = gateway.trace(got.get("x-toolgate-call"))
    assert record["amendments"] == ["redacted args.password"]
    assert record["notes"] == ["redacted result.structuredContent.ssn"]


def test_an_mcp_call_whose_header_repeats_arguments_is_refused_as_a_result(
    gateway: Gateway, upstream: Upstream
) -> None:
    with upstream.recording() as seen:
        body = json.dumps(tool_call(password="hunter2")).encode()
        got = ask(gateway, "/mcp", body, JSON, ("Mcp-Param-Password", "hunter2"))
    assert seen.turns == 0
    result = json.loads(got.body)["result"]
    assert result["isError"] is True
    assert result["_meta"]["toolgate/refusal"]["reason"] == "redaction_failed"


# -- labels and rollout ------------------------------------------------------------------------------------------


def test_a_run_that_has_seen_a_secret_sends_no_mail_any_more(gateway: Gateway, upstream: Upstream) -> None:
    def mail(run: str) -> Any:
        return ask(gateway, "/mail/send", b"{}", JSON, ("X-Run-Id", run))

    with upstream.recording(answer({"secret": 1})):
        assert mail("r-1").status == 200
        assert ask(gateway, "/vault/read", b"{}", JSON, ("X-Run-Id", "r-1")).status == 200
        refused = mail("r-1")
        assert mail("r-2").status == 200
    assert problem_of(refused, "policy_denied", 403)["rule"] == "taint/no-mail"
    assert gateway.trace(refused.get("x-toolgate-call"))["labels"] == ["saw-secret"]


def test_a_policy_is_enforced_for_the_runs_of_its_share_and_for_its_canaries(
    gateway: Gateway, upstream: Upstream
) -> None:
    with upstream.recording(answer({})):
        for number in range(12):
            run = f"job-{number}"
            inside = share("gradual", run) < 50
            got = ask(gateway, "/rolled/x", b"{}", JSON, ("X-Run-Id", run))
            assert got.status == (403 if inside else 200), run
            (rule,) = gateway.trace(got.get("x-toolgate-call"))["rules"]
            assert (rule["mode"], rule["outside_rollout"]) == (("Enforce", False) if inside else ("Audit", True))
            assert ask(gateway, "/rolled/x", b"{}", JSON, ("X-Run-Id", run), agent="canary").status == 403


def test_annotations_are_counted(gateway: Gateway, upstream: Upstream) -> None:
    sample = 'toolgate_rule_annotations_total{key="severity",policy="secrets",rule="passwords",value="high"}'
    before = gateway.metric(sample)
    with upstream.recording(answer({})):
        ask(gateway, "/web/x", b'{"password": "hunter2"}')
    eventually(lambda: gateway.metric(sample) == before + 1, what="the rule is counted by its annotation")
