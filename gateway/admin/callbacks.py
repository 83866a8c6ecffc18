"""What comes back from channels: clicks in Slack, and verdicts that programs of the operator's pass on.

These routes lie outside the gate. Each request is signed with a secret of its channel, and says which of the channel's
users has decided; who that is here, the configuration says.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from urllib.parse import parse_qs

import orjson
from aiohttp import web
from msgspec import Struct

from gateway.admin.api import answer, body_of
from gateway.admin.problems import HEADERS, Failure, problem
from gateway.admin.throttle import Throttle
from gateway.approvals.notify import slack
from gateway.approvals.notify.buttons import Buttons
from gateway.approvals.notify.generic import vouches
from gateway.approvals.notify.links import BadLink
from gateway.approvals.notify.posting import Poster, Undelivered
from gateway.approvals.states import Conflict, told
from gateway.approvals.verdicts import NotThere, VerdictError
from gateway.config.schema_approvals import key_of
from gateway.errors import StoreUnavailable
from gateway.model import Approval, ApprovalState

MOST_REPLIES = 64
"""Answers to clicks that are on their way at once; beyond that a click counts, and is not answered."""

log = logging.getLogger("toolgate.approvals")

_Handler = Callable[[web.Request], Awaitable[web.Response]]


class Passed(Struct, forbid_unknown_fields=True):
    """A verdict that a program passes on. ``user`` is who has decided, as the program knows them."""

    token: str
    user: str
    message: str = ""


class Callbacks:
    """The routes of one process."""

    def __init__(self, buttons: Buttons, wall: Callable[[], float] = time.time) -> None:
        self._buttons, self._wall = buttons, wall
        self._throttle, self._poster = Throttle(time.monotonic), Poster()
        self._replies: set[asyncio.Task[None]] = set()

    def add(self, app: web.Application) -> None:
        """Add them to the application of the admin address."""
        app.router.add_post("/callbacks/slack", _answered(self._slack))
        app.router.add_post("/callbacks/webhooks/{name}", _answered(self._webhook))
        app.on_cleanup.append(self._end)

    async def _end(self, _: web.Application) -> None:
        if self._replies:
            await asyncio.wait(self._replies, timeout=2)
        await self._poster.close()

    # -- programs ---------------------------------------------------------------------------------------------------

    async def _webhook(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        channel = self._buttons.channels.get(name)
        if channel is None or channel.webhook is None:
            raise Failure(404, "there is no such webhook")
        key = key_of(channel.webhook.secret)
        await self._signed(request, lambda body: [name] if vouches(key, request.headers, body, self._wall()) else [])
        passed = await body_of(request, Passed)
        approval = await self._press([name], passed.user, passed.token, passed.message)
        return answer({"id": approval.id, "state": approval.state.value, "told": told(approval)})

    # -- Slack ------------------------------------------------------------------------------------------------------

    async def _slack(self, request: web.Request) -> web.Response:
        secrets = {
            name: channel.slack.signing_secret
            for name, channel in self._buttons.channels.items()
            if channel.slack is not None and channel.slack.signing_secret is not None
        }
        if not secrets:
            raise Failure(404, "no channel of Slack has a signing_secret")
        now = self._wall()
        names = await self._signed(
            request,
            lambda body: [
                name for name, secret in secrets.items() if slack.vouches(secret, request.headers, body, now)
            ],
        )
        try:
            form = parse_qs((await request.read()).decode(), strict_parsing=True)
            click = slack.click_of(form["payload"][0])
        except (ValueError, KeyError) as error:
            raise Failure(400, f"this is no payload of Slack's: {error}") from None
        if click is not None:
            await self._clicked(names, click)
        return web.Response(headers=HEADERS)

    async def _clicked(self, names: Collection[str], click: slack.Click) -> None:
        """Give the verdict, and tell whoever clicked what came of it."""
        replace = False
        try:
            approval = await self._press(names, click.user, click.token, click.message)
            text = f"{told(approval)}: {approval.agent}: {approval.tool} {approval.operation}"
            replace = approval.state is not ApprovalState.WAITING
        except Failure as failure:
            text = f"{failure.detail}. {failure.advice}".strip()
        for config in [self._buttons.channels[name].slack for name in names]:
            if config is not None and slack.may_reply(config, click.reply):
                # By the Web API the message itself is changed, as soon as the decision is told.
                self._reply(click.reply, slack.reply_of(text, replace=replace and config.url is not None))
                return

    def _reply(self, address: str, message: dict[str, object]) -> None:
        if len(self._replies) < MOST_REPLIES:
            task = asyncio.create_task(self._post(address, message))
            self._replies.add(task)
            task.add_done_callback(self._replies.discard)

    async def _post(self, address: str, message: dict[str, object]) -> None:
        try:
            await self._poster.post(address, orjson.dumps(message), {"Content-Type": "application/json"})
        except Undelivered as error:
            log.warning("a click in Slack could not be answered: %s", error)

    # -- both -------------------------------------------------------------------------------------------------------

    async def _signed(self, request: web.Request, vouching: Callable[[bytes], list[str]]) -> list[str]:
        """The channels whose secret the request is signed with. Raises Failure where there is none.

        Who signs passes however often others failed: it cannot be guessed, and behind a proxy all are one peer.
        """
        names = vouching(await request.read())
        if not names:
            peer = request.remote or "unknown"
            self._throttle.take(peer)
            log.warning("callback %s from %s: not signed by its channel", request.path, peer)
            raise Failure(401, "the request is not signed with the channel's secret, or was signed long ago")
        return names

    async def _press(self, names: Collection[str], user: str, token: str, message: str) -> Approval:
        """Give a verdict for a user of one of these channels. Raises Failure: it is not given."""
        try:
            link = self._buttons.read(token)
            if link.channel not in names or link.recipient:
                raise BadLink("this button is not one of this channel's")
            who = self._buttons.who(link.channel, user)
            if who is None:
                log.warning("channel %s: %.64r is not among approvers and tried to %s", link.channel, user, link.verb)
                advice = f"Whoever configures Toolgate can name {user[:64]} under approvers of the channel."
                raise Failure(403, "You are not among those who may decide here", advice)
            return await self._buttons.press(token, who, message)
        except BadLink as error:
            raise Failure(403, str(error)) from None
        except NotThere as error:
            raise Failure(404, str(error)) from None
        except VerdictError as error:
            raise Failure(403, str(error)) from None
        except Conflict as error:
            raise Failure(409, str(error)) from None
        except StoreUnavailable as error:
            raise Failure(503, f"the verdict cannot be stored now: {error}", "Decide on the page instead.") from None


def _answered(handler: _Handler) -> _Handler:
    async def handle(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except Failure as failure:
            return problem(failure)

    return handle
