"""Scenes with a model: what it proposes, and what it costs."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.demo.client import Client, Heard
from gateway.demo.scene import Stage, Surprise, expect
from gateway.demo.table import ALLOWED, PARTLY, REFUSED, Seen

_MODEL = "demo-large"
_OFFERED = [
    {"type": "function", "function": {"name": "search", "parameters": {"type": "object", "required": ["query"]}}},
    {"type": "function", "function": {"name": "delete_all", "parameters": {"type": "object"}}},
]


async def proposed(stage: Stage) -> None:
    """What a model proposes is judged before the agent sees it. This model wants to search and to delete everything.
    The deletion is taken out and a text says so in its place, in a stream too; the rest stays."""
    for streamed in (False, True):
        seen, calls = await _ask(stage.client, "tidy up the notes about tides", streamed, offer=True)
        await expect(stage, (seen, PARTLY))
        if calls != ["search"]:
            raise Surprise(f"the agent should see a call of search alone, not of: {', '.join(calls) or 'nothing'}")


async def too_dear(stage: Stage) -> None:
    """A run that gets too dear is stopped. Tokens are counted in the answers and priced; a run of this agent may spend
    15 cents. Other runs go on."""
    for _ in range(5):
        seen, _calls = await _ask(stage.client, "and what else?", run="essay")
        if seen.problem:
            break
        await expect(stage, (seen, ALLOWED))
    else:
        raise Surprise("five answers of 6 cents should have been too dear")
    await expect(stage, (seen, REFUSED))
    seen, _calls = await _ask(stage.client, "and what else?", run="another")
    await expect(stage, (seen, ALLOWED))


async def _ask(
    client: Client, prompt: str, streamed: bool = False, run: str = "", offer: bool = False
) -> tuple[Seen, list[str]]:
    """One chat completion; how it came out, and the names of the calls that the agent sees."""
    body: dict[str, Any] = {"model": _MODEL, "messages": [{"role": "user", "content": prompt}], "stream": streamed}
    if offer:
        body |= {"tools": _OFFERED, "max_completion_tokens": 100_000}
    fields = {"x-run-id": run} if run else {}
    heard = await client.exchange("assistant", "POST", "/llm/v1/chat/completions", orjson.dumps(body), fields)
    texts, calls = [], []
    for choice in _choices(heard):
        message = choice.get("message") or choice["delta"]
        texts.append(message.get("content") or "")
        calls += [call["function"]["name"] for call in message.get("tool_calls", ()) if "id" in call]
    wants = f'"{"".join(texts)}"' + (f" and a call of {', '.join(calls)}" if calls else "")
    how = f", in pieces that arrived from {heard.arrivals[0]} to {heard.arrivals[-1]} ms" if streamed and calls else ""
    note = f"the agent sees: {wants}{how}" if calls else ""
    label = f'llm: "{prompt}"' + (f" (run {run})" if run else "") + (" (streamed)" if streamed else "")
    return heard.seen("assistant", label, note=note), calls


def _choices(heard: Heard) -> list[dict[str, Any]]:
    """The choices of a completion, or of all chunks of a stream."""
    if heard.media == "text/event-stream":
        data = [line[6:] for line in heard.content.splitlines() if line.startswith(b"data: {")]
    else:
        data = [heard.content] if heard.media == "application/json" else []
    return [choice for one in data for choice in orjson.loads(one)["choices"]]
