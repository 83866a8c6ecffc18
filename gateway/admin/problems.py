"""What the admin API says where it cannot do as asked: problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

HEADERS: Mapping[str, str] = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Of every answer on the admin address."""


class Failure(Exception):  # noqa: N818 - becomes an answer
    """A request that gets a problem for an answer. ``detail`` says what is wrong, ``advice`` what to do instead."""

    def __init__(self, status: int, detail: str, advice: str = "") -> None:
        super().__init__(detail)
        self.status, self.detail, self.advice = status, detail, advice


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
    challenge = {"WWW-Authenticate": 'Bearer realm="toolgate"'} if failure.status == 401 else {}
    return web.Response(
        body=orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE),
        status=failure.status,
        headers={**fields, **challenge, "Content-Type": "application/problem+json"},
    )
