"""Forms of pages that ask nobody who they are before they read one: whatever comes is a form, or told to be none."""

from __future__ import annotations

from urllib.parse import parse_qsl

from aiohttp import web

from gateway.admin.problems import Failure

MOST_FIELDS = 20


async def form_of(request: web.Request) -> dict[str, str]:
    """The fields of a form (``application/x-www-form-urlencoded``, UTF-8), of which there may be one of each name.

    Raises:
        Failure: 400 or 415, it is none.
        web.HTTPRequestEntityTooLarge: as the application bounds it.
    """
    if request.content_type != "application/x-www-form-urlencoded":
        raise Failure(415, "that is not the form of this page")
    try:
        pairs = parse_qsl(
            (await request.read()).decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS
        )
    except ValueError:  # UnicodeDecodeError is one
        raise Failure(400, "that is not the form of this page") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Failure(400, "the form says something twice")
    return fields
