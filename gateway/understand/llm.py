"""Requests to an LLM API: which model is asked for what, held to the caps that apply. See ``dialect.py``.

What asks no model (``GET /models``, files, batches) is plain HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import orjson
from msgspec import structs

from gateway.errors import Refused
from gateway.model import Agent, Answered, Call, Caps, Changed, Extent, Reason, Refusal, Request, Route, Run, Tool
from gateway.policy.fingerprints import canonical
from gateway.policy.globs import glob_regex
from gateway.understand import http as plain_http
from gateway.understand import strict_json
from gateway.understand.dialect import Asked, Dialect, Endpoint
from gateway.understand.digests import Digested
from gateway.understand.edits import EDITED, inexact
from gateway.understand.extent import extent_of
from gateway.understand.http import HttpReader
from gateway.understand.jsonrpc import lookalike
from gateway.understand.llm_answers import answer_of
from gateway.understand.llm_draft import Draft
from gateway.understand.llm_exchange import Exchange
from gateway.understand.masking import impossible, masked_call
from gateway.understand.members import capped, dump, load
from gateway.understand.pulses import LlmBeats
from gateway.understand.reader import Answer, Judge, Phrased, Pulse
from gateway.understand.templates import ambiguous
from gateway.understand.tool_outputs import redacted
from gateway.understand.why import of_metadata

USAGE = "the usage of the stream is asked for"
"""What is said of a request to which the gateway added only that."""
_OBJECT = re.compile(rb"[ \t\r\n]*\{")
_MEMBERS = frozenset(
    """model models fallbacks stream n max_tokens max_completion_tokens max_output_tokens messages system instructions
    input prompt tools functions tool_choice function_call contents generationConfig systemInstruction""".split()  # noqa: SIM905
)
"""Members by which requests are judged. Decoders that ignore case (Go's) take ``Model`` for ``model``."""
_ABSENT = object()
_NO_CAPS = (Caps(),)
_READING = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
"""Methods that ask no model, wherever they are sent."""
_MOST_KNOWN, _LONGEST_KNOWN = 1024, 512
"""Paths that are remembered, and how long they may be: agents choose them."""
_MOST_DECODED = 4
_Found = tuple[Endpoint, Mapping[str, str]]


class ModelCall(Call, frozen=True, kw_only=True):
    """A call that asks a model. ``asked`` is what the agent's own body (``raw``) was read as, before any cap."""

    endpoint: Endpoint
    asked: Asked
    raw: bytes


class LlmReader:
    """Reads the traffic of one tool that speaks the API of an LLM provider.

    ``http`` reads what asks no model. ``caps`` gives what an agent's requests to a tool's operation are held to, in the
    order in which it is applied. ``reads_messages``: some rule reads ``llm.messages``. ``bound``, where budgets may
    count calls of the tool, gives the tokens to which an answer without a bound is held; 0 where none counts it.
    """

    def __init__(
        self,
        tool: Tool,
        dialect: Dialect,
        *,
        http: HttpReader,
        caps: Callable[[Agent, str, str], Sequence[Caps]],
        reads_messages: bool,
        bound: Callable[[Agent, str, str], int] | None = None,
    ) -> None:
        self.tool = tool
        self._dialect, self._http, self._caps, self._reads_messages = dialect, http, caps, reads_messages
        self._bound = bound
        self._bodies = HttpReader(
            structs.replace(tool, operations=(), head_only=False), reads_args=True, looks_at_path=True
        )
        self._known: dict[tuple[str, str], _Found | None] = {}

    def wants_body(self, request: Request) -> bool:
        """Whether the request's body must be read ahead of the decision: always, where a model is asked."""
        if request.length == 0:
            return False
        if self._http.wants_body(request):
            return True
        path = request.target.partition("?")[0]
        below = path.find("/", 1)  # behind the tool's name, where the path begins with it
        base = self.tool.base_path
        ways = (path, base + path, base + path[below:] if below > 0 else path)
        return any(
            _endpoint(self._dialect, request.method, written) is not None
            for way in ways
            for written in (unquote(way), _settle(way))
        )

    def read(self, ident: str, request: Request, route: Route, agent: Agent, run: Run, body: bytes | None) -> Call:
        """The call that a request is: a ModelCall where it asks a model. ``body`` as in ``reader.Reader``.

        Raises:
            Refused: 400 where the path or the body can be read in two ways, or the body is not what the API documents;
                413, 415 for a body that cannot be read.
        """
        found = self._find(request.method, route.path)
        if found is None:
            return self._unknown(self._http.read(ident, request, route, agent, run, body))
        if body is None and request.length != 0:
            raise Refused(
                Reason.BODY_TOO_LARGE,
                413,
                f"the request is larger than the {self.tool.body_limit} bytes that are read to hold it to the policies",
                "send less, or have the tool's `body.limit` raised",
            )
        alone = structs.replace(route, query="")  # args are the body's; the query is not its matter
        plain = self._bodies.read(ident, request, alone, agent, run, body)
        if not body or not _OBJECT.match(body):
            raise Refused(
                Reason.UNREADABLE_BODY,
                400,
                "a request to a model must be a JSON object" + ("" if body else ", and there is no body"),
                "send one JSON object with Content-Type: application/json",
            )
        return self._asking(plain, found, route.query, body)

    def _asking(self, plain: Call, found: _Found, query: str, raw: bytes) -> ModelCall:
        """The call with the facts of what the tool will get, once the caps are applied."""
        endpoint, params = found
        args = dict(plain.args)
        if other := lookalike(args, _MEMBERS):
            raise Refused(
                Reason.UNREADABLE_BODY,
                400,
                f"the body has a member {other[:64]!r}, which some servers take for {other.casefold()!r}",
                "write the members as the provider's API documents them",
            )
        draft = Draft(endpoint, params, args, raw)
        first = draft.asked
        flaw = self._capped(draft, plain)
        extent = self._extent(draft, plain) if flaw is None else None
        if draft.sent is not raw and not draft.amendments:
            draft.amendments = (USAGE,)
        return ModelCall(
            plain.id,
            plain.agent,
            plain.run,
            self.tool,
            endpoint.operation,
            draft.args,
            params,
            plain.request,
            plain.target,
            plain.path,
            query,
            plain.host,
            {**self._facts(draft.asked), **of_metadata(draft.args.get("metadata"))},
            flaw=flaw,
            body=None if draft.sent is raw else draft.sent,
            amendments=draft.amendments,
            extent=extent,
            endpoint=endpoint,
            asked=first,
            raw=raw,
        )

    def _capped(self, draft: Draft, plain: Call) -> Refusal | None:
        """Hold the request to the caps that apply. What they forbid is told once it is known that the agent may ask
        this tool at all."""
        for cap in self._caps(plain.agent, self.tool.name, draft.endpoint.operation) or _NO_CAPS:
            try:
                if cap.models and not allows_model(cap.models, draft.asked.model):
                    what = f"the model {draft.asked.model[:200]!r} may not be asked"
                    raise capped(cap, what, f"ask one of {', '.join(cap.models)}")
                draft.take(draft.endpoint.amend(draft.args, draft.sent, draft.asked, cap))
            except Refused as refused:
                if refused.reason is not Reason.CAPPED:
                    raise
                return Refusal(refused.reason, refused.status, refused.detail, f"cap/{cap.name}", advice=refused.advice)
        return None

    def _extent(self, draft: Draft, plain: Call) -> Extent | None:
        """How much the request may come to, where a budget asks; an answer without a bound is given one for that."""
        endpoint = draft.endpoint
        bound = self._bound(plain.agent, self.tool.name, endpoint.operation) if self._bound is not None else 0
        if not bound:
            return None
        if endpoint.metered == "both" and not draft.asked.max_tokens:
            draft.bound(bound)
        return extent_of(draft.args, draft.sent, draft.asked, endpoint.metered)

    def redact(self, call: Call, fields: Sequence[Changed], body: bytes | None) -> Call:
        """The call with these fields masked in what the model is sent, which its facts then tell of.

        Raises:
            Refused: the masked request is none that the API documents.
        """
        if not isinstance(call, ModelCall):
            return self._http.redact(call, fields, body)
        masked = masked_call(call, fields, change=redacted)
        if masked is call:
            return call
        args = dict(masked.args)
        try:
            asked = call.endpoint.asked(args, call.params)
        except Refused as refused:
            raise impossible(f"then {refused.detail}") from None
        return structs.replace(masked, body=dump(args), facts={**call.facts, **self._facts(asked)})

    def edit(self, call: Call, args: Mapping[str, Any], body: bytes | None) -> Call:
        """The call with these members of its body in the place of its own, held to the caps anew.

        Raises:
            Refused: the request is none that the API documents, or would be answered in another form.
        """
        if not isinstance(call, ModelCall):
            return self._http.edit(call, args, body)
        own = load(call.raw)
        # What caps changed is shown to people, and stays the matter of the caps.
        kept = {
            name for name, value in args.items() if name in call.args and canonical(value) == canonical(call.args[name])
        }
        mine = {name: own.get(name, _ABSENT) if name in kept else value for name, value in args.items()}
        raw = dump({name: value for name, value in mine.items() if value is not _ABSENT})
        try:
            plain = structs.replace(call, args=strict_json.parse(raw))
        except ValueError as error:
            raise inexact(str(error)) from None
        new = self._asking(plain, (call.endpoint, call.params), call.query, raw)
        if new.asked.stream != call.asked.stream:
            raise inexact("the agent waits for an answer in the form that it asked for (stream)")
        return structs.replace(
            call,
            args=new.args,
            facts={**call.facts, **new.facts},
            flaw=new.flaw,
            body=raw if new.body is None else new.body,
            amendments=(EDITED, *new.amendments),
            extent=new.extent,
            asked=new.asked,
            raw=raw,
        )

    def pulse(self, call: Call, body: bytes | None, *, every: float) -> Pulse | None:  # noqa: ARG002 - the call has it
        """What keeps the connection of a waiting request alive, where its answer is streamed as events."""
        if not isinstance(call, ModelCall) or not call.asked.stream:
            return None
        if self._dialect.provider == "google" and "alt=sse" not in call.query.split("&"):
            return None  # then it is a stream of one JSON array
        return LlmBeats(call.id, every, call.endpoint.stream(call.asked, call.raw, call.raw).failed)

    def shorten(self, call: Call, most: int) -> Call:
        """The call with its answer bounded to ``most`` tokens, where less is left of a budget than it asks for.

        Raises:
            Refused: the request cannot be brought under that bound.
        """
        if not isinstance(call, ModelCall):
            return call
        args = dict(call.args)
        sent = call.raw if call.body is None else call.body
        body, said = call.endpoint.amend(args, sent, call.endpoint.asked(args, call.params), Caps("budget", (), most))
        if not said:
            return call
        args = load(body)
        facts = {**call.facts, **self._facts(call.endpoint.asked(args, call.params))}
        return structs.replace(call, args=args, body=body, facts=facts, amendments=(*call.amendments, *said))

    def _unknown(self, call: Call) -> Call:
        """A call that asks no model that we know of. Where a cap is about it, nobody can hold it to the cap."""
        if call.request.method in _READING and b"upgrade" not in call.request.lookup:
            return call  # not so an upgrade: by WebSocket, models are asked too
        caps = self._caps(call.agent, self.tool.name, call.operation)
        if not caps:
            return call
        flaw = Refusal(
            Reason.CAPPED,
            403,
            f"the cap {caps[0].name!r} is about {call.operation[:200]!r}, and what it asks of a model cannot be read",
            f"cap/{caps[0].name}",
            advice="ask the model by another endpoint; operators can narrow the cap's match.operations",
        )
        return structs.replace(call, flaw=flaw)

    def _facts(self, asked: Asked) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "llm.model": asked.model,
            "llm.stream": asked.stream,
            "llm.max_tokens": asked.max_tokens,
            "llm.system": asked.system,
            "llm.tools": list(asked.tools),
        }
        if self._reads_messages:
            facts["llm.messages"] = list(asked.messages)
        return facts

    def phrase(self, refusal: Refusal, ident: str, request: Request, body: bytes | None) -> Phrased:  # noqa: ARG002
        """A refusal as problem+json (RFC 9457) with the members in which the provider's SDKs look for an error.

        Where both have a member of one name, RFC 9457's stands: Anthropic's outer ``type`` is read by none of its SDKs,
        which look into ``error`` (anthropic 2.13, ``_exceptions.py``).
        """
        fields, problem = plain_http.phrase(refusal, ident)
        members = {**self._dialect.error(refusal, ident), **orjson.loads(problem)}
        return Phrased(refusal.status, fields, orjson.dumps(members))

    def answer(self, call: Call, answered: Answered, judge: Judge) -> Answer | None:
        """How the answer is read: usage and proposals of one that a model gave, of others as plain HTTP. Errors of
        a model's API pass unread."""
        if not isinstance(call, ModelCall):
            return self._http.answer(call, answered, judge)
        if not 200 <= answered.status < 300:
            return Digested(answered) if judge.compares else None
        sent = call.raw if call.body is None else call.body
        return answer_of(Exchange(call.endpoint, call.asked, call.raw, sent, answered), judge)

    def plain(self, call: Call) -> bool:
        """Whether the tool must be asked for an uncompressed answer: where a model is asked, since it will be read."""
        return isinstance(call, ModelCall) or self._http.plain(call)

    def _find(self, method: str, path: str) -> _Found | None:
        """The endpoint of a path (as sent, below the tool's base path).

        Raises:
            Refused: 400, it is another one, or one at all, only for servers that resolve what is ambiguous in the path.
        """
        key = (method, path)
        if key in self._known:
            return self._known[key]
        whole = self.tool.base_path + path
        found = _endpoint(self._dialect, method, unquote(whole))
        if (what := ambiguous(path)) and _endpoint(self._dialect, method, _settle(whole)) != found:
            raise Refused(
                Reason.AMBIGUOUS_PATH,
                400,
                f"the path contains {what!r}, which servers read in different ways: in one of them it asks a model",
                "send the path in its plain form",
            )
        if len(path) <= _LONGEST_KNOWN:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[key] = found
        return found


def _endpoint(dialect: Dialect, method: str, path: str) -> _Found | None:
    return dialect.endpoint(method.upper(), path.rstrip("/"))


def _settle(path: str) -> str:
    """A path as a server makes it that resolves all that any server resolves: see ``templates.ambiguous``."""
    for _ in range(_MOST_DECODED):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    kept: list[str] = []
    for segment in path.replace("\\", "/").replace("\0", "").split("/"):
        name = segment.partition(";")[0]
        if name == "..":
            del kept[-1:]
        elif name not in ("", "."):
            kept.append(name)
    return "/" + "/".join(kept)


def allows_model(patterns: tuple[str, ...], model: str) -> bool:
    """Whether one of a cap's globs matches the model."""
    return any(glob.fullmatch(model) for glob in _globs(patterns))


@lru_cache(maxsize=1024)
def _globs(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    return tuple(glob_regex(pattern) for pattern in patterns)
