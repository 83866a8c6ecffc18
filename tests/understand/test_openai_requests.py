"""Requests to OpenAI's API: how they are read, and how they are held to caps."""

from __future__ import annotations

import orjson
import pytest

from gateway.errors import Refused
from gateway.model import Caps, Reason
from gateway.understand.openai import OpenAi

DIALECT = OpenAi()
NO_CAPS = Caps()


def endpoint(end: str):
    return DIALECT.endpoint("POST", "/v1" + end)[0]


CHAT, RESPONSES = endpoint("/chat/completions"), endpoint("/responses")
COMPLETIONS, EMBEDDINGS = endpoint("/completions"), endpoint("/embeddings")


def amended(body: dict, caps: Caps, at=CHAT) -> tuple[dict, tuple[str, ...]]:
    """The body under the caps, and what was said; the body that is given stays as it is below its members."""
    raw = orjson.dumps(body)
    sent, said = at.amend(dict(body), raw, at.asked(body, {}), caps)
    assert orjson.dumps(body) == raw
    return orjson.loads(sent), said


def capped(body: dict, caps: Caps, at=CHAT) -> Refused:
    with pytest.raises(Refused) as caught:
        amended(body, caps, at)
    assert (caught.value.reason, caught.value.status) == (Reason.CAPPED, 403)
    return caught.value


FUNCTION = {"type": "function", "function": {"name": "get_weather", "parameters": {}}}
DANGER = {"type": "function", "function": {"name": "delete_file", "parameters": {}}}
FLAT = {"type": "function", "name": "get_weather", "parameters": {}}
FLAT_DANGER = {"type": "function", "name": "delete_file", "parameters": {}}
NO_DELETES = Caps("safety", forbid_tools=("delete_*",))


# -- endpoints ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "operation", "model"),
    [
        ("/v1/chat/completions", "POST /chat/completions", None),
        ("/chat/completions", "POST /chat/completions", None),
        ("/V1/Chat/Completions", "POST /chat/completions", None),
        ("/openai/deployments/my-gpt/chat/completions", "POST /chat/completions", "my-gpt"),
        ("/openai/Deployments/my-gpt/embeddings", "POST /embeddings", "my-gpt"),
        ("/v1/completions", "POST /completions", None),
        ("/v1/responses", "POST /responses", None),
        ("/v1/responses/compact", "POST /responses/compact", None),
        ("/v1/responses/input_tokens", "POST /responses/input_tokens", None),
        ("/v1/embeddings", "POST /embeddings", None),
    ],
)
def test_endpoints_are_known_by_the_end_of_their_path(path, operation, model):
    found, params = DIALECT.endpoint("POST", path)
    assert (found.operation, params.get("model")) == (operation, model)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/models"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("POST", "/v1/files"),
        ("POST", "/v1/xcompletions"),
    ],
)
def test_nothing_else_asks_a_model(method, path):
    assert DIALECT.endpoint(method, path) is None


# -- reading -----------------------------------------------------------------------------------------------------


def test_a_chat_is_read():
    asked = CHAT.asked(
        {
            "model": "gpt-6",
            "stream": True,
            "max_completion_tokens": 100,
            "max_tokens": 200,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "What is"},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                        {"type": "text", "text": "this?"},
                    ],
                },
                {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function"}]},
                {"role": "tool", "tool_call_id": "c", "content": "a cat"},
            ],
            "tools": [
                FUNCTION,
                {"type": "custom", "custom": {"name": "shell"}},
                {"type": "function", "name": "flat", "function": {"name": "deep"}},
            ],
            "functions": [{"name": "old"}],
            "web_search_options": {},
        },
        {},
    )
    assert (asked.model, asked.stream, asked.max_tokens) == ("gpt-6", True, 200)
    assert asked.system == "Be brief.\nBe kind."
    assert [(each["role"], each["content"]) for each in asked.messages][2:] == [
        ("user", "What is\nthis?"),
        ("assistant", ""),
        ("tool", "a cat"),
    ]
    assert asked.tools == ("get_weather", "shell", "flat", "deep", "old", "web_search")


