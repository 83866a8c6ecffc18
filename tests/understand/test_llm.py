"""Requests to a model: which are, how they are read, what caps make of them, and how a refusal is phrased."""

from __future__ import annotations

from collections.abc import Sequence

import httpx2
import openai
import orjson
import pytest

from gateway.errors import Refused
from gateway.model import Agent, Answered, Call, Caps, Reason, Refusal, Route, Run
from gateway.understand.http import HttpReader
from gateway.understand.llm import LlmReader, ModelCall
from gateway.understand.openai import OpenAi
from tests.builders import request, tool
from tests.understand.llm_support import JSON, Judge

TYPE = ("Content-Type", "application/json")
CHAT = {"model": "gpt-6", "messages": [{"role": "user", "content": "hi"}]}


def reader(
    *caps: Caps, reads_messages: bool = True, reads_args: bool = False, asked: list | None = None, **settings
) -> LlmReader:
    """A reader of a tool with these settings; ``asked`` gathers what caps were asked for."""
    llm = tool("llm", **settings)

    def apply(agent: Agent, name: str, operation: str) -> Sequence[Caps]:
        if asked is not None:
            asked.append((agent.id, name, operation))
        return caps

    http = HttpReader(llm, reads_args=reads_args, looks_at_path=False)
    return LlmReader(llm, OpenAi(), http=http, caps=apply, reads_messages=reads_messages)


def read(
    body: object = CHAT,
    *caps: Caps,
    path: str = "/v1/chat/completions",
    method: str = "POST",
    fields=(TYPE,),
    **settings,
) -> Call:
    raw = body if isinstance(body, bytes | None) else orjson.dumps(body)
    way = reader(*caps, **settings)
    target, _, query = path.partition("?")
    came = request(method, "/llm" + path, fields, length=len(raw or b""))
    return way.read("id-1", came, Route(way.tool, path, target, query, "h"), Agent("a"), Run("r"), raw)


def refused(*given, **settings) -> Refused | Refusal:
    """What is said against a request: at once, or once it is known that the agent may make it (a flaw)."""
    with pytest.raises(Refused) as caught:
        if (flaw := read(*given, **settings).flaw) is not None:
            return flaw
    return caught.value


# -- which requests ask a model ----------------------------------------------------------------------------------


def test_a_request_to_a_model_is_a_call_with_its_facts():
    call = read({**CHAT, "max_tokens": 10, "tools": [{"function": {"name": "f"}}]}, path="/v1/chat/completions?v=1")
    assert isinstance(call, ModelCall)
    assert (call.operation, call.path, call.query) == ("POST /chat/completions", "/v1/chat/completions", "v=1")
    assert call.facts == {
        "llm.model": "gpt-6",
        "llm.stream": False,
        "llm.max_tokens": 10,
        "llm.system": "",
        "llm.tools": ["f"],
        "llm.messages": [{"role": "user", "content": "hi"}],
    }
    assert call.args["messages"][0]["content"] == "hi"
    assert (call.body, call.amendments) == (None, ())


def test_messages_are_a_fact_only_where_a_rule_reads_them():
    assert "llm.messages" not in read(reads_messages=False).facts


def test_a_deployment_in_the_path_is_the_model_and_a_parameter():
    call = read(path="/openai/deployments/mine/chat/completions?api-version=1")
    assert (call.facts["llm.model"], call.params) == ("mine", {"model": "mine"})


@pytest.mark.parametrize("path", ["/v1/models", "/v1/files", "/v1/responses/resp_1/cancel"])
def test_what_asks_no_model_is_plain_http(path):
    call = read(b"anything", path=path, fields=())
    assert not isinstance(call, ModelCall)
    assert (call.operation, call.facts, call.args) == (f"POST {path}", {}, {})


def test_the_base_path_is_part_of_what_the_tool_sees():
    assert read(path="/completions", base_path="/v1/chat").operation == "POST /chat/completions"


@pytest.mark.parametrize(
    "path",
    [
        "/V1/CHAT/completions",
        "/v1/chat/completions/",
        "/v1/chat/completions//",
        "/v1/chat/%63ompletions",
    ],
)
def test_no_way_of_writing_the_path_gets_around_the_caps(path):
    call = read(CHAT, Caps("x", models=("small",)), path=path, ambiguous_paths="forward")
    assert call.flaw.reason is Reason.CAPPED


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat//completions",
        "/v1/chat/./completions",
        "/v1/chat/completions;x",
        "/v1/chat/x/../completions",
        "/v1/chat/completions/%2e",
        "/v1/chat%2fcompletions",
        "/v1/chat%252fcompletions",
        "/v1/chat%5ccompletions",
        "/v1/chat/completions/..;/completions",
    ],
)
@pytest.mark.parametrize("mode", ["auto", "refuse"])
def test_a_path_that_only_some_servers_take_for_an_endpoint_is_refused(path, mode):
    assert refused(CHAT, path=path, ambiguous_paths=mode).reason is Reason.AMBIGUOUS_PATH


