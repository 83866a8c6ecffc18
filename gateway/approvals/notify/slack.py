"""Slack: a message in blocks with buttons, changed later where the Web API is used; and clicks, which Slack signs.

Whatever comes from a call stands in ``plain_text`` objects and in preformatted rich text, where Slack makes nothing of
it: no mentions, no links, no markup.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import msgspec
import orjson
from msgspec import Struct

from gateway.approvals.notify.notices import DECIDED, EXPIRED, Notice
from gateway.approvals.notify.posting import Answer, Poster, Undelivered
from gateway.approvals.notify.texts import cut, line, unlinked
from gateway.config.schema_approvals import SlackChannel

TOLERANCE = 300.0
"""Seconds by which the timestamp of a click may differ from now, as Slack advises."""
LONGEST_HEADER = 150
"""Characters of a header block."""
MOST_FACTS = 10
"""Fields of a section block."""
LONGEST_MESSAGE = 1000
_HOOKS = "https://hooks.slack.com"
MESSAGE = "message"
"""Id of the block and field in which a message to the model is written."""


class Slack:
    """Sends notices to one channel."""

    def __init__(self, config: SlackChannel, poster: Poster) -> None:
        self._config, self._poster = config, poster

    async def send(self, notice: Notice, receipt: str, done: set[str]) -> str:  # noqa: ARG002 - one message
        """Send one; or change the message of which ``receipt`` was given, where that is possible.

        Returns:
            The channel's id and the message's timestamp, by which it can be changed; ``sent`` by an incoming webhook.

        Raises:
            Undelivered: it was not taken.
        """
        message = message_of(notice, buttons=self._config.signing_secret is not None)
        if self._config.url is not None:
            await self._poster.post(self._config.url, orjson.dumps(message), {"Content-Type": "application/json"})
            return "sent"
        channel, _, stamp = receipt.partition(" ")
        if stamp and notice.event in (DECIDED, EXPIRED):
            return await self._call("chat.update", {**message, "channel": channel, "ts": stamp})
        return await self._call("chat.postMessage", {**message, "channel": self._config.channel})

    async def _call(self, method: str, message: Mapping[str, Any]) -> str:
        fields = {"Content-Type": "application/json; charset=utf-8", "Authorization": f"Bearer {self._config.token}"}
        answer = await self._poster.post(f"{self._config.api}/{method}", orjson.dumps(message), fields)
        said = _said(answer)
        if said.get("ok") is not True:
            error = str(said.get("error", ""))[:80]
            raise Undelivered(f"Slack said: {error}", again=error in ("ratelimited", "internal_error", "fatal_error"))
        return f"{said.get('channel', '')} {said.get('ts', '')}"


def _said(answer: Answer) -> dict[str, Any]:
    try:
        return msgspec.json.decode(answer.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Undelivered("Slack's answer is no JSON", again=True) from None


def message_of(notice: Notice, *, buttons: bool) -> dict[str, Any]:
    """The message. ``buttons``: clicks can be verified."""
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": _plain(notice.title, LONGEST_HEADER)},
        {"type": "section", "fields": [_plain(f"{name}\n{value}", 2000) for name, value in notice.facts[:MOST_FACTS]]},
    ]
    if notice.asks:
        text = {"type": "text", "text": unlinked(notice.call)}
        blocks.append({"type": "rich_text", "elements": [{"type": "rich_text_preformatted", "elements": [text]}]})
    if notice.asks and buttons:
        blocks.append(_message_field())
    blocks.append({"type": "actions", "elements": _buttons(notice, buttons=buttons)})
    fallback = escaped(unlinked(cut(notice.title, LONGEST_HEADER)))
    return {"text": fallback, "mrkdwn": False, "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def escaped(text: str) -> str:
    """The text with what begins a mention or a link in Slack's markup as entities."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str, longest: int) -> dict[str, Any]:
    return {"type": "plain_text", "text": cut(unlinked(text), longest), "emoji": False}


def _message_field() -> dict[str, Any]:
    field = {"type": "plain_text_input", "action_id": MESSAGE, "max_length": LONGEST_MESSAGE}
    label = {"type": "plain_text", "text": "What the agent is told with a denial", "emoji": False}
    return {"type": "input", "block_id": MESSAGE, "optional": True, "label": label, "element": field}


def _buttons(notice: Notice, *, buttons: bool) -> list[dict[str, Any]]:
    approval, to = notice.approval, notice.to
    opening = {"type": "button", "action_id": "open", "text": _plain("Open", 20), "url": to.page(approval)}
    if not (notice.asks and buttons):
        return [opening]
    return [
        {
            "type": "button",
            "action_id": verb,
            "style": "primary" if verb == "approve" else "danger",
            "text": _plain(verb.capitalize(), 20),
            "value": to.token(approval, verb),
        }
        for verb in notice.verbs
    ] + [opening]


# -- clicks ---------------------------------------------------------------------------------------------------------


class Click(Struct, frozen=True):
    """A button that somebody has pressed. ``reply`` is the address at which Slack takes answers to it."""

    user: str
    token: str
    message: str
    reply: str


def vouches(secret: str, fields: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether Slack has signed this body, not long ago (Slack: Verifying requests from Slack, v0)."""
    at, shown = fields.get("X-Slack-Request-Timestamp", ""), fields.get("X-Slack-Signature", "")
    if not (at.isascii() and at.isdecimal() and len(at) <= 12 and abs(now - int(at)) <= TOLERANCE):
        return False
    expected = "v0=" + hmac.new(secret.encode(), b"v0:%b:%b" % (at.encode(), body), sha256).hexdigest()
    return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), expected.encode())


def click_of(payload: str) -> Click | None:
    """What was pressed; None where it is nothing to decide (the button that only opens a page).

    Raises:
        ValueError: it is nothing that Slack sends.
    """
    try:
        said = msgspec.json.decode(payload, type=_Payload)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise ValueError(str(error)) from None
    if said.type != "block_actions" or not said.actions:
        return None
    action = said.actions[0]
    if action.action_id not in ("approve", "deny"):
        return None
    written = said.state.values.get(MESSAGE, {}).get(MESSAGE)
    message = written.value if written is not None else None
    return Click(said.user.id, action.value, (message or "")[:LONGEST_MESSAGE], said.response_url)


def reply_of(text: str, *, replace: bool) -> dict[str, Any]:
    """What whoever clicked is told; in the place of the message, or to them alone."""
    shown = {"text": escaped(unlinked(line(text, 500))), "mrkdwn": False}
    return {**shown, "replace_original": True} if replace else {**shown, "response_type": "ephemeral"}


def may_reply(config: SlackChannel, address: str) -> bool:
    """Whether this is where Slack takes answers: what is signed is believed, and yet not everything asked for."""
    places = [urlsplit(one) for one in (_HOOKS, config.api, config.url) if one is not None]
    found = urlsplit(address)
    return any(found.scheme == one.scheme and found.netloc == one.netloc for one in places)


class _User(Struct, frozen=True):
    id: str


class _Action(Struct, frozen=True):
    action_id: str = ""
    value: str = ""


class _Written(Struct, frozen=True):
    value: str | None = None


class _State(Struct, frozen=True):
    values: dict[str, dict[str, _Written]] = {}


class _Payload(Struct, frozen=True):
    type: str
    user: _User
    actions: tuple[_Action, ...] = ()
    state: _State = _State()
    response_url: str = ""
