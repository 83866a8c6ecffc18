"""MCP over Streamable HTTP (revisions 2025-03-26 to 2026-07-28): a call is what its JSON-RPC message asks for.

Every POST with a JSON-RPC body is read, and what cannot be read in one way only is refused; the bytes that came are
what the tool gets. Everything else that is sent to the server (OAuth's documents and forms) is plain HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import structs

from gateway.errors import Refused
from gateway.model import Agent, Answered, Call, Changed, Question, Reason, Refusal, Request, Route, Run, Tool
from gateway.policy.redaction import redact
from gateway.understand import mcp_headers, mcp_refusals, strict_json, why
from gateway.understand.carried import carried, planted
from gateway.understand.catalogue import Catalogue
from gateway.understand.edits import edited_mcp
from gateway.understand.http import NO_PARAMS, HttpReader
from gateway.understand.jsonrpc import Malformed, Message, messages
from gateway.understand.masking import impossible, masked_call
from gateway.understand.mcp_answers import Events, Tap, Whole
from gateway.understand.mcp_bodies import JSON, message_in
from gateway.understand.mcp_elicitation import FIRST, Openers, asks_first, without_response
from gateway.understand.mcp_lists import Lists
from gateway.understand.mcp_operations import BATCH, END, NO_ARGS, READS, STREAM, subject, with_args
from gateway.understand.mcp_screen import Screen, Words
from gateway.understand.members import dump
from gateway.understand.origins import Origins
from gateway.understand.pulses import mcp_beats
from gateway.understand.reader import Answer, Judge, Phrased, Pulse

_LISTS = frozenset({"tools/list", "resources/list", "resources/templates/list", "prompts/list"})
_READING = frozenset(
    {"resources/read", "resources/subscribe", "resources/unsubscribe", "prompts/get", "completion/complete"}
)
_LAST_WITH_BATCHES = "2025-03-26"


class McpReader:
    """Reads requests for one MCP server, and its answers.

    ``http`` reads what is no MCP. ``refusal``: how tool calls are refused, as a ``result`` with isError or as a
    JSON-RPC ``error``. ``validate``: hold arguments to the tool's inputSchema. ``allowed_hosts``: hosts that pages, and
    agents on this machine, may name besides the loopback names. ``judges_results``: some rule of the response phase is
    about this server. ``endpoints``: paths below the tool's url where it speaks MCP; by default the url itself, and
    /mcp where it has no path. ``plants``: tell the trace context in every message, not only where the agent did.
    ``openers``: clients that open URLs.
    """

    def __init__(
        self,
        tool: Tool,
        *,
        catalogue: Catalogue,
        http: HttpReader,
        refusal: str = "result",
        validate: bool = True,
        allowed_hosts: Iterable[str] = (),
        judges_results: bool = False,
        endpoints: Sequence[str] | None = None,
        plants: bool = False,
        openers: Openers | None = None,
    ) -> None:
        self.tool = tool
        self._catalogue, self._validate, self._judges_results = catalogue, validate, judges_results
        self._results = refusal == "result"
        self._plants = plants
        self._openers = openers or Openers()
        self._origins = Origins(allowed_hosts)
        self._http = http
        if not endpoints:
            endpoints = ("/",) if tool.base_path else ("/", "/mcp")
        self._endpoints = frozenset(path for at in endpoints for path in (at, at.rstrip("/") + "/"))

    def wants_body(self, request: Request) -> bool:
        """Whether the request has a body that must be read ahead: every POST's, and what plain HTTP's rules read."""
        if request.method == "POST":
            return request.length != 0
        return self._http.wants_body(request)

    def read(self, ident: str, request: Request, route: Route, agent: Agent, run: Run, body: bytes | None) -> Call:
        """The call that a request is; of an array of messages, a call with a part for each.

        Raises:
            Refused: 400 for a body that is no JSON-RPC or can be read in two ways, a header that says otherwise than
                the body; 403 for a foreign page; 404 for JSON-RPC where the server speaks no MCP; 413 and 415 for
                bodies that cannot be read.
        """
        self._origins.check(request)
        if b"upgrade" in request.lookup and route.path in self._endpoints and _leaves_http(request):
            raise Refused(
                Reason.BAD_REQUEST, 400, "an MCP endpoint is not left for another protocol, which no policy could read"
            )
        method = request.method
        if method == "POST" and request.length != 0:
            if body is None:  # the tool's ``head_only`` is for bodies that need not be read
                raise Refused(Reason.BODY_TOO_LARGE, 413, "the body is too large to be read", "send less at once")
            value = message_in(request, body)
            if value is not None:
                return self._rpc(value, (ident, agent, run, request, route))
        elif method in ("GET", "DELETE") and route.path in self._endpoints:
            if request.length != 0:
                raise Refused(Reason.BAD_REQUEST, 400, f"a {method} of an MCP endpoint has no body", "leave it out")
            operation = STREAM if method == "GET" else END
            facts = self._facts(request, mcp_headers.version_of(request, None))
            return self._call((ident, agent, run, request, route), operation, NO_ARGS, facts, implied=True)
        return self._http.read(ident, request, route, agent, run, body)

    def redact(self, call: Call, fields: Sequence[Changed], body: bytes | None) -> Call:
        """The call with these fields masked in its message, all else of which stays.

        Raises:
            Refused: the header repeats arguments (``Mcp-Param-*``, or ``Mcp-Name`` of what would be masked), or the
                masked message would be for another operation.
        """
        if "mcp.method" not in call.facts:
            return self._http.redact(call, fields, body)
        if body is None:
            return masked_call(call, fields)  # a stream is opened, or a session ended: there is nothing to mask
        value = strict_json.parse(body)
        masked = with_args(value, redact(call.args, fields)[0])
        if masked == value:
            return call
        if any(name.replace(b"_", b"-").startswith(mcp_headers.PARAM) for name in call.request.lookup):
            raise impossible("its header fields Mcp-Param-* repeat arguments")
        try:
            message = messages(masked)[0]
            mcp_headers.agree(call.request, message)
            same = subject(message).operation == call.operation
        except (Malformed, Refused):
            same = False
        if not same:
            raise impossible("it would be a call of something else then")
        return self.traced(masked_call(call, fields, body=dump(masked)), None)

    def edit(self, call: Call, args: Mapping[str, Any], body: bytes | None) -> Call:
        """The call with these arguments in the place of its own, held to the tool's schema; all else of the message
        stays.

        Raises:
            Refused: it calls no tool and gets no prompt, or its header fields repeat arguments.
        """
        if "mcp.method" not in call.facts:
            return self._http.edit(call, args, body)
        edited = edited_mcp(call, args, body)
        if call.facts["mcp.method"] == "tools/call":
            flaw, _ = self._check(call.facts["mcp.name"], edited.args)
            edited = structs.replace(edited, flaw=flaw)
        return self.traced(edited, None)

    def answers(self, call: Call) -> bool:
        """Whether a person's own answer can take the place of the tool's: where a tool is called."""
        return call.facts.get("mcp.method") == "tools/call"

    def pulse(self, call: Call, body: bytes | None, *, every: float) -> Pulse | None:
        """What keeps the connection of a waiting request alive: an event stream, where its agent takes one."""
        return mcp_beats(call, body, every)

    def opens(self, call: Call, body: bytes | None) -> bool:
        """Whether the client of a call that waits opens pages for its user, and may be asked to now."""
        if call.facts.get("mcp.method") != "tools/call" or call.parts or body is None:
            return False
        if call.facts["mcp.version"] >= mcp_refusals.STATELESS:
            return asks_first(messages(strict_json.parse(body))[0].params)
        session = call.facts["mcp.session"]
        return call.facts["mcp.version"] >= FIRST and self._openers.open(self.tool.name, call.agent.id, session)

    def traced(self, call: Call, body: bytes | None) -> Call:
        """The call with the trace context that its tool is told (``Call.onward``) in its message too, not in those of a
        batch. ``body`` is what came, or None where ``Call.body`` takes its place."""
        if not call.onward or not (call.carried or self._plants) or "mcp.method" not in call.facts or call.parts:
            return call
        message = call.body if call.body is not None else body
        if message is None:
            return call
        # Later revisions require it: a server must be able to say that it is missing.
        adds = call.facts["mcp.version"] < mcp_refusals.STATELESS
        told = planted(message, call.onward, self.tool.strip, adds=adds)
        if told is None:
            return call
        return structs.replace(call, body=told)

    def phrase(self, refusal: Refusal, ident: str, request: Request, body: bytes | None) -> Phrased:
        """A refusal as a tool result, a JSON-RPC error, or plain HTTP where no JSON-RPC was read."""
        misfit = self._catalogue.misfit
        return mcp_refusals.phrase(refusal, ident, request, body, results=self._results, misfit=misfit)

    def plain(self, call: Call) -> bool:
        """Whether the answer will be read: all but those to plain HTTP."""
        return "mcp.method" in call.facts or self._http.plain(call)

    def answer(self, call: Call, answered: Answered, judge: Judge) -> Answer | None:
        """How the answer is read: lists are filtered, results judged or looked at, everything else passes unread."""
        if "mcp.method" not in call.facts:
            return self._http.answer(call, answered, judge)
        method, stream = call.facts["mcp.method"], call.operation == STREAM
        if answered.session and method == "initialize":
            self._openers.began(self.tool.name, call.agent.id, answered.session, call.args.get("capabilities"))
        judged = judge.reads_result
        lists = method in _LISTS or stream or bool(call.parts)
        # A stream that is resumed brings results of other calls, which their rules must not miss.
        withhold = self._judges_results and not judged and (stream or method.startswith("tasks/"))
        kind = answered.content_type.partition(";")[0].strip().lower()
        events, coded = kind == "text/event-stream", answered.content_encoding.lower() not in ("", "identity")
        answers = 200 <= answered.status < 300 and answered.status != 202
        if not answers and not ((judged or withhold) and (events or kind == JSON)):
            return None  # clients read of errors what is JSON-RPC
        if not (lists or judged or withhold):
            if call.implied or coded or not (events or kind == JSON):
                return None
            return Tap(events=events, keep=judge.wants_result, limit=self.tool.answer_limit, compares=judge.compares)
        if stream and not events and not judged:
            return None  # only an event stream can bring results of other calls
        screen = Screen(
            call,
            answered.status,
            Words(call.id, self._results, call.facts["mcp.version"] >= mcp_refusals.STATELESS),
            lists=Lists(self._catalogue, judge, first=method in _LISTS and "cursor" not in call.args)
            if lists
            else None,
            judge=judge if judged else None,
            withhold=withhold,
            events=events,
            compares=judge.compares,
        )
        if coded:
            return Whole(screen, f"it is compressed ({answered.content_encoding}), although it was asked not to be")
        return Events(screen, self.tool.answer_limit) if events else Whole(screen)

    def _rpc(self, value: Any, of: _Of) -> Call:
        request, route = of[3], of[4]
        if route.path not in self._endpoints:
            raise Refused(
                Reason.BAD_REQUEST,
                404,
                f"MCP is not spoken at {route.path[:128]!r} of this tool",
                f"send JSON-RPC to the tool's url, or to {' or '.join(sorted(self._endpoints))} below it",
            )
        try:
            read = messages(value)
            if type(value) is not list:
                mcp_headers.agree(request, read[0])
                call = self._message(read[0], mcp_headers.version_of(request, read[0]), of)
                mine = without_response(value)
                return call if mine is None else structs.replace(call, body=dump(mine))
            version = mcp_headers.version_of(request, None)
            if version > _LAST_WITH_BATCHES:
                raise Malformed(f"the revision {version[:32]!r} has no batches (arrays of messages)")
            mcp_headers.agree_batch(request)
            parts = tuple([self._message(message, version, of) for message in read])
        except Malformed as error:
            advice = "send JSON-RPC 2.0 as MCP says"
            raise Refused(Reason.BAD_REQUEST, 400, f"the body is no valid MCP message: {error}", advice) from None
        implied = all(part.implied for part in parts)
        return self._call(of, BATCH, NO_ARGS, self._facts(request, version), implied=implied, parts=parts)

    def _message(self, message: Message, version: str, of: _Of) -> Call:
        about = subject(message)
        method = message.method
        facts = self._facts(of[3], version, method, about.name, about.uri)
        meta = message.params.get("_meta")
        if type(meta) is dict and why.META_KEY in meta:
            facts.update(why.declared(meta[why.META_KEY]))
        flaw: Refusal | Question | None = None
        notes: tuple[str, ...] = ()
        if method == "tools/call":
            flaw, notes = self._check(about.name, about.args)
            facts.update(self._catalogue.facts(about.name))
        elif method in _READING:
            facts.update(READS)
        call = self._call(of, about.operation, about.args, facts, implied=about.implied, flaw=flaw, notes=notes)
        if type(meta) is dict and (context := carried(meta)):
            return structs.replace(call, carried=context)
        return call

    def _check(self, name: str, args: Any) -> tuple[Refusal | Question | None, tuple[str, ...]]:
        """Hold a tool call to the tool's pin and schema: what is wrong with it, and what a pin only warns of."""
        verdict, detail = self._catalogue.verdict(name)
        if verdict == "refuse":
            advice = "go on without this tool, and tell the user that its definition must be approved"
            return Refusal(Reason.TOOL_CHANGED, 403, detail, "pins", advice=advice), ()
        if self._validate and (wrong := self._catalogue.invalid(name, args)):
            advice = "correct the arguments and call the tool again"
            return Refusal(Reason.INVALID_ARGUMENTS, 400, wrong, "inputSchema", advice=advice), ()
        if verdict == "approve":
            return Question("pins", detail), ()
        return None, (detail,) if verdict else ()

    @staticmethod
    def _facts(request: Request, version: str, method: str = "", name: str = "", uri: str = "") -> dict[str, Any]:
        return {
            "mcp.method": method,
            "mcp.name": name,
            "mcp.uri": uri,
            "mcp.session": request.header(mcp_headers.SESSION),
            "mcp.version": version,
        }

    def _call(
        self,
        of: _Of,
        operation: str,
        args: Any,
        facts: dict[str, Any],
        *,
        implied: bool,
        parts: tuple[Call, ...] = (),
        flaw: Refusal | Question | None = None,
        notes: tuple[str, ...] = (),
    ) -> Call:
        ident, agent, run, request, route = of
        return Call(
            ident,
            agent,
            run,
            self.tool,
            operation,
            args,
            NO_PARAMS,
            request,
            route.target,
            route.path,
            route.query,
            route.host,
            facts,
            implied,
            parts,
            flaw,
            None,
            notes,
        )


_Of = tuple[str, Agent, Run, Request, Route]
"""What every call of one request has in common."""


def _leaves_http(request: Request) -> bool:
    """Whether a request asks for a protocol that would be tunnelled; clients of some platforms offer HTTP/2 (h2c) with
    each request, which is never passed on."""
    name = request.header(b"upgrade").partition("/")[0].strip().lower()
    return name not in ("", "http", "tls") and not name.startswith("h2")
