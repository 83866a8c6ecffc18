"""What programs do with the SDKs of LLM providers: each a function of a base URL and header fields, giving plain data.

A program does not know whether it talks to the provider or to the gateway, and must see the same.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import anthropic
import openai
from google import genai
from google.genai import types

Fields = dict[str, str]
Program = Callable[[str, Fields], Any]

GPT, CLAUDE, GEMINI = "gpt-5", "claude-sonnet-4-6", "gemini-2.5-flash"
ASK: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
PARAMETERS: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTIONS: list[Any] = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]
TOOLS: list[Any] = [{"name": "get_weather", "input_schema": PARAMETERS}]


def openai_client(base: str, fields: Fields) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{base}/v1", api_key="key", max_retries=0, default_headers=fields, timeout=20)


def openai_async(base: str, fields: Fields) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="key", max_retries=0, default_headers=fields, timeout=20)


def anthropic_client(base: str, fields: Fields) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=base, api_key="key", max_retries=0, default_headers=fields, timeout=20)


def anthropic_async(base: str, fields: Fields) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=base, api_key="key", max_retries=0, default_headers=fields, timeout=20)


def gemini_client(base: str, fields: Fields) -> genai.Client:
    options = types.HttpOptions(base_url=base, headers=fields, timeout=20_000, api_version="v1beta")
    return genai.Client(api_key="key", http_options=options)


def chat(base: str, fields: Fields) -> Any:
    with openai_client(base, fields) as client:
        return client.chat.completions.create(model=GPT, messages=ASK, tools=FUNCTIONS).model_dump()


def chat_stream(base: str, fields: Fields) -> Any:
    """Raw chunks, no usage asked for: the client must see none."""
    with openai_client(base, fields) as client:
        return [chunk.model_dump() for chunk in client.chat.completions.create(model=GPT, messages=ASK, stream=True)]


def chat_stream_usage(base: str, fields: Fields) -> Any:
    """The SDK's own accumulation, with usage."""
    options: Any = {"include_usage": True}
    with (
        openai_client(base, fields) as client,
        client.chat.completions.stream(model=GPT, messages=ASK, tools=FUNCTIONS, stream_options=options) as stream,
    ):
        return [event.type for event in stream], stream.get_final_completion().model_dump()


def chat_async(base: str, fields: Fields) -> Any:
    async def run() -> Any:
        async with openai_async(base, fields) as client:
            whole = await client.chat.completions.create(model=GPT, messages=ASK)
            stream = await client.chat.completions.create(model=GPT, messages=ASK, stream=True)
            return whole.model_dump(), [chunk.model_dump() async for chunk in stream]

    return asyncio.run(run())


def responses(base: str, fields: Fields) -> Any:
    with openai_client(base, fields) as client:
        return client.responses.create(model=GPT, input="Hi").model_dump()


def responses_stream(base: str, fields: Fields) -> Any:
    with openai_client(base, fields) as client, client.responses.stream(model=GPT, input="Hi") as stream:
        return [event.model_dump() for event in stream], stream.get_final_response().model_dump()


def embeddings(base: str, fields: Fields) -> Any:
    with openai_client(base, fields) as client:
        return client.embeddings.create(model="text-embedding-3-small", input=["a", "b"]).model_dump()


def models(base: str, fields: Fields) -> Any:
    with openai_client(base, fields) as client:
        return [model.model_dump() for model in client.models.list()]


def upload(base: str, fields: Fields) -> Any:
    """A form with a file in it: nothing that asks a model."""
    with openai_client(base, fields) as client:
        return client.files.create(file=("a.jsonl", b'{"a": 1}\n'), purpose="batch").model_dump()


def messages(base: str, fields: Fields) -> Any:
    with anthropic_client(base, fields) as client:
        return client.messages.create(model=CLAUDE, max_tokens=99, messages=ASK, tools=TOOLS).model_dump()


def messages_stream(base: str, fields: Fields) -> Any:
    with (
        anthropic_client(base, fields) as client,
        client.messages.stream(model=CLAUDE, max_tokens=99, messages=ASK, tools=TOOLS) as stream,
    ):
        return [event.type for event in stream], stream.get_final_message().model_dump()


def messages_async(base: str, fields: Fields) -> Any:
    async def run() -> Any:
        async with anthropic_async(base, fields) as client:
            whole = await client.messages.create(model=CLAUDE, max_tokens=99, messages=ASK)
            async with client.messages.stream(model=CLAUDE, max_tokens=99, messages=ASK) as stream:
                texts = [text async for text in stream.text_stream]
            return whole.model_dump(), texts

    return asyncio.run(run())


def messages_beta(base: str, fields: Fields) -> Any:
    """The beta surface asks the same endpoint with a query."""
    with anthropic_client(base, fields) as client:
        return client.beta.messages.create(
            model=CLAUDE, max_tokens=99, messages=ASK, betas=["context-management-2025-06-27"]
        ).model_dump()


def count_tokens(base: str, fields: Fields) -> Any:
    with anthropic_client(base, fields) as client:
        return client.messages.count_tokens(model=CLAUDE, messages=ASK).model_dump()


def content(base: str, fields: Fields) -> Any:
    config = types.GenerateContentConfig(system_instruction="Be brief.", max_output_tokens=99)
    with gemini_client(base, fields) as client:
        return _plain(client.models.generate_content(model=GEMINI, contents="Hi", config=config))


def content_stream(base: str, fields: Fields) -> Any:
    with gemini_client(base, fields) as client:
        return [_plain(chunk) for chunk in client.models.generate_content_stream(model=GEMINI, contents="Hi")]


def content_async(base: str, fields: Fields) -> Any:
    async def run() -> Any:
        async with gemini_client(base, fields).aio as client:
            whole = await client.models.generate_content(model=GEMINI, contents="Hi")
            stream = await client.models.generate_content_stream(model=GEMINI, contents="Hi")
            return _plain(whole), [_plain(chunk) async for chunk in stream]

    return asyncio.run(run())


def content_counted(base: str, fields: Fields) -> Any:
    with gemini_client(base, fields) as client:
        return client.models.count_tokens(model=GEMINI, contents="Hi").total_tokens


def content_embedded(base: str, fields: Fields) -> Any:
    with gemini_client(base, fields) as client:
        embedded = client.models.embed_content(model="gemini-embedding-001", contents=["a", "b"]).embeddings
        return [each.values for each in embedded or []]


def _plain(answer: types.GenerateContentResponse) -> Any:
    """An answer without the head of the HTTP answer, in which a gateway may add fields."""
    return json.loads(answer.model_dump_json(exclude={"sdk_http_response"}))


PROGRAMS: dict[str, tuple[Program, ...]] = {
    "openai": (
        chat, chat_stream, chat_stream_usage, chat_async, responses, responses_stream, embeddings, models, upload,
    ),
    "anthropic": (messages, messages_stream, messages_async, messages_beta, count_tokens),
    "gemini": (content, content_stream, content_async, content_counted, content_embedded),
}  # fmt: skip
"""By the protocol that they speak, which is also the name of the tool."""
