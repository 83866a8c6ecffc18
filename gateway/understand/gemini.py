"""Google's Gemini API, at generativelanguage.googleapis.com and at Vertex AI, and its way of telling errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from gateway.model import NOTHING_FOUND, Caps, Findings, Proposal, Refusal
from gateway.understand import gemini_answer, gemini_request
from gateway.understand.dialect import Asked, Endpoint
from gateway.understand.gemini_answer import ContentStream
from gateway.understand.members import asked_object


class GenerateContent:
    """``:generateContent`` and ``:streamGenerateContent``: the model answers."""

    metered: Literal["nothing", "input", "both"] = "both"

    def __init__(self, method: str, *, stream: bool) -> None:
        self.operation = f"POST /models/{{model}}:{method}"
        self._stream = stream

    def asked(self, body: Mapping[str, Any], params: Mapping[str, str]) -> Asked:
        """Read a request. Refused (400) where a member is not of its documented type, or given in two spellings."""
        gemini_request.check_model(body, params["model"])
        return gemini_request.read(body, params["model"], stream=self._stream)

    def amend(self, body: dict[str, Any], raw: bytes, asked: Asked, caps: Caps) -> tuple[bytes, tuple[str, ...]]:  # noqa: ARG002
        """The body under the caps.

        Raises:
            Refused: 403, ``cachedContent`` hides what the caps are about, or ``allowedFunctionNames`` names a function
                that they forbid.
        """
        return gemini_request.amend(body, raw, caps)

    def answer(self, body: Mapping[str, Any]) -> Findings:
        """Usage and proposals (``functionCall`` parts)."""
        return gemini_answer.read(body)

    def without(self, body: Mapping[str, Any], refused: Sequence[tuple[Proposal, str]]) -> dict[str, Any]:
        """The answer with a text part in the place of each refused proposal."""
        return gemini_answer.without(body, refused)

    def stream(self, asked: Asked, raw: bytes, sent: bytes) -> ContentStream:  # noqa: ARG002 - nothing is asked for ourselves
        """A reader of the chunks of a stream."""
        return ContentStream(asked.model, len(sent))


class CountTokens(GenerateContent):
    """``:countTokens``: no model answers, and nothing is used. The whole request may be given one level down."""

    metered: Literal["nothing", "input", "both"] = "nothing"

    def asked(self, body: Mapping[str, Any], params: Mapping[str, str]) -> Asked:
        """Read a request; see ``GenerateContent.asked``."""
        inner = gemini_request.spelled(body, "generateContentRequest")
        if body.get(inner) is None:
            return super().asked(body, params)
        return super().asked(asked_object(body, inner), params)

    def amend(self, body: dict[str, Any], raw: bytes, asked: Asked, caps: Caps) -> tuple[bytes, tuple[str, ...]]:  # noqa: ARG002
        """The body as it came: there is nothing to cap."""
        return raw, ()

    def answer(self, body: Mapping[str, Any]) -> Findings:  # noqa: ARG002
        """Nothing."""
        return NOTHING_FOUND


class EmbedContent(CountTokens):
    """``:embedContent`` and ``:batchEmbedContents``: numbers for texts; there is no output to cap."""

    metered: Literal["nothing", "input", "both"] = "input"

    def asked(self, body: Mapping[str, Any], params: Mapping[str, str]) -> Asked:
        """Read a request; each text to embed is a message."""
        model = params["model"]
        bodies = gemini_request.many(body, "requests") if "requests" in body else [dict(body)]
        for at, one in enumerate(bodies):
            gemini_request.check_model(one, model, f"requests[{at}]." if "requests" in body else "")
        return gemini_request.read_embedded(bodies, model)

    def answer(self, body: Mapping[str, Any]) -> Findings:
        """Usage, where the model tells it."""
        return gemini_answer.read(body)


_ENDPOINTS: Mapping[str, Endpoint] = {
    endpoint.operation.rpartition(":")[2].lower(): endpoint
    for endpoint in (
        GenerateContent("generateContent", stream=False),
        GenerateContent("streamGenerateContent", stream=True),
        CountTokens("countTokens", stream=False),
        EmbedContent("embedContent", stream=False),
        EmbedContent("batchEmbedContents", stream=False),
    )
}
_PATH = re.compile(rf"/?([^/]+/[^/]+):({'|'.join(_ENDPOINTS)})", re.IGNORECASE)


class Gemini:
    """The dialect of Gemini (ai.google.dev/api), by the ends of paths.

    ``/v1beta/models/M:generateContent``, ``/v1beta/tunedModels/T:generateContent``, and Vertex's
    ``/v1/projects/P/locations/L/publishers/google/models/M:generateContent`` and ``.../endpoints/E:generateContent``.
    """

    provider = "google"

    def endpoint(self, method: str, path: str) -> tuple[Endpoint, Mapping[str, str]] | None:  # noqa: ARG002
        """The endpoint that a request is for, and ``model`` from its path: ``gemini-2.5-pro``, ``tunedModels/T``.

        Whatever the method: Google's servers let a field (``X-HTTP-Method-Override``) say another one.
        """
        found = _PATH.fullmatch("/".join(path.rstrip("/").rsplit("/", 2)[-2:]))
        if found is None:
            return None
        return _ENDPOINTS[found[2].lower()], {"model": gemini_request.bare(found[1])}

    def error(self, refusal: Refusal, ident: str) -> dict[str, Any]:  # noqa: ARG002 - ids go into the problem
        """The ``error`` member of Google's errors, as the SDKs and other clients read it.

        The SDK for Python prefers members beside it: its exceptions take ``message`` and ``status`` from the problem.
        """
        return {"error": gemini_answer.error_of(refusal)}
