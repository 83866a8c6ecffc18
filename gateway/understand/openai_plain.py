"""OpenAI's completions of old (``POST /completions``) and embeddings (``POST /embeddings``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from gateway.model import Caps, Findings, Proposal
from gateway.understand.dialect import Asked, Stream
from gateway.understand.members import asked_text, capped, text, wrong
from gateway.understand.openai_caps import check_models
from gateway.understand.openai_chat import Chat
from gateway.understand.openai_chat_stream import ChatStream
from gateway.understand.openai_shapes import usage_of


def _texts(body: Mapping[str, Any], name: str) -> list[str]:
    """The texts of a member that is a text, an array of texts, or tokens by their numbers (of which none is read)."""
    value = body.get(name)
    if value is None or isinstance(value, str):
        return [value] if value else []
    if not isinstance(value, list):
        raise wrong(name, "a string or an array", value)
    return [each for each in value if isinstance(each, str)]


class Completions(Chat):
    """Completions: a prompt is continued. There are no tools and no system prompt."""

    operation = "POST /completions"
    bounds: ClassVar[Sequence[str]] = ("max_tokens",)

    def _messages(self, body: Mapping[str, Any]) -> tuple[Mapping[str, str], ...]:
        return tuple([{"role": "user", "content": each} for each in _texts(body, "prompt")])

    def _put_first(self, amended: dict[str, Any], asked: Asked, caps: Caps) -> bool:  # noqa: ARG002
        prompts, prompt = _texts(amended, "prompt"), amended.get("prompt")
        if isinstance(prompt, list) and len(prompts) != len(prompt):
            raise capped(caps, "no text can be put before a prompt of token numbers", "send the prompt as text")
        if prompts and all(each.startswith(caps.system) for each in prompts):
            return False
        first = [f"{caps.system}\n\n{each}" for each in prompts] or [caps.system]
        amended["prompt"] = first if isinstance(prompt, list) else first[0]
        return True


class Embeddings:
    """Embeddings: texts are read and nothing is written, so that of the caps only those on models apply."""

    operation = "POST /embeddings"
    metered: Literal["nothing", "input", "both"] = "input"

    def asked(self, body: Mapping[str, Any], params: Mapping[str, str]) -> Asked:
        """Read a request; see ``dialect.Endpoint``. The texts to embed are messages of the user."""
        messages = tuple([{"role": "user", "content": each} for each in _texts(body, "input")])
        return Asked(params.get("model") or asked_text(body, "model"), messages=messages)

    def amend(
        self,
        body: dict[str, Any],
        raw: bytes,
        asked: Asked,  # noqa: ARG002
        caps: Caps,
    ) -> tuple[bytes, tuple[str, ...]]:
        """Nothing is changed."""
        check_models(body, caps)
        return raw, ()

    def answer(self, body: Mapping[str, Any]) -> Findings:
        """The usage."""
        return Findings(is_error=bool(body.get("error")), usage=usage_of(body.get("usage"), text(body.get("model"))))

    def without(
        self,
        body: Mapping[str, Any],
        refused: Sequence[tuple[Proposal, str]],  # noqa: ARG002
    ) -> dict[str, Any]:
        """The answer: it proposes nothing."""
        return dict(body)

    def stream(self, asked: Asked, raw: bytes, sent: bytes) -> Stream:  # noqa: ARG002
        """Embeddings are not streamed: should a server do so, as chunks of a chat."""
        return ChatStream(asked.model, sent, hides=False)
