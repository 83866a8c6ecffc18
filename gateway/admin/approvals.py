"""``/api/approvals``: what waits for a person, all that is known of it, and verdicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal

import orjson
from aiohttp import web
from msgspec import Struct

from gateway.admin.api import answer, body_of, changed
from gateway.admin.approvals_edits import unmasked
from gateway.admin.approvals_query import Priority, chosen, query_of
from gateway.admin.approvals_shown import summary
from gateway.admin.approvals_stream import Stream
from gateway.admin.principals import APPROVER, VIEWER, need
from gateway.admin.problems import Failure
from gateway.approvals.canaries import debrief
from gateway.approvals.docket import Docket
from gateway.approvals.edits import edit_of, payload_now
from gateway.approvals.priority import priority
from gateway.approvals.samples import QUICK
from gateway.approvals.states import Conflict
from gateway.approvals.verdicts import BadVerdict, Like, NotAllowed, NotThere, Verdicts, Who
from gateway.errors import StoreUnavailable
from gateway.model import Approval

LONGEST_NAME = 100
"""Characters of a person's name."""
MOST_BODY = 512 * 1024
"""Bytes of a verdict: arguments may be in it."""
MOST_AT_ONCE = 200
"""Approvals that one request decides on."""
LEAST_PREFIX = 4
"""Characters of an id that must be given, at least."""
_ID = "apr-"


class Decision(Struct, forbid_unknown_fields=True):
    """One verdict; see ``Verdicts.give``. ``answer`` may be any JSON. ``shown`` is the ``edit.id`` that this person had
    before them. ``by`` counts only where the gateway cannot know who it is."""

    verb: str
    message: str = ""
    args: dict[str, Any] | None = None
    answer: Any = ""
    endorse: tuple[str, ...] = ()
    like: Like | None = None
    seen: float = 0.0
    shown: str | None = None
    by: str = ""
    via: Literal["api", "cli", "console"] = "api"


class Batch(Struct, forbid_unknown_fields=True):
    """The same verdict on several."""

    ids: tuple[str, ...]
    verb: Literal["approve", "deny"]
    message: str = ""
    seen: float = 0.0
    by: str = ""
    via: Literal["api", "cli", "console"] = "api"


class Clerk(Struct, frozen=True):
    """What the routes use. ``hide`` takes secrets out of what is shown; ``similar`` tells what people said of calls
    like one; ``connected`` whether its agent is held on the line here."""

    docket: Docket
    verdicts: Verdicts
    stream: Stream
    hide: Callable[[bytes], bytes] = bytes
    priority: Priority = priority
    similar: Callable[[Approval], Any] = lambda _: []
    connected: Callable[[str], bool] = lambda _: False


def add(app: web.Application, clerk: Clerk) -> None:
    """Add the routes."""

    async def listing(request: web.Request) -> web.Response:
        need(request, VIEWER)
        query, now = query_of(request.query), clerk.docket.now()
        found, total, counts = await chosen(clerk.docket, query, now, clerk.priority)
        shown = [{**summary(one, now), "connected": clerk.connected(one.id)} for one in found]
        return answer({"approvals": shown, "total": total, "counts": counts})

    async def one(request: web.Request) -> web.Response:
        principal = need(request, VIEWER)
        approval = await find(clerk.docket, request.match_info["id"])
        with as_failures():
            whole = await _whole(clerk, approval)
        return answer({**whole, "why_not": clerk.verdicts.why_not(approval, Who(principal.id, principal.roles))})

    async def decide(request: web.Request) -> web.Response:
        decision = await body_of(request.clone(client_max_size=MOST_BODY), Decision)
        who = who_of(request, decision.by, decision.via)
        ident = (await find(clerk.docket, request.match_info["id"])).id
        after = await _decided(request, clerk, ident, decision, who)
        return answer({**summary(after, clerk.docket.now()), "note": debrief(after)})

    async def decide_many(request: web.Request) -> web.Response:
        batch = await body_of(request, Batch)
        who = who_of(request, batch.by, batch.via)
        if not 0 < len(batch.ids) <= MOST_AT_ONCE:
            raise Failure(400, f"$.ids must be from 1 to {MOST_AT_ONCE} approvals")
        seen = max(batch.seen / len(batch.ids), min(batch.seen, QUICK))  # who looks at several at once is not quick
        own = "" if batch.verb == "approve" else None  # several are approved only as they were asked
        decision = Decision(batch.verb, batch.message, seen=seen, shown=own)
        results = [await _one_of_many(request, clerk, ident, decision, who) for ident in dict.fromkeys(batch.ids)]
        return answer({"results": results})

    async def stream(request: web.Request) -> web.StreamResponse:
        need(request, VIEWER)
        return await clerk.stream.handle(request)

    app.on_shutdown.append(clerk.stream.close)
    app.router.add_get("/approvals", listing)
    app.router.add_get("/approvals/stream", stream, allow_head=False)  # which does not end by itself
    app.router.add_post("/approvals/decide", decide_many)
    app.router.add_get("/approvals/{id}", one)
    app.router.add_post("/approvals/{id}/decide", decide)


