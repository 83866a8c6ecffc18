"""Microsoft Teams: an Adaptive Card, posted to a workflow that waits for webhook requests.

Such a workflow can show cards and open links, and has no way back: ``Action.Execute`` and ``Action.Submit`` need a bot.
And a link that decides would be good for everybody in the channel. So the card has one button, to the page of the
approval, on which one logs in. Texts of calls stand in ``TextRun`` elements, which know no Markdown (Adaptive Cards
1.2), and so have neither links nor mentions.
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.approvals.notify.notices import Notice
from gateway.approvals.notify.posting import Poster, Undelivered
from gateway.approvals.notify.texts import unlinked
from gateway.config.schema_approvals import TeamsChannel

MOST_BYTES = 28 * 1024
"""Of a message; Teams takes no larger ones."""


class Teams:
    """Sends notices to one workflow."""

    def __init__(self, config: TeamsChannel, poster: Poster) -> None:
        self._url, self._poster = config.url, poster

    async def send(self, notice: Notice, receipt: str, done: set[str]) -> str:  # noqa: ARG002 - one message, no changes
        """Send one.

        Raises:
            Undelivered: it was not taken.
        """
        body = orjson.dumps(message_of(notice))
        if len(body) > MOST_BYTES:
            raise Undelivered(f"the card has {len(body)} bytes, and Teams takes {MOST_BYTES}", again=False)
        await self._poster.post(self._url, body, {"Content-Type": "application/json"})
        return "sent"


def message_of(notice: Notice) -> dict[str, Any]:
    """The message with its card."""
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": _body(notice),
        "actions": _actions(notice),
        "msteams": {"width": "Full"},
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": card}]}


def _body(notice: Notice) -> list[dict[str, Any]]:
    rows = [_text([{"text": notice.title, "weight": "Bolder", "size": "Medium"}])]
    rows += [_text([{"text": f"{name}: ", "weight": "Bolder"}, {"text": value}]) for name, value in notice.facts]
    if notice.asks:
        rows += [_text([{"text": row or " ", "fontType": "Monospace"}]) for row in notice.call.split("\n")]
    return rows


def _text(runs: list[dict[str, Any]]) -> dict[str, Any]:
    made = [{"type": "TextRun", **run, "text": unlinked(run["text"])} for run in runs]
    return {"type": "RichTextBlock", "inlines": made, "spacing": "Small"}


def _actions(notice: Notice) -> list[dict[str, Any]]:
    title = "Look and decide" if notice.asks else "Open"
    return [{"type": "Action.OpenUrl", "title": title, "url": notice.to.page(notice.approval)}]
