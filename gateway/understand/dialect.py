"""What LLM APIs have in common, and what each must tell of itself. ``llm.py`` does the rest.

A dialect is one provider's API (OpenAI, Anthropic, Gemini): it finds the endpoints that ask a model, reads requests,
answers and the events of streams, and writes what the gateway has to say in the provider's own shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from gateway.model import Caps, Findings, Proposal, Refusal
from gateway.understand.sse import Event


class Asked(Struct, frozen=True):
    """A request to a model, as rules see it. ``messages`` are ``{"role": str, "content": str}``, texts of a message
    joined by line feeds, tool results included; ``tools`` the names of the tools that are defined."""

    model: str = ""
    stream: bool = False
    max_tokens: int = 0
    """0 where the request sets no bound."""
    system: str = ""
    messages: tuple[Mapping[str, str], ...] = ()
    tools: tuple[str, ...] = ()


MOST_PROPOSALS = 512
"""Tool calls that one answer may propose where they are judged: work grows with their square."""
MOST_ARGUMENTS = 8 << 20
"""Bytes of arguments, of all calls of one streamed answer, that are put together."""


class Stream(Protocol):
    """Reads the events of one streamed answer, in order. Keeps what it has read; never raises for what came."""

    overfull: bool
    """There was more than ``MOST_PROPOSALS`` or ``MOST_ARGUMENTS``, and what came beyond was not read."""

    def read(self, event: Event) -> bool:
        """Take in one event. True while it belongs to a proposal that is not complete: it must be held back with
        those before it if proposals are judged. False when nothing is pending (any more)."""

    def complete(self) -> tuple[Proposal, ...]:
        """The proposals that have become complete since this was last asked."""

    def hidden(self, event: Event) -> bool:
        """Whether the event, which was read just now, is not for the agent: it is there only because the gateway asked
        for it (OpenAI's usage chunk), or adds to a call that has ended, after it was judged."""

    def without(self, held: Sequence[Event], refused: Sequence[tuple[Proposal, str]]) -> bytes:
        """The held events as bytes, with each refused proposal replaced by its text; what later events say of
        refused ones (a stop reason, a repetition of the whole output) is corrected by ``correct``."""

    def correct(self, event: Event) -> bytes:
        """The event for the agent after proposals were refused: its bytes, or corrected ones."""

    def failed(self, refusal: Refusal) -> bytes:
        """Events that end the stream with an error in the provider's shape."""

    def found(self, *, complete: bool) -> Findings:
        """What is known. Not ``complete``: the stream was cut; usage that was not told is estimated from the bytes."""

    def result(self, events: Sequence[Event]) -> dict[str, Any] | None:
        """The answer that all these events make up, in the shape of one that is not streamed: what rules see as
        ``result``. None where they make up none. Asked only where a rule or a price reads it."""


class Endpoint(Protocol):
    """One way of asking a model: OpenAI's chat completions, Anthropic's messages."""

    operation: str
    """``METHOD /template`` by which policies name it, whatever base path stands before it."""
    metered: Literal["nothing", "input", "both"]
    """Which tokens cost: of input and output, of the input alone (embeddings), none (counting). They are estimated
    where an answer does not tell its usage (cut off, unread)."""

    def asked(self, body: Mapping[str, Any], params: Mapping[str, str]) -> Asked:
        """Read a request. ``params`` are values from the path (Gemini's model).

        Raises:
            Refused: 400, a field that rules read is not of the type that the API documents.
        """

    def amend(self, body: dict[str, Any], raw: bytes, asked: Asked, caps: Caps) -> tuple[bytes, tuple[str, ...]]:
        """The body to send under the caps, and what was changed, in words; ``raw`` itself where nothing was.

        Also what the gateway needs for itself (usage in a stream): alone it takes no words, and is put into ``body``
        too. That ``asked.model`` is one of ``caps.models`` has
        been seen to. Where several caps apply, they are applied one after the other, each to what the last one made.

        Raises:
            Refused: 403 CAPPED, the request asks for what a change could not bring under the caps.
        """

    def answer(self, body: Mapping[str, Any]) -> Findings:
        """Read a whole answer: usage, proposals. Never raises: what is not as documented is left out."""

    def without(self, body: Mapping[str, Any], refused: Sequence[tuple[Proposal, str]]) -> dict[str, Any]:
        """The answer with each refused proposal replaced by its text."""

    def stream(self, asked: Asked, raw: bytes, sent: bytes) -> Stream:
        """Read a streamed answer. ``raw`` is the body that the agent sent, ``sent`` the one that was sent on;
        ``asked`` is what ``raw`` was read as, before any cap."""


class Dialect(Protocol):
    """One provider's API."""

    provider: str
    """As in genai-prices: openai, anthropic, google."""

    def endpoint(self, method: str, path: str) -> tuple[Endpoint, Mapping[str, str]] | None:
        """The endpoint that a request is for, and values from its path; None where no model is asked.

        ``path`` is the whole path that the tool sees (base path included), percent-decoded and without a slash at its
        end; endpoints are known by its end, since providers and proxies differ in what stands before (``/v1``,
        ``/openai/deployments/x``), and whatever the case of their letters, since some servers do not care.
        """

    def error(self, refusal: Refusal, ident: str) -> dict[str, Any]:
        """Members that the provider's SDKs look for in an error's body, beside those of problem+json."""


__all__ = ["Asked", "Caps", "Dialect", "Endpoint", "Stream"]
