"""Rules over answers: what a rule refuses the agent never gets, and what none refuses arrives as the tool sent it."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator

import pytest

from .harness import http1
from .harness.gateway import ALL, Gateway, call, problem_of
from .harness.net import Ended, Peer, eventually
from .harness.upstream import Upstream, answering

RULES = """
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: results}
spec:
  match: {tools: [judged, slow]}
  rules:
    - {name: secret, phase: response, when: 'has(result.secret)', then: deny, message: the answer holds a secret}
    - {name: old, phase: response, when: 'has(result.old)', then: warn, message: this is old}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: statuses}
spec:
  match: {tools: [graded]}
  rules:
    - {name: teapot, phase: response, when: response.status == 418, then: deny, message: no teapots}
    - {name: failing, phase: response, when: response.isError, then: warn, message: it failed}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: budget}
spec:
  match: {tools: [paid]}
  rules:
    - {name: spent, when: run.cost_usd >= 1.0, then: deny, message: the run has spent its budget}
"""
LIMIT = 50_000
JSON = ("Content-Type", "application/json")
FINE = b'{"x": 1}'
SECRET = b'{"secret": "hunter2"}'


@pytest.fixture(scope="module")
def judging(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    """A gateway whose tools have rules or prices over their answers."""
    url = f"http://127.0.0.1:{upstream.port}"
    bounds = {"body": {"answer_limit": LIMIT}}
    process = Gateway(
        tmp_path_factory.mktemp("judging"),
        {
            "judged": {"url": url, **bounds},
            "slow": {"url": url, "limits": {"idle": "1s"}},
            "graded": {"url": url, **bounds},
            "paid": {"url": url, "cost": 0.4},
            "weighed": {"url": url, "cost": "double(result.pages) * 0.01", **bounds},
            "plain": {"url": url},
        },
        ALL + RULES,
    ).start()
    yield process
    process.stop()
    assert "Traceback" not in process.output, process.output


def json_answer(body: bytes = FINE, status: str = "200 OK", *fields: tuple[str, str]) -> bytes:
    return http1.response(status, [JSON, *fields], body)


def broken(peer: Peer) -> bytes:
    """What comes after a head that promised more; the connection must end in a way that says so."""
    with pytest.raises(Ended) as caught:
        http1.read_response(peer)
    return caught.value.partial


# -- allowed and refused -----------------------------------------------------------------------------------------


def test_an_answer_that_no_rule_refuses_arrives_as_it_was(judging: Gateway, upstream: Upstream) -> None:
    fields = [JSON, ("ETag", '"v1"'), ("Set-Cookie", "a=1"), ("set-cookie", "b=2"), ("X-Empty", "")]
    body = b'{ "x" : 1.0,\n "y": "\\u00e9" }'
    with upstream.recording(http1.response("201 Made", fields, body)):
        answer = call(judging, "POST", "/judged/x", body=b"ask")
    assert (answer.line, answer.body) == (b"HTTP/1.1 201 Made", body)
    assert answer.all("set-cookie") == [b"a=1", b"b=2"]
    assert answer.all("etag") == [b'"v1"'], "the bytes are the tool's, so what it says of them stays true"
    assert answer.all("content-length") == [str(len(body)).encode()]
    assert not answer.chunked


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "500 Oh No"])
def test_an_answer_that_a_rule_refuses_is_kept_from_the_agent(
    judging: Gateway, upstream: Upstream, status: str
) -> None:
    with upstream.recording(json_answer(SECRET, status, ("X-Secret", "hunter2"))) as seen:
        answer = call(judging, "GET", "/judged/x")
    problem = problem_of(answer, "result_denied", 403)
    assert (problem["rule"], problem["detail"]) == ("results/secret", "the answer holds a secret")
    assert problem["retryable"] is False
    assert "the call was made" in problem["advice"]
    assert b"hunter2" not in answer.body + repr(answer.fields).encode()
    assert seen.turns == 1


def test_the_record_tells_what_was_kept_back_and_what_the_tool_said(judging: Gateway, upstream: Upstream) -> None:
    with upstream.recording(json_answer(SECRET)):
        answer = call(judging, "GET", "/judged/x")
    record = judging.trace(answer.get("x-toolgate-call"))
    assert (record["decision"], record["status"], record["upstream_status"]) == ("allow", 403, 200)
    assert record["withheld"] == {
        "reason": "result_denied", "rule": "results/secret", "detail": "the answer holds a secret",
    }  # fmt: skip
    assert [(rule["rule"], rule["verdict"]) for rule in record["rules"]] == [("secret", "deny")]
    assert record["fault"] is None


def test_a_rule_that_warns_tells_agent_and_record(judging: Gateway, upstream: Upstream) -> None:
    with upstream.recording(json_answer(b'{"old": true}')):
        answer = call(judging, "GET", "/judged/x")
    assert (answer.status, answer.body) == (200, b'{"old": true}')
    assert answer.all("x-toolgate-warning") == [b"results/old: this is old"]
    assert [rule["rule"] for rule in judging.trace(answer.get("x-toolgate-call"))["rules"]] == ["old"]


def test_a_rule_over_the_status_needs_no_json(judging: Gateway, upstream: Upstream) -> None:
    with upstream.recording(http1.response("418 Teapot", [("Content-Type", "text/plain")], b"short and stout")):
        assert problem_of(call(judging, "GET", "/graded/x"), "result_denied", 403)["rule"] == "statuses/teapot"
    page = http1.response("500 Oh No", [("Content-Type", "text/html")], b"<h1>Oh No</h1>")
    with upstream.recording(page):
        answer = call(judging, "GET", "/graded/x")
    assert (answer.status, answer.body) == (500, b"<h1>Oh No</h1>")
    assert answer.all("x-toolgate-warning") == [b"statuses/failing: it failed"]


# -- answers that cannot be read ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        http1.response("200 OK", [("Content-Type", "text/plain")], FINE),
        http1.response("200 OK", [], FINE),
        json_answer(b"[1]"),
        json_answer(b'{"x": 1, "x": 2}'),
        json_answer(b'{"x": NaN}'),
        json_answer(b'{"x": 1'),
        json_answer('{"x": 1}'.encode("utf-16"), "200 OK"),
        json_answer(gzip.compress(FINE, mtime=0), "200 OK", ("Content-Encoding", "gzip")),
        json_answer(FINE, "200 OK", ("Content-Encoding", "br")),
        json_answer(FINE, "206 Partial Content", ("Content-Range", "bytes 10-17/90")),
        http1.response("205 Reset Content", [("Content-Type", "text/plain")], SECRET),
    ],
    ids=lambda answer: repr(answer[9:])[2:12] + repr(answer[-24:]),
)
def test_an_answer_that_a_rule_cannot_read_is_kept_back(judging: Gateway, upstream: Upstream, answer: bytes) -> None:
    with upstream.recording(answer):
        got = call(judging, "GET", "/judged/x")
    problem = problem_of(got, "result_unreadable", 502)
    assert problem["retryable"] is False, "the call was made: repeating it could do the work twice"
    assert "do not repeat" in problem["advice"]


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_an_answer_over_the_limit_is_kept_back(judging: Gateway, upstream: Upstream, framing: str) -> None:
    body = json.dumps({"x": "y" * LIMIT}).encode()
    if framing == "chunked":
        raw = http1.response("200 OK", [JSON, ("Transfer-Encoding", "chunked")], http1.chunked(body[:900], body[900:]))
    elif framing == "close":
        raw = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + body
    else:
        raw = json_answer(body)
    with upstream.playing(answering(raw, close=framing == "close")):
        got = call(judging, "GET", "/judged/x")
    problem = problem_of(got, "result_unreadable", 502)
    assert str(LIMIT) in problem["detail"]
    assert problem["retryable"] is False
    record = judging.trace(got.get("x-toolgate-call"))
    assert (record["upstream_status"], record["fault"]) == (200, "gateway")


def test_an_answer_of_exactly_the_limit_arrives(judging: Gateway, upstream: Upstream) -> None:
    body = b'{"x": "' + b"y" * (LIMIT - 9) + b'"}'
    assert len(body) == LIMIT
    with upstream.recording(json_answer(body)):
        assert call(judging, "GET", "/judged/x").body == body


def test_the_tool_is_asked_for_plain_bytes_where_its_answers_are_read(judging: Gateway, upstream: Upstream) -> None:
    coding = [("Accept-Encoding", "gzip, br"), ("accept-encoding", "zstd")]
    with upstream.recording(json_answer()) as seen:
        call(judging, "GET", "/judged/x", coding)
        call(judging, "GET", "/plain/x", coding)
    assert [message.all("accept-encoding") for message in seen.requests] == [[b"identity"], [b"gzip, br", b"zstd"]]


# -- framing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [FINE, SECRET], ids=["allowed", "refused"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("framing", ["length", "chunked", "trailers", "close"])
def test_whatever_the_tools_framing_the_agent_gets_a_length(
    judging: Gateway, upstream: Upstream, framing: str, version: str, body: bytes
) -> None:
    chunked = [JSON, ("Transfer-Encoding", "chunked")]
    raw = {
        "length": json_answer(body),
        "chunked": http1.response("200 OK", chunked, http1.chunked(body[:3], body[3:])),
        "trailers": http1.response("200 OK", chunked, http1.chunked(body, trailers=b"X-T: 1\r\n")),
        "close": b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + body,
    }[framing]
    with upstream.playing(answering(raw, close=framing == "close")), judging.connect() as peer:
        peer.send(f"GET /judged/x HTTP/{version}\r\nHost: gateway.test\r\nConnection: keep-alive\r\n\r\n".encode())
        first = http1.read_response(peer)
        peer.send(f"GET /judged/x HTTP/{version}\r\nHost: gateway.test\r\nConnection: close\r\n\r\n".encode())
        second = http1.read_response(peer)
        assert peer.at_end()
    for answer in (first, second):
        assert answer.status == (200 if body == FINE else 403)
        assert answer.all("content-length") == [str(len(answer.body)).encode()]
        assert not answer.chunked
        assert answer.body == FINE or body == SECRET
    if version == "1.0":
        assert first.all("connection") == [b"keep-alive"]


def test_requests_that_were_sent_ahead_are_answered_in_turn(judging: Gateway, upstream: Upstream) -> None:
    def script(peer: Peer) -> None:
        message = http1.read_request(peer)
        peer.send(json_answer(b'{"secret": 1}' if b"secret" in message.target else b'{"at": "%b"}' % message.target))

    paths = ["/judged/a", "/judged/secret", "/plain/b", "/judged/c", "/nowhere", "/judged/d"]
    with upstream.playing(script), judging.connect() as peer:
        peer.send(b"".join(http1.request("GET", path) for path in paths))
        got = [http1.read_response(peer) for _ in paths]
    assert [answer.status for answer in got] == [200, 403, 200, 200, 404, 200]
    assert [got[at].body for at in (0, 2, 3, 5)] == [b'{"at": "/%c"}' % letter for letter in b"abcd"]


def test_the_tools_connection_is_used_again(judging: Gateway, upstream: Upstream) -> None:
    with upstream.recording(json_answer()):
        call(judging, "GET", "/judged/x")
        before = upstream.accepted
        for _ in range(5):
            assert call(judging, "GET", "/judged/x").status == 200
        assert upstream.accepted == before


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body_pass(judging: Gateway, upstream: Upstream, status: str) -> None:
    raw = f'HTTP/1.1 {status}\r\nETag: "x"\r\n\r\n'.encode()
    with upstream.recording(raw), judging.connect() as peer:
        for _ in range(2):
            peer.send(http1.request("GET", "/judged/x"))
            answer = http1.read_response(peer)
            assert (answer.status, answer.all("etag")) == (int(status[:3]), [b'"x"'])


def test_head_passes(judging: Gateway, upstream: Upstream) -> None:
    with upstream.recording(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 99\r\n\r\n"):
        with judging.connect() as peer:
            for _ in range(2):
                peer.send(http1.request("HEAD", "/judged/x"))
                answer = http1.read_response(peer, "HEAD")
                assert (answer.status, answer.all("content-length")) == (200, [b"99"])


def test_early_hints_arrive_before_an_answer_that_is_read(judging: Gateway, upstream: Upstream) -> None:
    with upstream.recording(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + json_answer()):
        answer = call(judging, "GET", "/judged/x")
    assert ([hint.status for hint in answer.interim], answer.body) == ([103], FINE)


def test_a_redirect_of_a_tool_whose_answers_are_read_leads_through_the_gateway(
    judging: Gateway, upstream: Upstream
) -> None:
    with upstream.recording(json_answer(FINE, "302 Found", ("Location", "/next?x=1"))):
        assert call(judging, "GET", "/judged/x").all("location") == [b"/judged/next?x=1"]


def test_an_early_answer_reaches_an_agent_that_is_still_sending(judging: Gateway, upstream: Upstream) -> None:
    def script(peer: Peer) -> None:
        http1.read_head(peer)
        peer.send(json_answer(b'{"stop": true}', "413 Too Much", ("Connection", "close")))
        peer.half_close()
        peer.read_to_end()
        peer.close()

    with upstream.playing(script), judging.connect() as peer:
        peer.send(http1.request("POST", "/judged/x", [("Content-Length", "1000000")]) + b"x" * 1000)
        answer = http1.read_response(peer)
    assert (answer.status, answer.body) == (413, b'{"stop": true}')


def test_an_upgrade_is_no_way_around_the_rules(judging: Gateway, upstream: Upstream) -> None:
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")]

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        peer.send(b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhunter2")
        peer.at_end()
        peer.close()

    with upstream.playing(script), judging.connect() as peer:
        peer.send(http1.request("GET", "/judged/x", upgrade))
        problem_of(http1.read_response(peer), "result_unreadable", 502)
        peer.send(http1.request("GET", "/nowhere"))
        assert http1.read_response(peer).status == 404, "the agent's connection lives on"
    with upstream.playing(script), judging.connect() as peer:
        peer.send(http1.request("GET", "/plain/x", upgrade))
        assert http1.read_response(peer).status == 101
        assert peer.read_exactly(7) == b"hunter2"


# -- when it goes wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        json_answer()[:-3],
        http1.response("200 OK", [JSON, ("Transfer-Encoding", "chunked")], b"8\r\n" + FINE + b"\r\n"),
        http1.response("200 OK", [JSON, ("Transfer-Encoding", "chunked")], b"zz\r\n"),
    ],
    ids=["short", "no last chunk", "malformed"],
)
def test_a_tool_that_breaks_off_is_an_honest_502(judging: Gateway, upstream: Upstream, raw: bytes) -> None:
    """Nothing of the answer has gone out, so the agent gets a refusal instead of half an answer."""
    with upstream.playing(answering(raw, close=True)), judging.connect() as peer:
        peer.send(http1.request("GET", "/judged/x"))
        answer = http1.read_response(peer)
        assert answer.status == 502
        problem = problem_of(answer, answer.json()["reason"], 502)
        assert problem["reason"] in ("upstream_unreachable", "upstream_protocol")
        peer.send(http1.request("GET", "/nowhere"))
        assert http1.read_response(peer).status == 404, "the agent's connection lives on"
    record = judging.trace(problem["call_id"])
    assert (record["status"], record["upstream_status"], record["fault"]) == (502, 200, "tool")


def test_a_tool_that_stalls_in_its_answer_is_a_504(judging: Gateway, upstream: Upstream) -> None:
    over = threading.Event()

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        peer.send(json_answer()[:-3])
        over.wait(10)
        peer.close()

    with upstream.playing(script), judging.connect() as peer:
        peer.send(http1.request("GET", "/slow/x"))
        answer = http1.read_response(peer)
        over.set()
    assert problem_of(answer, "upstream_timeout", 504)["retryable"] is True
    assert judging.trace(answer.get("x-toolgate-call"))["upstream_status"] == 200


@pytest.mark.parametrize("how", ["close", "reset"])
def test_an_agent_that_leaves_cancels_the_call(judging: Gateway, upstream: Upstream, how: str) -> None:
    started, ended = threading.Event(), threading.Event()

    def script(peer: Peer) -> None:
        http1.read_request(peer)
        peer.send(json_answer()[:-3])
        started.set()
        peer.at_end()
        ended.set()
        peer.close()

    target = f"/judged/left-{how}"
    with upstream.playing(script), judging.connect() as peer:
        peer.send(http1.request("GET", target))
        assert started.wait(5)
        peer.reset() if how == "reset" else peer.close()
        assert ended.wait(5), "the tool is not told that nobody waits any more"
    (record,) = eventually(lambda: [one for one in judging.traces() if one["path"] == target], what="the trace")
    assert (record["status"], record["upstream_status"], record["fault"]) == (499, 200, "agent")
    assert record["bytes_out"] == 0


def test_a_slow_reader_gets_the_whole_of_a_large_answer(judging: Gateway, upstream: Upstream) -> None:
    body = b'{"x": "' + b"y" * (LIMIT - 9) + b'"}'
    with upstream.recording(json_answer(body)), judging.connect(receive_buffer=4096) as peer:
        peer.send(http1.request("GET", "/judged/x") * 20)
        for _ in range(20):
            head = http1.read_head(peer)
            assert head.status == 200
            assert b"".join(peer.read_exactly(1000) for _ in range(LIMIT // 1000)) == body


def test_the_drip_of_a_slow_tool_is_gathered(judging: Gateway, upstream: Upstream) -> None:
    def script(peer: Peer) -> None:
        http1.read_request(peer)
        peer.send_bytewise(http1.response("200 OK", [JSON, ("Transfer-Encoding", "chunked")], http1.chunked(FINE)))

    with upstream.playing(script):
        assert call(judging, "GET", "/judged/x").body == FINE


# -- what calls cost ---------------------------------------------------------------------------------------------


def test_a_run_that_has_spent_its_budget_is_refused(judging: Gateway, upstream: Upstream) -> None:
    run, other = [("X-Run-Id", "dear")], [("X-Run-Id", "other")]
    with upstream.recording() as seen:
        for spent in range(3):
            answer = call(judging, "GET", "/paid/x", run)
            assert answer.status == 200, f"after {spent} calls"
            assert judging.trace(answer.get("x-toolgate-call"))["cost_usd"] == 0.4
        problem = problem_of(call(judging, "GET", "/paid/x", run), "policy_denied", 403)
        assert problem["rule"] == "budget/spent"
        assert call(judging, "GET", "/paid/x", other).status == 200
        assert call(judging, "GET", "/paid/x").status == 200, "a call without a run has no run's budget"
    assert seen.turns == 5
    assert judging.trace(problem["call_id"])["cost_usd"] is None


def test_a_price_by_the_result_reads_the_answer_in_passing(judging: Gateway, upstream: Upstream) -> None:
    with upstream.recording(json_answer(b'{"pages": 7}')):
        answer = call(judging, "GET", "/weighed/x")
    assert answer.json() == {"pages": 7}
    assert judging.trace(answer.get("x-toolgate-call"))["cost_usd"] == pytest.approx(0.07)


def test_an_answer_that_a_price_cannot_read_arrives_all_the_same(judging: Gateway, upstream: Upstream) -> None:
    """A price refuses nothing; the record says why there is none."""
    body = b"%" * (2 * LIMIT)
    with upstream.recording(http1.response("200 OK", [JSON], body)):
        answer = call(judging, "GET", "/weighed/x")
    assert answer.body == body
    record = judging.trace(answer.get("x-toolgate-call"))
    assert record["cost_usd"] is None
    assert any(str(LIMIT) in note for note in record["notes"])
    assert any("no cost" in note for note in record["notes"])


def test_a_priced_answer_that_breaks_off_breaks_off_for_the_agent(judging: Gateway, upstream: Upstream) -> None:
    with upstream.playing(answering(json_answer(b'{"pages": 7}')[:-4], close=True)), judging.connect() as peer:
        peer.send(http1.request("GET", "/weighed/x"))
        assert broken(peer) == b'{"pages"'