def test_a_response_is_read():
    asked = RESPONSES.asked(
        {
            "model": "gpt-6",
            "instructions": "Be brief.",
            "max_output_tokens": 300,
            "input": [
                {"role": "developer", "content": "Be kind."},
                {"role": "user", "content": [{"type": "input_text", "text": "Run it"}, {"type": "input_image"}]},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "done"},
                {"type": "shell_call_output", "call_id": "d", "output": [{"stdout": "out", "stderr": "err"}]},
                {"type": "additional_tools", "role": "developer", "tools": [FLAT_DANGER]},
            ],
            "tools": [
                FLAT,
                {"type": "mcp", "server_label": "wiki", "server_url": "https://wiki"},
                {"type": "web_search"},
                {"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "lookup"}]},
            ],
        },
        {},
    )
    assert (asked.model, asked.max_tokens, asked.system) == ("gpt-6", 300, "Be brief.\nBe kind.")
    assert [each["content"] for each in asked.messages] == ["Be kind.", "Run it", "done", "out\nerr"]
    assert asked.tools == ("get_weather", "mcp.wiki", "mcp", "web_search", "crm", "lookup", "delete_file")


def test_a_plain_text_is_a_message_of_the_user():
    assert RESPONSES.asked({"input": "hi"}, {}).messages == ({"role": "user", "content": "hi"},)
    assert COMPLETIONS.asked({"prompt": ["a", "b"]}, {}).messages[1]["content"] == "b"
    assert EMBEDDINGS.asked({"input": "a"}, {}).messages[0]["content"] == "a"
    assert EMBEDDINGS.asked({"input": [[1, 2], [3]]}, {}).messages == ()


@pytest.mark.parametrize("at", [CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS])
def test_a_deployment_is_the_model(at):
    assert at.asked({"model": "gpt-6"}, {"model": "mine"}).model == "mine"


@pytest.mark.parametrize(
    ("at", "body", "place"),
    [
        (CHAT, {"model": 1}, "`model`"),
        (CHAT, {"stream": "true"}, "`stream`"),
        (CHAT, {"max_tokens": "100"}, "`max_tokens`"),
        (CHAT, {"max_completion_tokens": 1.5}, "`max_completion_tokens`"),
        (CHAT, {"max_tokens": -1}, "`max_tokens`"),
        (CHAT, {"messages": {}}, "`messages`"),
        (CHAT, {"messages": ["hi"]}, "`messages[0]`"),
        (CHAT, {"messages": [{"role": 1}]}, "`messages[0].role`"),
        (CHAT, {"messages": [{"role": "user", "content": 1}]}, "`messages[0].content`"),
        (CHAT, {"messages": [{"content": [{"text": []}]}]}, "`messages[0].content[0].text`"),
        (CHAT, {"tools": [{"function": {"name": 1}}]}, "`tools[0].function.name`"),
        (CHAT, {"tools": [{"function": "x"}]}, "`tools[0].function`"),
        (RESPONSES, {"input": 5}, "`input`"),
        (RESPONSES, {"input": [5]}, "`input[0]`"),
        (RESPONSES, {"instructions": []}, "`instructions`"),
        (RESPONSES, {"tools": [{"type": "namespace", "tools": 5}]}, "`tools[0].tools`"),
        (COMPLETIONS, {"prompt": {}}, "`prompt`"),
        (EMBEDDINGS, {"input": 5}, "`input`"),
    ],
)
def test_a_member_of_another_type_than_the_api_documents_is_refused_with_its_place(at, body, place):
    with pytest.raises(Refused) as caught:
        at.asked(body, {})
    assert (caught.value.status, caught.value.reason) == (400, Reason.UNREADABLE_BODY)
    assert place in caught.value.detail


# -- caps --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "given", "becomes"),
    [
        (CHAT, {}, {"max_completion_tokens": 50}),
        (CHAT, {"max_tokens": 100}, {"max_tokens": 50}),
        (CHAT, {"max_tokens": 0}, {"max_tokens": 50}),
        (CHAT, {"max_tokens": None}, {"max_tokens": None, "max_completion_tokens": 50}),
        (CHAT, {"max_tokens": 100, "max_completion_tokens": 10}, {"max_tokens": 50, "max_completion_tokens": 10}),
        (CHAT, {"max_completion_tokens": 40}, {"max_completion_tokens": 40}),
        (RESPONSES, {}, {"max_output_tokens": 50}),
        (RESPONSES, {"max_output_tokens": 100}, {"max_output_tokens": 50}),
        (COMPLETIONS, {}, {"max_tokens": 50}),
        (EMBEDDINGS, {}, {}),
        (endpoint("/responses/compact"), {}, {}),
    ],
)
def test_the_bound_of_the_answer_is_lowered_or_set(at, given, becomes):
    body, said = amended(given, Caps("small", max_tokens=50), at)
    assert body == becomes
    assert bool(said) == (given != becomes)


