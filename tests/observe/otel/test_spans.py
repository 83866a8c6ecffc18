"""The spans of a record: names, kinds, parents, attributes."""

from __future__ import annotations

import pytest
from msgspec import structs

from gateway.model import Findings, Mode, Outcome, Proposal, Reason, Refusal, Ruling, Run, Spoke, Trace, Usage, Verdict
from gateway.observe.otel.kinds import Kinds, Peer
from gateway.observe.otel.protobuf import request
from gateway.observe.otel.sampling import Sampling
from gateway.observe.otel.spans import spans_of
from gateway.observe.trace import record_of
from tests.observe.otel.collector import named, spans_in
from tests.observe.support import permit, refusal, trace

SERVER, CLIENT, ERROR = 2, 3, 2
TRACE, TOLD, ABOVE = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "b7ad6b7169203331"
PEERS = {"bank": Peer("http", "bank.example", 8443, frozenset({"POST /transfers"}))}


def test_what_people_said_is_an_event_and_when_they_were_asked_another():
    ruling = Ruling(True, "ap-1", ("ada",), "approve", waited=0.2)
    given = structs.replace(trace(structs.replace(permit(), ruling=ruling)), asked=0.2)
    server, _ = exported(given)
    events = {event.name: event for event in server.events}
    asked, ruled = events["toolgate.approval.asked"], events["toolgate.approval.ruled"]
    assert ruled.time_unix_nano - asked.time_unix_nano >= 200_000_000
    assert named(ruled.attributes) == {
        "toolgate.approval.id": "ap-1",
        "toolgate.approval.verb": "approve",
        "toolgate.approval.by": ["ada"],
        "toolgate.approval.waited_ms": 200.0,
        "toolgate.approval.edited": False,
    }
    assert named(server.attributes)["toolgate.asked_ms"] == 200.0


MCP = {
    "mcp.method": "tools/call",
    "mcp.name": "search",
    "mcp.uri": "",
    "mcp.version": "2025-11-25",
    "mcp.session": "s1",
}
LLM = {"llm.model": "gpt-5", "llm.stream": True, "llm.max_tokens": 100}


def told(given: Trace, parent: str = f"00-{TRACE}-{ABOVE}-01") -> Trace:
    """The same where the agent named a trace, and the tool was told of the call's span."""
    decided = permit()
    call = structs.replace(decided.call, onward=((b"traceparent", f"00-{TRACE}-{TOLD}-01".encode()),))
    return structs.replace(given, run=Run("r1", parent), call=call)


def exported(given: Trace, peers: dict[str, Peer] = PEERS, offset: float = 1_700_000_000.0):
    return spans_in(request(b"", b"", [spans_of(record_of(given), peers, offset, Kinds())]))


def test_a_call_is_a_span_of_the_gateway_and_below_it_one_of_the_call_to_the_tool():
    server, client = exported(told(trace(permit())))
    assert (server.name, server.kind, client.name, client.kind) == (
        "execute_tool bank", SERVER, "POST /transfers", CLIENT,
    )  # fmt: skip
    assert server.trace_id.hex() == client.trace_id.hex() == TRACE
    assert server.parent_span_id.hex() == ABOVE
    assert client.parent_span_id == server.span_id
    assert client.span_id.hex() == TOLD  # what the tool was told is its parent
    assert server.flags == 0x301
    assert client.flags == 0x101
    assert [span.status.code for span in (server, client)] == [0, 0]


def test_times_are_those_of_the_call():
    server, client = exported(told(trace(permit())))
    began = 1_700_000_100.0
    assert server.start_time_unix_nano == pytest.approx(began * 1e9, abs=1000)
    assert server.end_time_unix_nano == client.end_time_unix_nano == pytest.approx((began + 1.0) * 1e9, abs=1000)
    assert client.start_time_unix_nano == pytest.approx((began + 0.5) * 1e9, abs=1000)
    assert {event.time_unix_nano for event in server.events} == {client.start_time_unix_nano}


