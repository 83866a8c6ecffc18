"""Differences that are known, and why they are none of the protocol's. Everything else fails the run."""

from __future__ import annotations

from .checks import Explained

EXPLAINED = (
    Explained(
        "dns-rebinding-protection",
        "localhost-host-rebinding-rejected",
        r"details\.(statusCode|body)",
        "the gateway refuses foreign hosts itself, since the tool gets the host of its own URL: 403 where the SDK "
        "says 421",
    ),
    Explained(
        ".*",
        "incoming-response",
        r"details\.headers\.(via|server-timing|x-toolgate-call)",
        "fields that the gateway adds to every answer",
    ),
    Explained(
        ".*",
        "incoming-request",
        r"details\.headers\.(via|x-forwarded-(for|host|proto))",
        "fields that the gateway adds to every request",
    ),
)