def test_what_was_changed_is_said():
    caps = Caps("all", max_tokens=50, system="Obey.", forbid_tools=("delete_*",))
    body = {"max_tokens": 100, "messages": [], "tools": [FUNCTION, DANGER]}
    assert amended(body, caps)[1] == ("max_tokens 100 -> 50", "system text put first", "tools removed: delete_file")


@pytest.mark.parametrize(
    ("at", "given", "becomes"),
    [
        (
            CHAT,
            {"messages": [{"role": "system", "content": "a"}]},
            {"messages": [{"role": "system", "content": "Obey."}, {"role": "system", "content": "a"}]},
        ),
        (RESPONSES, {}, {"instructions": "Obey."}),
        (RESPONSES, {"instructions": "a"}, {"instructions": "Obey.\n\na"}),
        (COMPLETIONS, {"prompt": "a"}, {"prompt": "Obey.\n\na"}),
        (COMPLETIONS, {"prompt": ["a", "b"]}, {"prompt": ["Obey.\n\na", "Obey.\n\nb"]}),
        (COMPLETIONS, {}, {"prompt": "Obey."}),
        (EMBEDDINGS, {"input": "a"}, {"input": "a"}),
    ],
)
def test_a_system_text_is_put_first(at, given, becomes):
    assert amended(given, Caps("rules", system="Obey."), at)[0] == becomes


@pytest.mark.parametrize(
    ("at", "body"),
    [
        (CHAT, {"messages": [{"role": "developer", "content": "Obey. And be kind."}]}),
        (RESPONSES, {"instructions": "Obey. And be kind."}),
        (RESPONSES, {"input": [{"role": "system", "content": "Obey."}]}),
    ],
)
def test_a_system_text_that_is_there_already_is_not_put_twice(at, body):
    raw = orjson.dumps(body)
    assert at.amend(body, raw, at.asked(body, {}), Caps("rules", system="Obey."))[0] is raw


@pytest.mark.parametrize(
    ("at", "body"),
    [
        (CHAT, {"messages": [{"role": "system", "content": "Ignore this: Obey."}]}),
        (RESPONSES, {"instructions": "Ignore this: Obey."}),
    ],
)
def test_a_system_text_that_is_only_quoted_is_put_first(at, body):
    raw = orjson.dumps(body)
    assert at.amend(body, raw, at.asked(body, {}), Caps("rules", system="Obey."))[0] is not raw


def test_a_text_of_the_user_is_no_system_text():
    body = {"messages": [{"role": "user", "content": "Obey."}]}
    assert amended(body, Caps("rules", system="Obey."))[0]["messages"][0]["role"] == "system"


def test_no_text_can_be_put_before_a_prompt_of_numbers():
    assert "token numbers" in capped({"prompt": [[1, 2]]}, Caps("rules", system="Obey."), COMPLETIONS).detail


@pytest.mark.parametrize(
    ("at", "given", "becomes"),
    [
        (CHAT, {"tools": [FUNCTION, DANGER]}, {"tools": [FUNCTION]}),
        (CHAT, {"tools": [DANGER], "tool_choice": "required", "parallel_tool_calls": False}, {}),
        (CHAT, {"functions": [{"name": "delete_all"}], "function_call": "auto"}, {}),
        (CHAT, {"tools": [{"type": "custom", "custom": {"name": "delete_x"}}, FUNCTION]}, {"tools": [FUNCTION]}),
        (CHAT, {"tools": [{**FLAT_DANGER, **FUNCTION}]}, {}),
        (RESPONSES, {"tools": [FLAT, FLAT_DANGER]}, {"tools": [FLAT]}),
        (
            RESPONSES,
            {"tools": [{"type": "namespace", "name": "disk", "tools": [FLAT, FLAT_DANGER]}]},
            {"tools": [{"type": "namespace", "name": "disk", "tools": [FLAT]}]},
        ),
        (
            RESPONSES,
            {"tools": [{"type": "namespace", "name": "disk", "tools": [FLAT_DANGER]}, FLAT]},
            {"tools": [FLAT]},
        ),
        (
            RESPONSES,
            {"input": [{"type": "additional_tools", "tools": [FLAT_DANGER, FLAT]}, {"role": "user", "content": "x"}]},
            {"input": [{"type": "additional_tools", "tools": [FLAT]}, {"role": "user", "content": "x"}]},
        ),
        (
            RESPONSES,
            {"input": [{"type": "tool_search_output", "tools": [FLAT_DANGER]}]},
            {"input": [{"type": "tool_search_output", "tools": []}]},
        ),
    ],
)
def test_forbidden_tools_are_taken_out(at, given, becomes):
    body, said = amended(given, NO_DELETES, at)
    assert body == becomes
    assert len(said) == 1


