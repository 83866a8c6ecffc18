"""Gemini: requests as rules see them, requests under caps, whole answers, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import Refused
from gateway.model import Caps, Proposal, Reason, Refusal, Usage
from gateway.understand.dialect import Asked, Endpoint
from gateway.understand.gemini import Gemini
from tests.e2e.harness.llm_shapes import ARGS, GEMINI_USAGE, Scenario, generate_chunks, generate_content

from .judging import SAID, Refusing, answering, passed, whole

MODEL = "gemini-2.5-flash"
WEATHER: dict[str, Any] = {"name": "get_weather", "parameters": {"type": "OBJECT"}}
DELETE: dict[str, Any] = {"name": "delete_all"}
BODY: dict[str, Any] = {
    "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "generationConfig": {"maxOutputTokens": 1024},
}


def endpoint(method: str = "generateContent") -> Endpoint:
    found = Gemini().endpoint("POST", f"/v1beta/models/{MODEL}:{method}")
    assert found is not None
    return found[0]


def asked(body: dict[str, Any], method: str = "generateContent") -> Asked:
    return endpoint(method).asked(body, {"model": MODEL})


def amended(
    body: dict[str, Any], caps: Caps, method: str = "generateContent"
) -> tuple[dict[str, Any], tuple[str, ...]]:
    raw = json.dumps(body).encode()
    before = json.loads(raw)
    sent, said = endpoint(method).amend(body, raw, asked(body, method), caps)
    assert body == before, "the body that was read is not the cap's to change"
    assert (sent is raw) == (said == ())
    return json.loads(sent), said


@pytest.mark.parametrize(
    ("path", "operation", "model"),
    [
        (f"/v1beta/models/{MODEL}:generateContent", "generateContent", MODEL),
        (f"/v1beta/models/{MODEL}:streamGenerateContent", "streamGenerateContent", MODEL),
        (f"/v1beta/models/{MODEL}:STREAMgenerateCONTENT/", "streamGenerateContent", MODEL),
        (f"/models/{MODEL}:countTokens", "countTokens", MODEL),
        (f"/models/models/{MODEL}:embedContent", "embedContent", MODEL),
        (f"/v1/models/{MODEL}:batchEmbedContents", "batchEmbedContents", MODEL),
        ("/v1beta/tunedModels/mine:generateContent", "generateContent", "tunedModels/mine"),
        (f"/v1/projects/p/locations/eu/publishers/google/models/{MODEL}:generateContent", "generateContent", MODEL),
        ("/v1/projects/p/locations/eu/endpoints/123:generateContent", "generateContent", "endpoints/123"),
    ],
)
def test_endpoints_are_known_by_the_end_of_their_path(path: str, operation: str, model: str) -> None:
    found = Gemini().endpoint("POST", path)
    assert found is not None
    assert (found[0].operation, found[1]) == (f"POST /models/{{model}}:{operation}", {"model": model})


@pytest.mark.parametrize(
    "path", ["/v1beta/models", f"/v1beta/models/{MODEL}", f"/v1beta/models/{MODEL}:batchGenerateContent", "/upload"]
)
def test_other_paths_ask_no_model(path: str) -> None:
    assert Gemini().endpoint("POST", path) is None


def test_a_method_that_a_field_may_override_tells_nothing() -> None:
    assert Gemini().endpoint("GET", f"/v1beta/models/{MODEL}:generateContent") == (endpoint(), {"model": MODEL})


def test_a_request_is_read_in_either_spelling() -> None:
    camel = {
        "contents": [
            {"role": "user", "parts": [{"text": "What is the weather?"}, {"inlineData": {"data": "AAAA"}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "get_weather", "args": {}}}, {"text": "One moment"}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "get_weather", "response": {"sky": "blue"}}}]},
        ],
        "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]},
        "generationConfig": {"maxOutputTokens": 100},
        "tools": [{"functionDeclarations": [WEATHER, DELETE]}, {"googleSearch": {}, "codeExecution": None}],
    }
    snake = json.loads(json.dumps(camel))
    for old, new in {"systemInstruction": "system_instruction", "generationConfig": "generation_config"}.items():
        snake[new] = snake.pop(old)
    snake["generation_config"] = {"max_output_tokens": 100}
    snake["tools"] = [{"function_declarations": [WEATHER, DELETE]}, {"google_search": {}}]
    snake["contents"][2]["parts"] = [{"function_response": {"name": "get_weather", "response": {"sky": "blue"}}}]
    assert (
        asked(camel)
        == asked(snake)
        == Asked(
            MODEL,
            False,
            100,
            "Be brief.\nBe kind.",
            (
                {"role": "user", "content": "What is the weather?"},
                {"role": "model", "content": "One moment"},
                {"role": "user", "content": '{"sky":"blue"}', "said": ""},
            ),
            ("get_weather", "delete_all", "googleSearch"),
        )
    )


def test_one_object_may_stand_for_an_array() -> None:
    body = {
        "contents": {"parts": {"text": "Hi"}},
        "system_instruction": {"parts": {"text": "Be a cat."}},
        "tools": {"function_declarations": WEATHER},
    }
    assert asked(body) == Asked(
        MODEL, system="Be a cat.", messages=({"role": "user", "content": "Hi"},), tools=("get_weather",)
    )


def test_the_method_tells_whether_it_streams() -> None:
    assert asked(BODY, "streamGenerateContent").stream
    assert not asked(BODY).stream


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"systemInstruction": {}, "system_instruction": {}}, "`systemInstruction` is given twice"),
        ({"generationConfig": {}, "generation_config": {}}, "`generationConfig` is given twice"),
        (
            {"generationConfig": {"maxOutputTokens": 1, "max_output_tokens": 9}},
            "`generationConfig.maxOutputTokens` is given twice",
        ),
        (
            {"tools": [{"functionDeclarations": [], "function_declarations": [DELETE]}]},
            r"`tools\[\].functionDeclarations` is given twice",
        ),
        ({"generationConfig": {"maxOutputTokens": "100"}}, "must be a whole number from 0 on, and is a string"),
        ({"generationConfig": []}, "`generationConfig` must be an object, and is an array"),
        ({"contents": "Hi"}, "`contents` must be an array of objects, and is a string"),
        ({"contents": [{"parts": ["Hi"]}]}, r"`contents\[0\].parts\[0\]` must be an object, and is a string"),
        ({"contents": [{"parts": [{"text": 1}]}]}, r"`contents\[0\].parts\[0\].text` must be a string"),
        ({"systemInstruction": "Be brief."}, "`systemInstruction` must be an object with `parts`, and is a string"),
        ({"tools": [{"functionDeclarations": [{"name": 1}]}]}, "name` must be a string, and is a number"),
        ({"model": "models/gemini-2.5-pro"}, "which of them is asked is not known"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_by_place(body: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused, match=told) as refused:
        asked(body)
    assert (refused.value.reason, refused.value.status) == (Reason.UNREADABLE_BODY, 400)


def test_the_model_may_be_named_in_the_body_too() -> None:
    assert asked({**BODY, "model": f"models/{MODEL}"}).model == MODEL


def test_counting_reads_the_whole_request_where_it_is_given() -> None:
    assert asked({"generateContentRequest": {**BODY, "model": f"models/{MODEL}"}}, "countTokens") == asked(BODY)
    assert asked({"generate_content_request": BODY}, "countTokens") == asked(BODY)
    assert asked({"contents": BODY["contents"]}, "countTokens").messages == ({"role": "user", "content": "Hi"},)


def test_texts_to_embed_are_messages() -> None:
    one = {"model": f"models/{MODEL}", "content": {"parts": [{"text": "a"}]}}
    two = {"content": {"parts": [{"text": "b"}]}}
    assert [m["content"] for m in asked(one, "embedContent").messages] == ["a"]
    assert [m["content"] for m in asked({"requests": [one, two]}, "batchEmbedContents").messages] == ["a", "b"]
    with pytest.raises(Refused, match=r"`requests\[1\].model`"):
        asked({"requests": [one, {**two, "model": "models/other"}]}, "batchEmbedContents")


def test_what_is_under_its_caps_keeps_its_bytes() -> None:
    caps = Caps("c", ("gemini-*",), 1024, "Be brief.", ("delete_*",))
    body = {**BODY, "tools": [{"functionDeclarations": [WEATHER]}]}
    assert amended(body, caps) == (body, ())


@pytest.mark.parametrize(
    ("given", "sent", "said"),
    [
        ({"generationConfig": {"maxOutputTokens": 900}}, {"generationConfig": {"maxOutputTokens": 512}}, " 900 -> 512"),
        (
            {"generation_config": {"max_output_tokens": 900}},
            {"generation_config": {"max_output_tokens": 512}},
            " 900 -> 512",
        ),
        ({"generation_config": {"topP": 1}}, {"generation_config": {"topP": 1, "maxOutputTokens": 512}}, " set to 512"),
        ({}, {"generationConfig": {"maxOutputTokens": 512}}, " set to 512"),
    ],
)
def test_the_bound_is_lowered_or_set_in_the_spelling_that_is_there(
    given: dict[str, Any], sent: dict[str, Any], said: str
) -> None:
    got, told = amended(given, Caps(max_tokens=512))
    assert got == sent
    assert told[0].endswith(said)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {"systemInstruction": {"parts": [{"text": "Never lie."}]}}),
        (
            {"system_instruction": {"role": "user", "parts": {"text": "Be brief."}}},
            {"system_instruction": {"role": "user", "parts": [{"text": "Never lie."}, {"text": "Be brief."}]}},
        ),
        (
            {"systemInstruction": {"parts": [{"text": "Never lie. Be brief."}]}},
            {"systemInstruction": {"parts": [{"text": "Never lie. Be brief."}]}},
        ),
        (
            {"systemInstruction": {"parts": [{"text": "Not: Never lie."}]}},
            {"systemInstruction": {"parts": [{"text": "Never lie."}, {"text": "Not: Never lie."}]}},
        ),
    ],
)
def test_required_text_is_put_first_where_it_is_not_there(given: dict[str, Any], sent: dict[str, Any]) -> None:
    assert amended(given, Caps(system="Never lie."))[0] == sent


def test_forbidden_tools_are_taken_out_in_either_spelling() -> None:
    body = {
        "tools": [
            {"function_declarations": [WEATHER, DELETE], "google_search": {}},
            {"functionDeclarations": DELETE},
            {"codeExecution": {}},
        ]
    }
    sent, said = amended(body, Caps(forbid_tools=("delete_*", "googleSearch")))
    assert sent == {"tools": [{"function_declarations": [WEATHER]}, {"codeExecution": {}}]}
    assert said == ("tools removed: delete_all, googleSearch",)


def test_the_choice_goes_with_the_last_tool() -> None:
    body = {"tools": [{"functionDeclarations": [DELETE]}], "tool_config": {"functionCallingConfig": {"mode": "ANY"}}}
    assert amended(body, Caps(forbid_tools=("*",)))[0] == {}


@pytest.mark.parametrize("names", [["get_weather", "delete_all"], "delete_all"])
def test_a_choice_of_a_forbidden_function_is_refused(names: Any) -> None:
    body = {
        "tools": [{"functionDeclarations": [WEATHER, DELETE]}],
        "toolConfig": {"function_calling_config": {"mode": "ANY", "allowedFunctionNames": names}},
    }
    with pytest.raises(Refused, match="`allowedFunctionNames` names it") as refused:
        amended(body, Caps(forbid_tools=("delete_*",)))
    assert refused.value.reason is Reason.CAPPED


@pytest.mark.parametrize("caps", [Caps("c", system="Never lie."), Caps("c", forbid_tools=("x",))])
@pytest.mark.parametrize("member", ["cachedContent", "cached_content"])
def test_content_kept_at_the_provider_is_refused_where_caps_cannot_see_it(caps: Caps, member: str) -> None:
    with pytest.raises(Refused, match="cannot be seen") as refused:
        amended({member: "cachedContents/1"}, caps)
    assert refused.value.reason is Reason.CAPPED
    assert amended({member: "cachedContents/1"}, Caps(max_tokens=5))[1] == ("maxOutputTokens set to 5",)


def test_counting_and_embedding_have_nothing_to_cap() -> None:
    caps = Caps("c", (), 5, "Never lie.", ("*",))
    assert amended({"contents": BODY["contents"]}, caps, "countTokens")[1] == ()
    assert amended({"content": {"parts": [{"text": "a"}]}}, caps, "embedContent")[1] == ()


def test_thoughts_are_output_and_what_tools_put_into_the_prompt_is_input() -> None:
    body = generate_content(Scenario(), {}, MODEL)
    body["usageMetadata"] = {**GEMINI_USAGE, "toolUsePromptTokenCount": 100}
    _, found = whole(endpoint(), body)
    assert found.usage == Usage(MODEL, 145, 45, 20, 0, 33)


def test_sound_is_told_apart() -> None:
    body = generate_content(Scenario(), {}, MODEL)
    details = [{"modality": "TEXT", "tokenCount": 5}, {"modality": "AUDIO", "tokenCount": 20}]
    body["usageMetadata"] = {"promptTokenCount": 25, "candidatesTokenCount": 9, "promptTokensDetails": details}
    body["usageMetadata"]["candidatesTokensDetails"] = [{"modality": "AUDIO", "tokenCount": 9}]
    _, found = whole(endpoint(), body)
    assert found.usage == Usage(MODEL, 25, 9, heard_tokens=20, spoken_tokens=9)


def test_a_refused_call_becomes_a_text_and_others_stay() -> None:
    body = generate_content(Scenario(tools="get_weather+delete_all"), {}, MODEL)
    got, found = whole(endpoint(), body, "delete_all")
    assert got["candidates"][0]["content"]["parts"] == [
        {"functionCall": {"name": "get_weather", "args": ARGS}},
        {"text": SAID.format("delete_all")},
    ]
    assert found.proposed == (Proposal("get_weather", ARGS), Proposal("delete_all", ARGS, refused="tools/no"))


def test_calls_of_every_candidate_are_judged() -> None:
    body = generate_content(Scenario(tools="delete_all"), {}, MODEL)
    body["candidates"].append({**body["candidates"][0], "index": 1})
    got, _ = whole(endpoint(), body, "delete_all")
    assert b"functionCall" not in json.dumps(got).encode()


def test_a_stream_as_one_array_is_read_at_its_end() -> None:
    chunks = generate_chunks(Scenario(tools="get_weather+get_time"), {}, MODEL)
    answer = answering(endpoint("streamGenerateContent"), Refusing(), "application/json")
    data = json.dumps(chunks).encode()
    assert passed(answer, [data[:99], data[99:]]) == data
    assert answer.found().usage == Usage(MODEL, 45, 45, 20, 0, 33)
    assert [proposal.name for proposal in answer.found().proposed] == ["get_weather", "get_time"]


def test_a_refused_call_in_an_array_refuses_the_answer() -> None:
    chunks = generate_chunks(Scenario(tools="delete_all"), {}, MODEL)
    answer = answering(endpoint("streamGenerateContent"), Refusing("delete_all"), "application/json")
    assert passed(answer, [json.dumps(chunks).encode()]) == b""
    refusal = answer.refusal()
    assert refusal is not None
    assert refusal.rule == "tools/no"


def test_embeddings_are_metered_by_what_is_told_or_by_the_request() -> None:
    _, told = whole(endpoint("embedContent"), {"embedding": {}, "usageMetadata": {"promptTokenCount": 7}})
    assert told.usage == Usage("", 7)
    _, guessed = whole(endpoint("embedContent"), {"embedding": {"values": [0.5] * 100}})
    assert guessed.usage == Usage("asked-model", 1, estimated=True)
    _, counted = whole(endpoint("countTokens"), {"totalTokens": 31})
    assert counted.usage is None


def test_errors_have_the_shape_of_google_rpc_status() -> None:
    refusal = Refusal(Reason.RATE_LIMITED, 429, "too many calls", retry_after=1.5, advice="wait")
    assert Gemini().error(refusal, "call-1") == {
        "error": {
            "code": 429,
            "message": "too many calls; wait",
            "status": "RESOURCE_EXHAUSTED",
            "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.500s"}],
        }
    }
    assert Gemini().error(Refusal(Reason.CAPPED, 403, "no"), "call-1") == {
        "error": {"code": 403, "message": "no", "status": "PERMISSION_DENIED"}
    }
