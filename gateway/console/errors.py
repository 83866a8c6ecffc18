"""Why a page cannot be shown. Each becomes a page of its own that says so."""

from __future__ import annotations

from gateway.errors import ToolgateError


class Unshown(ToolgateError):  # noqa: N818 - becomes a page
    """A page that cannot be shown; the text says why and what to do."""

    status = 500
    title = "This cannot be shown"


class Missing(Unshown):
    """There is nothing of that name."""

    status = 404
    title = "Not here"


class Mistaken(Unshown):
    """What was asked for makes no sense."""

    status = 400
    title = "That is no question"


class Busy(Unshown):
    """Too much is asked for at once, or for too long."""

    status = 503
    title = "Too much at once"