@pytest.mark.parametrize(
    ("pattern", "gone"),
    [("mcp", "mcp"), ("mcp.wiki", "mcp"), ("web_search", "web_search"), ("*", "everything")],
)
def test_what_the_provider_runs_is_forbidden_by_its_type(pattern, gone):
    tools = [{"type": "mcp", "server_label": "wiki"}, {"type": "web_search"}]
    body, _ = amended({"tools": tools}, Caps("x", forbid_tools=(pattern,)), RESPONSES)
    assert [each["type"] for each in body.get("tools", [])] == [
        each["type"] for each in tools if gone not in (each["type"], "everything")
    ]


def test_the_search_of_a_chat_is_a_tool():
    body, said = amended({"web_search_options": {}}, Caps("x", forbid_tools=("web_search",)))
    assert (body, said) == ({}, ("tools removed: web_search",))


@pytest.mark.parametrize(
    ("at", "choice"),
    [
        (CHAT, {"tool_choice": {"type": "function", "function": {"name": "delete_file"}}}),
        (CHAT, {"tool_choice": {"type": "custom", "custom": {"name": "delete_file"}}}),
        (CHAT, {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [DANGER]}}}),
        (CHAT, {"function_call": {"name": "delete_file"}}),
        (RESPONSES, {"tool_choice": {"type": "function", "name": "delete_file"}}),
        (RESPONSES, {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [FLAT_DANGER]}}),
    ],
)
def test_a_choice_that_names_a_forbidden_tool_is_refused(at, choice):
    refused = capped({"tools": [DANGER, FLAT_DANGER], **choice}, NO_DELETES, at)
    assert "'delete_file'" in refused.detail
    assert "'safety'" in refused.detail


def test_what_needs_no_change_keeps_its_bytes():
    raw = b'{ "max_tokens":\t10,"tools":[ ] ,"messages":[] }'
    body = orjson.loads(raw)
    caps = Caps("x", max_tokens=10, forbid_tools=("x",))
    assert CHAT.amend(body, raw, CHAT.asked(body, {}), caps) == (raw, ())


# -- the usage of streams ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [CHAT, COMPLETIONS])
def test_the_usage_of_a_stream_is_asked_for_and_all_else_keeps_its_bytes(at):
    raw = b' {"model":"x", "stream" : true,\n"temperature": 1.0e0}'
    body = orjson.loads(raw)
    sent, said = at.amend(body, raw, at.asked(body, {}), NO_CAPS)
    assert sent == b'{"stream_options":{"include_usage":true},"model":"x", "stream" : true,\n"temperature": 1.0e0}'
    assert said == ()
    assert body == orjson.loads(sent)


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_obfuscation": False}, {"include_obfuscation": False, "include_usage": True}),
        (None, {"include_usage": True}),
    ],
)
def test_other_options_of_a_stream_are_kept(given, options):
    body, _ = amended({"stream": True, "stream_options": given}, NO_CAPS)
    assert body == {"stream": True, "stream_options": options}


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (DIALECT, {"stream": True, "stream_options": {"include_usage": True}}),
        (DIALECT, {"stream": False}),
        (DIALECT, {}),
        (OpenAi(asks_usage=False), {"stream": True}),
    ],
)
def test_usage_is_not_asked_for_where_it_comes_or_is_not_wanted(dialect, body):
    at, _ = dialect.endpoint("POST", "/chat/completions")
    raw = orjson.dumps(body)
    assert at.amend(body, raw, at.asked(body, {}), NO_CAPS)[0] is raw


def test_a_second_cap_does_not_ask_again():
    body = {"stream": True}
    raw = orjson.dumps(body)
    asked = CHAT.asked(body, {})
    sent, _ = CHAT.amend(body, raw, asked, NO_CAPS)
    assert CHAT.amend(body, sent, asked, NO_CAPS)[0] is sent


def test_a_change_asks_for_the_usage_as_well():
    body, said = amended({"stream": True, "max_tokens": 9}, Caps("x", max_tokens=5))
    assert body == {"stream": True, "max_tokens": 5, "stream_options": {"include_usage": True}}
    assert said == ("max_tokens 9 -> 5",)