def test_a_refused_call_is_one_span_and_an_error():
    (server,) = exported(trace(refusal(), Outcome(403)))
    said = named(server.attributes)
    assert server.status.code == ERROR
    assert server.status.message == "no"
    assert said["error.type"] == said["toolgate.reason"] == "policy_denied"
    assert said["toolgate.decision"] == "refuse"
    assert said["toolgate.rule"] == "payments/large"
    assert said["http.response.status_code"] == 403


def test_where_nobody_was_told_ids_follow_from_the_call():
    first, again = exported(trace(permit())), exported(trace(permit()))
    other = exported(trace(permit(), ident="c2"))
    assert first == again
    assert len({span.trace_id for span in first}) == 1
    assert len({span.span_id for span in (*first, *other)}) == 4
    assert first[0].parent_span_id == b""


def test_rules_and_guards_that_have_something_to_say_are_events():
    server, _ = exported(trace(permit()))
    events = {event.name: named(event.attributes) for event in server.events}
    assert events["toolgate.decision"] == {"toolgate.decision": "allow", "toolgate.grant": "payers"}
    assert events["toolgate.rule"]["toolgate.rule.policy"] == "payments"
    assert events["toolgate.rule"]["toolgate.rule.verdict"] == "deny"
    guards = [named(event.attributes) for event in server.events if event.name == "toolgate.guard"]
    assert guards == [
        {
            "toolgate.guard.name": "bank",
            "toolgate.guard.granted": True,
            "toolgate.guard.left": 0.0,
            "toolgate.guard.state": "half-open",
            "toolgate.guard.retry_after": 0.0,
        }
    ]


def test_a_tool_of_an_mcp_server_goes_by_the_conventions_of_mcp():
    server, client = exported(structs.replace(trace(permit()), facts=MCP))
    assert server.name == client.name == "tools/call search"
    for span in (server, client):
        said = named(span.attributes)
        assert said["mcp.method.name"] == "tools/call"
        assert said["gen_ai.operation.name"] == "execute_tool"
        assert said["gen_ai.tool.name"] == "search"
        assert said["mcp.session.id"] == "s1"
        assert said["mcp.protocol.version"] == "2025-11-25"
        assert said["gen_ai.agent.id"] == "treasurer"
        assert said["gen_ai.conversation.id"] == "r1"


def test_a_result_that_is_an_error_is_a_tool_error():
    failed = Outcome(200, 200, found=Findings(is_error=True))
    server, client = exported(structs.replace(trace(permit(), failed), facts=MCP))
    assert named(server.attributes)["error.type"] == named(client.attributes)["error.type"] == "tool_error"
    assert [span.status.code for span in (server, client)] == [ERROR, ERROR]


def test_an_answer_that_was_withheld_is_the_gateways_error_not_the_tools():
    withheld = Findings(refusal=Refusal(Reason.RESULT_DENIED, 403, "secrets", "results/secrets"))
    server, client = exported(trace(permit(), Outcome(403, 200, found=withheld)))
    assert named(server.attributes)["toolgate.withheld.rule"] == "results/secrets"
    assert (server.status.code, client.status.code) == (ERROR, 0)


def test_a_model_goes_by_the_conventions_of_generative_ai_and_its_tokens_stand_once():
    usage = Usage("gpt-5-2026", 100, 20, 40, 0, 5)
    found = Findings(usage=usage, proposed=(Proposal("search"), Proposal("wipe", refused="p/r")))
    outcome = Outcome(200, 200, first_byte=0.25, found=found, cost_usd=0.5)
    peers = {"bank": Peer("openai", "api.example", 443)}
    server, client = exported(structs.replace(trace(permit(), outcome), facts=LLM), peers)
    said, asked = named(client.attributes), named(server.attributes)
    assert server.name == client.name == "chat gpt-5"
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.provider.name"] == "openai"
    assert said["gen_ai.request.model"] == "gpt-5"
    assert said["gen_ai.response.model"] == "gpt-5-2026"
    assert said["gen_ai.request.stream"] is True
    assert said["gen_ai.request.max_tokens"] == 100
    assert said["gen_ai.usage.input_tokens"] == 100
    assert said["gen_ai.usage.output_tokens"] == 20
    assert said["gen_ai.usage.cache_read.input_tokens"] == 40
    assert said["gen_ai.usage.reasoning.output_tokens"] == 5
    assert said["gen_ai.response.time_to_first_chunk"] == 0.25
    assert (said["server.address"], said["server.port"]) == ("api.example", 443)
    assert not [name for name in asked if name.startswith("gen_ai.usage")]
    assert "gen_ai.operation.name" not in asked
    assert asked["toolgate.cost_usd"] == 0.5
    assert asked["toolgate.proposed"] == ["search", "wipe"]
    assert asked["toolgate.proposed.refused"] == ["wipe"]


