"""What the admin API says where it cannot do as asked: problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from math import ceil
from typing import Any

import orjson
from aiohttp import web

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
"""Of every answer on the admin address."""


class Failure(Exception):  # noqa: N818 - becomes an answer
    """A request that gets a problem for an answer. ``detail`` says what is wrong, ``advice`` what to do instead.
    ``retry_after``: in how many seconds it may be tried again."""

    def __init__(self, status: int, detail: str, advice: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.advice, self.retry_after = status, detail, advice, retry_after

    @property
    def fields(self) -> dict[str, str]:
        """Fields of the answer that belong to it."""
        told = {"WWW-Authenticate": 'Bearer realm="toolgate"'} if self.status == 401 else {}
        return told if self.retry_after is None else {**told, "Retry-After": str(ceil(self.retry_after))}


def wrong(why: str = "") -> Failure:
    """Nobody's token."""
    detail = "the admin token is missing or wrong"
    return Failure(401, f"{detail}: {why}" if why else detail, "send Authorization: Bearer TOKEN")


def problem(failure: Failure, fields: Mapping[str, str] = HEADERS) -> web.Response:
    """The answer to a request that failed."""
    told: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(failure.status).phrase,
        "status": failure.status,
        "detail": failure.detail,
    }
    if failure.advice:
        told["advice"] = failure.advice
    return web.Response(
        body=orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE),
        status=failure.status,
        headers={**fields, **failure.fields, "Content-Type": "application/problem+json"},
    )
