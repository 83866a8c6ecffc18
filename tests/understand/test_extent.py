"""How much a request to a model can read and write at most."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.streets import dialect_of
from gateway.understand.extent import OUTPUT, PICTURE, PICTURE_MINI, SLACK, extent_of

CHAT, RESPONSES, COMPLETIONS = "/v1/chat/completions", "/v1/responses", "/v1/completions"
CLAUDE, GEMINI = "/v1/messages", "/v1beta/models/gemini-2.5-pro:generateContent"
PROTOCOL = {CHAT: "openai", RESPONSES: "openai", COMPLETIONS: "openai", CLAUDE: "anthropic", GEMINI: "gemini"}


def extent(path: str, /, **body: Any):
    found = dialect_of(PROTOCOL[path]).endpoint("POST", path)
    assert found is not None
    endpoint, params = found
    if path != GEMINI:
        body = {"model": "m", **body}
    sent = json.dumps(body).encode()
    return extent_of(body, sent, endpoint.asked(body, params), endpoint.metered), len(sent)


def user(*content: Any) -> list[Any]:
    return [{"role": "user", "content": list(content)}]


SAYS = [{"role": "user", "content": "Where is the file with the image?"}]


@pytest.mark.parametrize(
    ("path", "body", "output"),
    [
        (CHAT, {"messages": SAYS, "max_completion_tokens": 50}, 50),
        (CHAT, {"messages": SAYS, "max_tokens": 50, "n": 3}, 150),
        (CHAT, {"messages": SAYS, "max_tokens": 50, "n": "3"}, 150),
        (CHAT, {"messages": SAYS, "max_tokens": 50, "n": 1e300}, 50 << 53),
        (CHAT, {"messages": SAYS}, OUTPUT),
        (RESPONSES, {"input": "hi", "max_output_tokens": 50}, 50),
        (COMPLETIONS, {"prompt": "a", "max_tokens": 50, "best_of": 2}, 100),
        (COMPLETIONS, {"prompt": ["a", "b", "c"], "max_tokens": 50, "n": 2}, 300),
        (COMPLETIONS, {"prompt": [[1, 2], [3]], "max_tokens": 50}, 100),
        (COMPLETIONS, {"prompt": [1, 2, 3], "max_tokens": 50}, 50),
        (CHAT, {"messages": SAYS, "max_tokens": 50, "prediction": {"type": "content", "content": "x" * 969}}, 1050),
        (CLAUDE, {"messages": SAYS, "max_tokens": 50}, 50),
        (GEMINI, {"contents": [], "generationConfig": {"maxOutputTokens": 50, "candidateCount": 2}}, 100),
        (GEMINI, {"contents": [], "generation_config": {"max_output_tokens": 50, "candidate_count": 2}}, 100),
    ],
)
def test_the_answer_is_bounded_by_what_the_request_says_times_the_answers(path, body, output):
    found, size = extent(path, **body)
    assert (found.output, found.input, found.beyond) == (output, size + SLACK, False)


TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"messages": user({"type": "file", "file": {"file_id": "f1"}})}),
        (CHAT, {"messages": SAYS, "web_search_options": {}}),
        (RESPONSES, {"input": "hi", "previous_response_id": "resp_1"}),
        (RESPONSES, {"input": "hi", "conversation": "conv_1"}),
        (RESPONSES, {"input": "hi", "prompt": {"id": "pmpt_1"}}),
        (RESPONSES, {"input": "hi", "tools": [{"type": "web_search"}]}),
        (RESPONSES, {"input": "hi", "tools": [{"type": "mcp", "server_label": "x"}]}),
        (RESPONSES, {"input": user({"type": "input_file", "file_url": "http://f"})}),
        (RESPONSES, {"input": [{"type": "item_reference", "id": "i"}]}),
        (CLAUDE, {"messages": user({"type": "document", "source": {"type": "url", "url": "http://d"}})}),
        (CLAUDE, {"messages": user({"type": "document", "source": {"type": "base64", "data": "x"}})}),
        (CLAUDE, {"messages": SAYS, "tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        (CLAUDE, {"messages": SAYS, "mcp_servers": [{"name": "s"}]}),
        (CLAUDE, {"messages": user({"type": "container_upload", "file_id": "f"})}),
        (GEMINI, {"contents": [{"parts": [{"fileData": {"fileUri": "f"}}]}]}),
        (GEMINI, {"contents": [{"parts": [{"file_data": {"file_uri": "f"}}]}]}),
        (GEMINI, {"contents": [{"parts": [{"inlineData": {"mimeType": "video/mp4", "data": "x"}}]}]}),
        (GEMINI, {"contents": [], "cachedContent": "cachedContents/1"}),
        (GEMINI, {"contents": [], "tools": [{"googleSearch": {}}]}),
    ],
)
def test_what_lies_elsewhere_is_not_bounded_by_bytes(path, body):
    assert extent(path, **body)[0].beyond


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"messages": SAYS, "tools": [TOOL]}),
        (RESPONSES, {"input": SAYS, "tools": [{"type": "function", "name": "f"}]}),
        (CLAUDE, {"messages": SAYS, "tools": [{"name": "f", "input_schema": {}}]}),
        (CLAUDE, {"messages": user({"type": "document", "source": {"type": "text", "data": "x"}})}),
        (GEMINI, {"contents": [], "tools": [{"functionDeclarations": [{"name": "f"}]}]}),
        (GEMINI, {"contents": [{"parts": [{"inlineData": {"mimeType": "audio/wav", "data": "x"}}]}]}),
    ],
)
def test_tools_of_the_agents_own_and_what_stands_in_the_request_are_bounded_by_bytes(path, body):
    assert not extent(path, **body)[0].beyond


@pytest.mark.parametrize(
    ("path", "body", "sound"),
    [
        (CHAT, {"messages": SAYS}, False),
        (CHAT, {"messages": SAYS, "modalities": ["text"]}, False),
        (CHAT, {"messages": SAYS, "modalities": ["text", "audio"]}, True),
        (CHAT, {"messages": SAYS, "audio": {"voice": "alloy"}}, True),
        (CHAT, {"messages": user({"type": "input_audio", "input_audio": {"data": "x"}})}, True),
        (CHAT, {"messages": SAYS, "web_search_options": {}}, False),
        (RESPONSES, {"input": "hi", "previous_response_id": "resp_1"}, True),
        (GEMINI, {"contents": [{"parts": [{"inlineData": {"mimeType": "audio/wav", "data": "x"}}]}]}, True),
        (GEMINI, {"contents": [{"parts": [{"fileData": {"fileUri": "f"}}]}]}, True),
        (GEMINI, {"contents": [], "generationConfig": {"responseModalities": ["AUDIO"]}}, True),
    ],
)
def test_sound_is_noticed(path, body, sound):
    assert extent(path, **body)[0].sound is sound


def test_pictures_count_by_what_a_provider_makes_of_one_however_few_bytes_name_it():
    picture = {"type": "image_url", "image_url": {"url": "http://p"}}
    found, size = extent(CHAT, messages=user(picture, picture))
    assert found.input == size + SLACK + 2 * PICTURE
    found, size = extent(CHAT, model="gpt-4o-mini", messages=user(picture))
    assert found.input == size + SLACK + PICTURE_MINI
    found, size = extent(GEMINI, contents=[{"parts": [{"inline_data": {"mime_type": "image/png", "data": "x"}}]}])
    assert found.input == size + SLACK + PICTURE


def test_words_hidden_by_escapes_are_found():
    body = {"model": "m", "messages": user({"type": "file", "file": {"file_id": "f1"}})}
    sent = json.dumps(body).replace("file", r"\u0066ile").encode()
    endpoint, params = dialect_of("openai").endpoint("POST", CHAT)
    assert extent_of(body, sent, endpoint.asked(body, params), endpoint.metered).beyond


def test_all_models_that_may_answer_are_named():
    assert extent(CHAT, messages=SAYS, models=["a", "b"])[0].models == ("a", "b")
    assert extent(CLAUDE, messages=SAYS, max_tokens=1, fallbacks=[{"model": "c"}])[0].models == ("c",)


def test_models_that_stand_in_and_those_that_advise_have_bounds_of_their_own():
    fallbacks = [{"model": "c", "max_tokens": 700}]
    advisor = {"type": "advisor", "name": "advisor", "model": "d", "max_tokens": 30}
    found, _ = extent(CLAUDE, messages=SAYS, max_tokens=100, fallbacks=fallbacks, tools=[advisor])
    assert (found.output, found.models) == (730, ("c", "d"))


def test_a_request_that_names_endless_models_has_no_price():
    found, _ = extent(CHAT, messages=SAYS, models=[f"m{number}" for number in range(1000)])
    assert len(found.models) < 20
    assert found.models[-1] == ""


def test_what_costs_nothing_has_no_extent():
    endpoint, params = dialect_of("anthropic").endpoint("POST", CLAUDE + "/count_tokens")
    body = {"model": "m", "messages": SAYS}
    found = extent_of(body, b"x" * 100, endpoint.asked(body, params), endpoint.metered)
    assert (found.input, found.output) == (0, 0)