@pytest.mark.parametrize(
    ("protocol", "path", "name"),
    [
        ("openai", "/v1/embeddings", "embeddings"),
        ("openai", "/v1/completions", "text_completion"),
        ("openai", "/v1/chat/completions", "chat"),
        ("anthropic", "/v1/messages", "chat"),
        ("gemini", "/v1beta/models/g:generateContent", "generate_content"),
        ("gemini", "/v1beta/models/g:embedContent", "embeddings"),
    ],
)
def test_what_is_asked_of_a_model_is_named(protocol, path, name):
    given = structs.replace(trace(permit(), target=path), facts=LLM)
    assert exported(given, {"bank": Peer(protocol)})[0].name == f"{name} gpt-5"


def test_what_the_agent_says_of_the_call_and_the_runs_above_are_told():
    run = Run("r2", f"00-{TRACE}-{ABOVE}-01", root=("boss", "r0"), led=("boss", "r0"), depth=1, lineage="token")
    why = {"why.step": "3", "why.reason": "to pay", "why.kind": "tool_call"}
    said = named(exported(structs.replace(told(trace(permit())), run=run, facts=why))[0].attributes)
    assert said["toolgate.why.reason"] == "to pay"
    assert said["toolgate.root.agent"] == "boss"
    assert said["toolgate.led_by.run"] == "r0"
    assert said["toolgate.depth"] == 1


def test_a_call_that_was_given_up_before_a_decision_has_a_span_too():
    (server,) = exported(trace(None, Outcome(499, fault="agent"), tool=""))
    assert server.name == "POST"
    assert named(server.attributes)["error.type"] == "cancelled"


def test_names_that_agents_choose_are_cut():
    facts = {**MCP, "mcp.name": "x" * 2000}
    assert len(exported(structs.replace(trace(permit()), facts=facts))[0].name) == 128


def test_text_that_no_utf8_can_hold_does_not_keep_a_record_from_being_exported():
    spoke = Spoke("p", "r", Verdict.WARN, Mode.AUDIT, "lone \ud800")
    server, _ = exported(trace(structs.replace(permit(), spoke=(spoke,))))
    assert "lone ?" in [named(event.attributes).get("toolgate.rule.message") for event in server.events]


def record(ident: int, *, refused: bool = False):
    given = told(trace(refusal() if refused else permit()), f"00-{ident:032x}-{ABOVE}-01")
    onward = ((b"traceparent", f"00-{ident:032x}-{TOLD}-00".encode()),)
    return record_of(structs.replace(given, call=structs.replace(permit().call, onward=onward)))


def test_of_a_share_of_the_traces_whole_ones_are_taken_by_the_end_of_their_id():
    half = Sampling(0.5)
    assert [half.takes(record(ident)) for ident in (1, (1 << 55) - 1, 1 << 55, (1 << 56) - 1)] == [
        False, False, True, True,
    ]  # fmt: skip
    assert half.takes(record((5 << 56) + (1 << 55)))


def test_refused_and_failed_calls_are_always_taken():
    none = Sampling(0.0)
    assert not none.takes(record((1 << 56) - 1))
    assert none.takes(record(1, refused=True))
    assert none.takes(record_of(trace(permit(), Outcome(502, fault="tool"))))
    assert none.takes(record_of(trace(permit(), Outcome(500, 500))))
    assert none.takes(record_of(trace(permit(), Outcome(200, 200, found=Findings(is_error=True)))))
    assert Sampling(1.0).takes(record(1))
