"""Notices as they come, by what matters to a test."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.approvals.notify.links import Links
from gateway.approvals.notify.notices import OPENED, Addresses, Masks, Notice, notice_of
from tests.approvals.asked import NOW, approval, payload

PLAIN = Masks(str, dict)
TO = Addresses("https://gate.example.org", Links(b"k" * 32), "ops")


def notice(
    event: str = OPENED, args: Any = None, *, raw: bytes | None = None, masks: Masks = PLAIN, **fields: Any
) -> Notice:
    asked = approval(**fields)
    held = payload({"amount": 900, "to": "acme"} if args is None else args) if raw is None else raw
    return notice_of(f"{asked.id}.{event}", event, asked, held, masks, TO, NOW)


def texts_of(value: Any) -> str:
    """All of a message, as text in which nothing is escaped but what JSON escapes."""
    return orjson.dumps(value).decode()
