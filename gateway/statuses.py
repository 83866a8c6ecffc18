"""Where an agent asks how its approvals stand: a path of the gateway itself, answered before any tool.

It is no call: nothing is decided or sent, no limit counts it, and it is not recorded. It tells only the agent that
asked for the approval; to all others there is none.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import orjson

from gateway.effects import Await, Effect, Reply, Way
from gateway.errors import ClientGone, Refused
from gateway.identify import Source, identify
from gateway.model import RESULT, Agent, Approval, ApprovalState, Fields, Request
from gateway.ports import Standings
from gateway.understand.http import title_of
from gateway.understand.people import STATUS_PATH

LONGEST_WAIT = 60.0
"""Seconds for which an answer is held back while nothing changes, where that is asked for (``?wait=30``)."""
_IDENT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SECONDS = re.compile(r"[0-9]{1,5}(\.[0-9]{1,3})?")
MADE = "the call was made; do not repeat it, go on without its result"
_ADVICE = {
    ApprovalState.WAITING: "repeat exactly the same call later, or ask here again with ?wait=30",
    ApprovalState.APPROVED: "repeat exactly the same call now",
    ApprovalState.ANSWERED: "repeat exactly the same call to get the answer",
    ApprovalState.RUNNING: "look whether it has had its effect before you ask for it again",
    ApprovalState.DONE: "it was made; the same call again would be asked about anew",
}
_ELSE = "do not repeat this call; go on without it, or ask for what is needed in another way"
_DETAILS = {
    ApprovalState.APPROVED: "a person has approved the call",
    ApprovalState.DENIED: "a person has denied this call",
    ApprovalState.ANSWERED: "a person has answered in the tool's place",
    ApprovalState.RUNNING: "the call is being made now, or has ended in a way that nobody knows",
    ApprovalState.DONE: "the call has been made",
    ApprovalState.EXPIRED: "nobody decided in time, or nobody called in time",
    ApprovalState.WITHDRAWN: "it was withdrawn",
}
_OF_RESULTS = {
    ApprovalState.APPROVED: ("a person has let the result pass", "repeat exactly the same call now to get it"),
    ApprovalState.DENIED: ("a person has kept the result from you", MADE),
    ApprovalState.ANSWERED: ("a person has answered in the result's place", _ADVICE[ApprovalState.ANSWERED]),
    ApprovalState.RUNNING: ("the result is being given to the same call", MADE),
    ApprovalState.DONE: ("the result has been given to the same call", MADE),
    ApprovalState.EXPIRED: ("nobody looked at the result in time, or nobody called for it in time", MADE),
    ApprovalState.WITHDRAWN: ("it was withdrawn", MADE),
}
"""Detail and advice where the call was made, and people look at its result."""
_TOLD = frozenset({ApprovalState.DENIED, ApprovalState.WITHDRAWN})
"""States in which the approval's message is for the agent, here."""


def is_status(request: Request) -> bool:
    """Whether a request is for this path, in whatever form its target has."""
    return STATUS_PATH in request.target and _path(request).startswith(STATUS_PATH)


def status_way(request: Request, sources: Sequence[Source], standings: Standings) -> Way:
    """The way of such a request."""
    try:
        yield (yield from _answer(request, sources, standings))
    except ClientGone:
        return
    except Refused as refused:
        yield _problem(refused.status, refused.detail, refused.fields)


def _answer(request: Request, sources: Sequence[Source], standings: Standings) -> Generator[Effect, Any, Reply]:
    known = identify(request, sources)
    agent: Agent = known if isinstance(known, Agent) else (yield Await(known))
    if request.method not in ("GET", "HEAD"):
        return _problem(405, "ask with GET", ((b"Allow", b"GET, HEAD"),))
    given = parse_qs(request.target.partition("?")[2]).get("wait", ["0"])[-1]
    if not _SECONDS.fullmatch(given):
        return _problem(400, "wait is a number of seconds")
    ident = _path(request).removeprefix(STATUS_PATH)
    found = standings.find(ident, agent.id) if _IDENT.fullmatch(ident) else None
    if found is not None and found.state is ApprovalState.WAITING and float(given) > 0:
        found = yield Await(standings.moved(found, min(float(given), LONGEST_WAIT)))
    if found is None:
        return _problem(404, "no approval with this id has been asked for by this agent")
    return Reply(200, _fields(b"application/json"), orjson.dumps(_told(found)))


def _told(approval: Approval) -> dict[str, Any]:
    """What an agent is told of its approval."""
    return {
        "approval_id": approval.id,
        "state": approval.state.value,
        "detail": _detail(approval),
        "advice": _advice(approval),
        "expires": datetime.fromtimestamp(approval.expires, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
    }


def _advice(approval: Approval) -> str:
    if approval.about == RESULT and approval.state in _OF_RESULTS:
        return _OF_RESULTS[approval.state][1]
    return _ADVICE.get(approval.state, _ELSE)


def _detail(approval: Approval) -> str:
    if approval.state is not ApprovalState.WAITING:
        said = approval.message if approval.state in _TOLD else ""
        return said or (_OF_RESULTS[approval.state][0] if approval.about == RESULT else _DETAILS[approval.state])
    why = approval.held[0].text if approval.held else "a person must approve this call"
    asked = next((vote.message for vote in reversed(approval.votes) if vote.verb == "ask" and vote.message), "")
    return f"waiting for a person: {why}" + (f"; the person who looked at it asks: {asked}" if asked else "")


def _problem(status: int, detail: str, more: Fields = ()) -> Reply:
    problem = {"type": "about:blank", "title": title_of(status), "status": status, "detail": detail}
    return Reply(status, (*_fields(b"application/problem+json"), *more), orjson.dumps(problem))


def _fields(kind: bytes) -> Fields:
    return ((b"Content-Type", kind), (b"Cache-Control", b"no-store"))


def _path(request: Request) -> str:
    path = request.target.partition("?")[0]
    if path[:1] == "/":
        return path
    return "/" + path.partition("://")[2].partition("/")[2]
