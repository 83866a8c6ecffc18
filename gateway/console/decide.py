"""The page that a personal link in a mail leads to. It asks once more: mail programs and scanners open every link.

The link itself says who it was written for, and a form on the page sends it back. Whoever uses it need not log in.
"""

from __future__ import annotations

import logging
import time

from aiohttp import web
from msgspec import Struct

from gateway.admin.forms import form_of
from gateway.admin.gate import same_origin
from gateway.admin.problems import Failure
from gateway.admin.throttle import Throttle
from gateway.approvals.docket import Docket
from gateway.approvals.notify.buttons import Buttons
from gateway.approvals.notify.links import BadLink, Link
from gateway.approvals.notify.notifier import Notifier
from gateway.approvals.states import Conflict, told
from gateway.approvals.verdicts import VerdictError, Who
from gateway.console.render import PAGE_HEADERS, page
from gateway.errors import StoreUnavailable
from gateway.model import ApprovalState

log = logging.getLogger("toolgate.console")


class Asked(Struct, frozen=True):
    """A link that is good, whose it is, and how what it is about stands."""

    link: Link
    who: Who


class Decide:
    """GET and POST of ``/decide``."""

    def __init__(self, docket: Docket, buttons: Buttons, notifier: Notifier) -> None:
        self._docket, self._buttons, self._notifier = docket, buttons, notifier
        self._throttle = Throttle(time.monotonic)

    def add(self, app: web.Application) -> None:
        """Add the routes to the application of the admin address."""
        app.router.add_get("/decide", self._ask, allow_head=False)
        app.router.add_post("/decide", self._give)

    async def _ask(self, request: web.Request) -> web.Response:
        token = request.query.get("token", "")
        try:
            asked = self._asked(request, token)
        except Failure as failure:
            return _failed(failure)
        approval = self._docket.find(asked.link.approval)
        if approval is None:
            return _failed(Failure(404, "The approval is not there any more."))
        if not asked.link.recipient:
            raise web.HTTPSeeOther(f"/approvals/{approval.id}", headers=PAGE_HEADERS)
        if approval.state is not ApprovalState.WAITING:
            return _failed(Failure(409, f"There is nothing to decide any more: {told(approval)}."))
        notice = await self._notifier.preview(approval, asked.link.channel)
        return page("decide.html", notice=notice, verb=asked.link.verb, who=asked.who, token=token)

    async def _give(self, request: web.Request) -> web.Response:
        if not same_origin(request):
            return _failed(Failure(403, "A page of another origin may decide nothing here."))
        try:
            form = await form_of(request)
            token, message = form.get("token", ""), form.get("message", "")
            asked = self._asked(request, token)
            if not asked.link.recipient:
                raise Failure(403, "This link says nobody's name: log in, and decide in the console.")
            approval = await self._buttons.press(token, asked.who, message)
        except Failure as failure:
            return _failed(failure)
        except BadLink as error:
            return _failed(Failure(403, f"{error}."))
        except (VerdictError, Conflict) as error:
            return _failed(Failure(409, f"{error}."))
        except StoreUnavailable as error:
            return _failed(
                Failure(503, f"The verdict cannot be stored now: {error}.", "Decide in the console instead.")
            )
        return page("decided.html", text=told(approval), approval=approval)

    def _asked(self, request: web.Request, token: str) -> Asked:
        """What a token is good for, and for whom. Raises Failure: for nothing."""
        try:
            link = self._buttons.read(token)
        except BadLink as error:
            peer = request.remote or "unknown"
            self._throttle.take(peer)  # a good one passes however often others failed
            log.warning("a link that is not good, from %s: %s", peer, error)
            raise Failure(403, f"{error}.", "Log in to the console: it shows all that waits.") from None
        who = self._buttons.who(link.channel, link.recipient) if link.recipient else Who("")
        if who is None:
            raise Failure(403, "Whoever this link was written for is not among the channel's approvers any more.")
        return Asked(link, who)


def _failed(failure: Failure) -> web.Response:
    text = f"{failure.detail} {failure.advice}".strip()
    response = page("decided.html", failure.status, text=text, approval=None)
    response.headers.update(failure.fields)
    return response