async def find(docket: Docket, text: str) -> Approval:
    """The approval with this id, or the only one whose id begins so.

    Raises:
        Failure: 404, there is none; 400, there are several.
    """
    if (exact := docket.find(text)) is not None:
        return exact
    with suppress(StoreUnavailable):  # then by what is known here
        await docket.follow()  # another replica may have opened it just now
    start = text if text.startswith(_ID) else _ID + text
    found = [one for one in docket if one.id.startswith(start)] if len(start) >= len(_ID) + LEAST_PREFIX else []
    if not found:
        raise Failure(404, f"there is no approval {text[:64]!r}, or not any more", "see GET /api/approvals?state=all")
    if len(found) > 1:
        raise Failure(400, f"{len(found)} approvals begin with {text[:64]!r}", "write more of the id")
    return found[0]


def who_of(request: web.Request, by: str, via: str) -> Who:
    """Who decides: what the gateway knows them by; on this machine without a token, what they say of themselves.

    Raises:
        Failure: 403, they are no approver; 400, they say to be somebody else, or it is no name.
    """
    principal = need(request, APPROVER)
    if principal.source == "loopback" and by:
        if len(by) > LONGEST_NAME or not by.isprintable() or "/" in by:
            raise Failure(400, f"$.by is a person's name of at most {LONGEST_NAME} characters, without '/'")
        return Who(by, principal.roles, via)
    if by and by != principal.id:
        raise Failure(
            400, f"you are known as {principal.id}, and cannot decide as {by[:LONGEST_NAME]!r}", "leave out by"
        )
    return Who(principal.id, principal.roles, via)


@contextmanager
def as_failures() -> Iterator[None]:
    """What stands against a verdict, as the admin API tells it."""
    try:
        yield
    except NotThere as error:
        raise Failure(404, str(error), "see GET /api/approvals?state=all") from None
    except NotAllowed as error:
        raise Failure(403, str(error), "ask somebody who may") from None
    except BadVerdict as error:
        raise Failure(400, str(error)) from None
    except Conflict as conflict:
        raise Failure(409, f"nothing has changed by this: {conflict}", "look at it again") from None
    except StoreUnavailable as error:
        raise Failure(503, f"the state cannot be reached: {error}", "look at it again before you repeat this") from None


async def _whole(clerk: Clerk, approval: Approval) -> dict[str, Any]:
    """All that is known of it, with the payload: what it would do.

    Raises:
        StoreUnavailable: the state cannot be reached.
    """
    data = await clerk.docket.payload(approval.id)
    edit = edit_of(approval)
    edited = await clerk.docket.edit(approval.id, edit) if edit else None
    by = next((vote.by for vote in reversed(approval.votes) if vote.verb == "edit"), "")
    return {
        **summary(approval, clerk.docket.now()),
        "connected": clerk.connected(approval.id),
        "payload": None if data is None else orjson.loads(data),
        "edit": None if edited is None else {"id": edit, "by": by, "args": orjson.loads(edited)},
        "similar": clerk.similar(approval),
    }


async def _decided(request: web.Request, clerk: Clerk, ident: str, decision: Decision, who: Who) -> Approval:
    """The approval after the verdict.

    Raises:
        Failure: it cannot be given.
    """
    said = decision.answer if isinstance(decision.answer, str) else orjson.dumps(decision.answer).decode()
    with as_failures():
        args = None if decision.args is None else await _meant(clerk, ident, decision.args)
        after = await clerk.verdicts.give(
            ident,
            who,
            decision.verb,
            message=decision.message,
            args=args,
            answer=said,
            endorse=decision.endorse,
            like=decision.like,
            seen=decision.seen,
            shown=decision.shown,
        )
    changed(request, who.id, f"{decision.verb} {ident} ({after.agent}: {after.operation})", decision.message)
    return after


async def _one_of_many(request: web.Request, clerk: Clerk, ident: str, decision: Decision, who: Who) -> dict[str, Any]:
    """How one of several fared."""
    try:
        after = await _decided(request, clerk, ident, decision, who)
    except Failure as failure:
        return {"id": ident, "ok": False, "status": failure.status, "detail": failure.detail}
    return {"id": ident, "ok": True, "status": 200, "state": after.state.value, "note": debrief(after)}


async def _meant(clerk: Clerk, ident: str, args: dict[str, Any]) -> dict[str, Any]:
    """The arguments without the masks that this person was shown."""
    approval = clerk.docket.find(ident)
    payload = None if approval is None else await payload_now(clerk.docket, approval)
    current = None if payload is None else orjson.loads(payload)["args"]
    return unmasked(args, current or {}, clerk.hide)
