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
        "http-header-validation|server-stateless",
        "sep-2243-server-reject-(invalid-headers|error-code)|sep-2575-http-server-header-mismatch-400",
        r"details\.response(Body)?\.error\.(message|data)",
        "the gateway refuses header fields that contradict the body itself, with the status and the code that the "
        "protocol asks for, in words of its own",
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
    Explained(
        ".*",
        "incoming-request",
        r"details\.headers\.accept-encoding",
        "the gateway reads answers, so it asks the tool for uncompressed ones",
    ),
)
