"""``/api/exemptions``: calls that pass without a person, listed, made and revoked; and what could be for a call."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct

from gateway.admin.api import answer, body_of, changed
from gateway.admin.approvals import LEAST_PREFIX, as_failures, find, who_of
from gateway.admin.principals import VIEWER, need
from gateway.admin.problems import Failure
from gateway.approvals.docket import Docket
from gateway.approvals.exemptions import Exemptions, Like, as_shown
from gateway.approvals.offers import Offers
from gateway.approvals.preview import Offer
from gateway.approvals.verdicts import Verdicts
from gateway.policy.engine import CelError

LONGEST = 500
"""Characters of a reason."""
_ID = "exm-"


class Wanted(Struct, forbid_unknown_fields=True):
    """An exemption for calls like the one of this approval, which has been decided; see Like."""

    approval: str
    when: str
    scope: str = "run"
    uses: int = 0
    seconds: float = 0.0
    reason: str = ""
    by: str = ""


def add(app: web.Application, docket: Docket, exemptions: Exemptions, verdicts: Verdicts, offers: Offers) -> None:
    """Add the routes."""

    async def listing(request: web.Request) -> web.Response:
        need(request, VIEWER)
        return answer({"exemptions": as_shown(exemptions.standing())})

    async def proposals(request: web.Request) -> web.Response:
        need(request, VIEWER)
        approval = await find(docket, request.match_info["id"])
        with as_failures():
            offered = [_shown(offer) for offer in await offers.of(approval)]
        return answer({"id": approval.id, "proposals": offered})

    async def previewed(request: web.Request) -> web.Response:
        need(request, VIEWER)
        approval = await find(docket, request.match_info["id"])
        with as_failures():
            try:
                found = await offers.preview(approval, request.query.get("when", ""))
            except CelError as error:
                raise Failure(400, f"when, column {error.column}: {error.message}", error.hint or "") from None
        return answer({"id": approval.id, "preview": msgspec.to_builtins(found)})

    async def make(request: web.Request) -> web.Response:
        wanted = await body_of(request, Wanted)
        who = who_of(request, wanted.by, "api")
        approval = await find(docket, wanted.approval)
        like = Like(wanted.when, wanted.scope, wanted.uses, wanted.seconds)
        with as_failures():
            made = await verdicts.exempt(approval.id, who, like)
        what = f"exempt calls like {approval.id} ({made.scope}, {made.operation}): {made.when}"
        changed(request, who.id, what, wanted.reason[:LONGEST])
        return answer(as_shown([made])[0], 201)

    async def revoke(request: web.Request) -> web.Response:
        by = request.query.get("by", "")
        who = who_of(request, by, "api")
        text = request.query.get("id", "")
        with as_failures():
            gone = await exemptions.revoke(_ident(exemptions, text))
        if gone is None:
            raise Failure(404, f"there is no exemption {text[:64]!r}, or not any more", "see GET /api/exemptions")
        what = f"revoke the exemption {gone.id} ({gone.scope}, {gone.operation}): {gone.when}"
        changed(request, who.id, what, request.query.get("reason", "")[:LONGEST])
        return answer({"revoked": as_shown([gone])[0]})

    app.router.add_get("/exemptions", listing)
    app.router.add_post("/exemptions", make)
    app.router.add_delete("/exemptions", revoke)
    app.router.add_get("/approvals/{id}/proposals", proposals)
    app.router.add_get("/approvals/{id}/preview", previewed)


def _ident(exemptions: Exemptions, text: str) -> str:
    """The id, or the only one that begins so.

    Raises:
        Failure: 400, several begin so.
    """
    start = text if text.startswith(_ID) else _ID + text
    found = [one.id for one in exemptions.standing() if one.id.startswith(start)]
    if len(start) < len(_ID) + LEAST_PREFIX or start in found or not found:
        return start  # another replica may know it
    if len(found) > 1:
        raise Failure(400, f"{len(found)} exemptions begin with {text[:64]!r}", "write more of the id")
    return found[0]


def _shown(offer: Offer) -> dict[str, Any]:
    proposed = offer.proposal
    preview = msgspec.to_builtins(offer.preview)
    return {"name": proposed.name, "about": proposed.about, "when": proposed.when, "preview": preview}