def test_nor_is_such_a_path_forwarded_unread_where_ambiguous_paths_are():
    refusal = refused(CHAT, path="/v1/chat//completions", ambiguous_paths="forward")
    assert refusal.reason is Reason.AMBIGUOUS_PATH
    assert "'//'" in refusal.detail
    assert read(b"x", path="/v1//files", ambiguous_paths="forward", fields=()).operation == "POST /v1//files"


def test_paths_are_remembered_but_not_without_end():
    way = reader()
    for number in range(2100):
        path = f"/v1/files/{number}"
        way.read("i", request("GET", path), Route(way.tool, path, path, "", "h"), Agent("a"), Run(), None)
    assert len(way._known) <= 1024


@pytest.mark.parametrize(
    ("target", "length", "wanted"),
    [
        ("/llm/v1/chat/completions", 10, True),
        ("/llm/v1/chat/completions?x=/y", 10, True),
        ("http://llm/v1/embeddings", -1, True),
        ("/llm/v1/chat//completions", 10, True),
        ("/llm/v1/chat/completions", 0, False),
        ("/llm/v1/files", 10, False),
    ],
)
def test_the_body_is_wanted_where_a_model_is_asked(target, length, wanted):
    assert reader().wants_body(request("POST", target, length=length)) is wanted


def test_the_body_is_wanted_where_rules_read_what_is_plain_http_or_the_base_path_makes_an_endpoint():
    assert reader(reads_args=True).wants_body(request("POST", "/llm/v1/files", length=1))
    assert reader(base_path="/v1/chat").wants_body(request("POST", "/llm/completions", length=1))


# -- bodies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "fields", "status"),
    [
        (b"[1]", (TYPE,), 400),
        (b"null", (TYPE,), 400),
        (b'{"model":"a","model":"b"}', (TYPE,), 400),
        (b'{"max_tokens": 1e999}', (TYPE,), 400),
        (b"{", (TYPE,), 400),
        (None, (), 400),
        (b"a=b", (("Content-Type", "application/x-www-form-urlencoded"),), 400),
        (b"{}", (("Content-Type", "application/x-www-form-urlencoded"),), 400),
        (b"{}", (("Content-Type", "text/plain"),), 415),
        (b"{}", (TYPE, ("Content-Encoding", "gzip")), 415),
        (b"{}", (("Content-Type", "application/json; charset=utf-16"),), 415),
    ],
)
def test_a_body_that_is_not_one_json_object_is_refused(body, fields, status):
    refusal = refused(body, fields=fields)
    assert (refusal.status, refusal.reason) == (status, Reason.UNREADABLE_BODY)
    assert refusal.advice


def test_a_body_too_large_to_be_read_is_refused_even_where_other_rules_go_by_the_head():
    way = reader(head_only=True)
    came = request("POST", "/llm/v1/responses", length=10**9)
    with pytest.raises(Refused) as caught:
        way.read("i", came, Route(way.tool, "", "/v1/responses", "", "h"), Agent("a"), Run(), None)
    assert (caught.value.status, caught.value.reason) == (413, Reason.BODY_TOO_LARGE)


def test_a_body_that_cannot_be_read_is_refused_even_where_other_rules_go_by_the_head():
    assert refused(b"{", head_only=True).status == 400


# -- caps --------------------------------------------------------------------------------------------------------


def test_caps_are_asked_for_by_agent_tool_and_operation():
    asked: list = []
    read(asked=asked)
    assert asked == [("a", "llm", "POST /chat/completions")]


@pytest.mark.parametrize(
    ("patterns", "model", "allowed"),
    [
        (("gpt-6",), "gpt-6", True),
        (("gpt-*", "o?"), "o3", True),
        (("gpt-5*",), "gpt-6", False),
        (("gpt-6",), "GPT-6", False),
        (("gpt-6",), "", False),
        (("gpt-6",), " gpt-6", False),
    ],
)
def test_only_models_that_a_cap_names_are_asked(patterns, model, allowed):
    cap = Caps("small", models=patterns)
    call = read({"model": model}, cap)
    assert call.facts["llm.model"] == model
    if allowed:
        assert call.flaw is None
        return
    assert (call.flaw.status, call.flaw.reason, call.flaw.rule) == (403, Reason.CAPPED, "cap/small")
    assert "'small'" in call.flaw.detail
    assert patterns[0] in call.flaw.advice


