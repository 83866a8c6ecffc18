"""A program of the operator's own, as Standard Webhooks has it (https://www.standardwebhooks.com, version 1)."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import orjson

from gateway.approvals.notify.notices import Notice, moment
from gateway.approvals.notify.posting import Poster
from gateway.config.schema_approvals import WebhookChannel, key_of
from gateway.model import Approval

TOLERANCE = 300.0
"""Seconds by which the timestamp of what is signed may differ from now, as Standard Webhooks advises."""


class Webhook:
    """Sends notices to one receiver."""

    def __init__(self, config: WebhookChannel, poster: Poster) -> None:
        self._url, self._key, self._poster = config.url, key_of(config.secret), poster

    async def send(self, notice: Notice, receipt: str, done: set[str]) -> str:  # noqa: ARG002 - one message, no changes
        """Send one.

        Raises:
            Undelivered: it was not taken.
        """
        body = orjson.dumps(body_of(notice), default=str)
        ident, at = f"msg_{notice.ident}", str(int(notice.at))
        fields = {
            "Content-Type": "application/json",
            "webhook-id": ident,
            "webhook-timestamp": at,
            "webhook-signature": signature(self._key, ident, at, body),
        }
        await self._poster.post(self._url, body, fields)
        return "sent"


def vouches(key: bytes, fields: Mapping[str, str], body: bytes, now: float) -> bool:
    """Whether this body, which came with these fields, was signed with the key, not long ago."""
    ident, at = fields.get("webhook-id", ""), fields.get("webhook-timestamp", "")
    if not (ident and at.isascii() and at.isdecimal() and len(at) <= 12 and abs(now - int(at)) <= TOLERANCE):
        return False
    expected = signature(key, ident, at, body).encode()
    shown = fields.get("webhook-signature", "").split(" ")[:8]
    return any(hmac.compare_digest(one.encode("utf-8", "surrogateescape"), expected) for one in shown)


def signature(key: bytes, ident: str, at: str, body: bytes) -> str:
    """Of a message with this id and timestamp."""
    signed = b"%b.%b.%b" % (ident.encode("utf-8", "surrogateescape"), at.encode(), body)
    return "v1," + b64encode(hmac.new(key, signed, sha256).digest()).decode()


def body_of(notice: Notice) -> dict[str, Any]:
    """What a program is told."""
    approval, to = notice.approval, notice.to
    verbs = () if not notice.asks else ("deny",) if notice.payload.get("cut") else ("approve", "deny")
    tokens = {verb: to.token(approval, verb) for verb in verbs}
    return {
        "type": f"approval.{notice.event}",
        "timestamp": moment(notice.at),
        "data": {
            "title": notice.title,
            "facts": [{"name": name, "value": value} for name, value in notice.facts],
            "approval": _shown(approval),
            "call": notice.payload,
            "links": {"open": to.page(approval)},
            "tokens": tokens,
        },
    }


def _shown(approval: Approval) -> dict[str, Any]:
    """An approval for programs; that one is a check of whoever decides is told to nobody."""
    return {
        "id": approval.id,
        "state": approval.state.value,
        "agent": approval.agent,
        "roles": approval.roles,
        "run": approval.run,
        "root": {"agent": approval.tree[0], "run": approval.tree[1]},
        "tool": approval.tool,
        "operation": approval.operation,
        "rules": list(approval.rules),
        "opened": moment(approval.opened),
        "until": moment(approval.expires),
        "impact": approval.terms.impact,
        "approvers": approval.terms.approvers,
        "approvals": approval.approvals,
        "about": approval.about or "call",
        "editable": approval.editable,
        "answerable": approval.answerable,
        "decided": moment(approval.decided) if approval.decided else None,
        "by": list(dict.fromkeys([vote.by for vote in approval.votes if vote.verb != "ask"])),
    }