def test_a_choice_of_a_forbidden_tool_is_a_flaw_and_a_member_of_the_wrong_type_is_refused_at_once():
    cap = Caps("safety", forbid_tools=("rm",))
    choice = {"type": "function", "function": {"name": "rm"}}
    assert read({**CHAT, "tool_choice": choice}, cap).flaw.rule == "cap/safety"
    assert refused({**CHAT, "max_tokens": "9"}, cap).status == 400


def test_rules_see_what_the_tool_will_get():
    cap = Caps("c", max_tokens=50, system="Obey.", forbid_tools=("rm",))
    body = {**CHAT, "max_tokens": 100, "tools": [{"function": {"name": "rm"}}, {"function": {"name": "ls"}}]}
    call = read(body, cap)
    assert (call.facts["llm.max_tokens"], call.facts["llm.tools"]) == (50, ["ls"])
    assert (call.facts["llm.system"], call.facts["llm.messages"][0]["role"]) == ("Obey.", "system")
    assert call.args == orjson.loads(call.body)
    assert call.args["max_tokens"] == 50
    assert call.amendments == ("max_tokens 100 -> 50", "system text put first", "tools removed: rm")


def test_caps_are_applied_one_after_the_other():
    call = read({**CHAT, "max_tokens": 100}, Caps("a", max_tokens=50), Caps("b", max_tokens=20, system="Obey."))
    assert call.args["max_tokens"] == 20
    assert call.amendments == ("max_tokens 100 -> 50", "max_tokens 50 -> 20", "system text put first")
    assert read(CHAT, Caps("a", models=("gpt-*",)), Caps("b", models=("o*",))).flaw.rule == "cap/b"


def test_a_request_that_cannot_be_read_is_refused_where_a_cap_is_about_it():
    cap = Caps("small", models=("gpt-*",))
    flaw = read(b"{}", cap, path="/v1/batches").flaw
    assert (flaw.reason, flaw.rule) == (Reason.CAPPED, "cap/small")
    assert read(b"{}", path="/v1/batches").flaw is None
    assert read(None, cap, method="GET", path="/v1/batches").flaw is None


def test_where_only_the_usage_is_asked_for_the_record_says_so():
    call = read({**CHAT, "stream": True})
    assert call.args["stream_options"] == {"include_usage": True}
    assert orjson.loads(call.body) == call.args
    assert call.amendments == ("the usage of the stream is asked for",)


# -- answers -----------------------------------------------------------------------------------------------------


def test_answers_of_models_are_read_and_asked_for_uncompressed():
    way = reader()
    call = read()
    assert way.plain(call)
    assert way.answer(call, Answered(200, 0.1, JSON), Judge()) is not None


@pytest.mark.parametrize("status", [400, 404, 429, 500, 302])
def test_errors_pass_unread(status):
    assert reader().answer(read(), Answered(status, 0.1, JSON), Judge(proposals=True)) is None


def test_answers_of_what_asks_no_model_are_plain_http():
    way = reader()
    call = read(b"x", path="/v1/files", fields=())
    assert not way.plain(call)
    assert way.answer(call, Answered(200, 0.1, JSON), Judge()) is None


def test_the_chunk_that_the_reader_asked_for_is_taken_out_of_the_answer():
    call = read({**CHAT, "stream": True})
    answer = reader().answer(call, Answered(200, 0.1, "text/event-stream"), Judge())
    usage = b'data: {"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n'
    assert answer.feed(b"data: {}\n\n" + usage) + answer.end() == b"data: {}\n\n"
    assert answer.found().usage.output_tokens == 4


# -- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (502, openai.InternalServerError),
    ],
)
def test_a_refusal_raises_in_openais_sdk_with_detail_and_advice(status, kind):
    refusal = Refusal(Reason.CAPPED, status, "the model is too large", "caps/small", advice="ask a smaller one")
    phrased = reader().phrase(refusal, "id-1", request(), None)
    tries: list = []

    def reply(asked: httpx2.Request) -> httpx2.Response:
        tries.append(asked)
        return httpx2.Response(phrased.status, headers=list(phrased.fields), content=phrased.body)

    client = openai.OpenAI(
        api_key="k",
        base_url="http://llm/v1",
        max_retries=0 if status == 429 else 2,
        http_client=httpx2.Client(transport=httpx2.MockTransport(reply)),
    )
    with pytest.raises(kind, match="the model is too large; ask a smaller one") as caught:
        client.chat.completions.create(model="gpt-6", messages=[])
    assert (caught.value.code, len(tries)) == ("capped", 1)


def test_a_refusal_is_still_a_problem_of_rfc_9457():
    phrased = reader().phrase(Refusal(Reason.CAPPED, 403, "no", "caps/x"), "id-1", request(), None)
    problem = orjson.loads(phrased.body)
    assert (problem["type"], problem["status"], problem["call_id"]) == ("urn:toolgate:capped", 403, "id-1")
    assert (b"Content-Type", b"application/problem+json") in phrased.fields
