"""What of a request target may be recorded."""

from __future__ import annotations


def path_of(target: str) -> str:
    """The path of a request target in any of its four forms: without query, fragment, and what may be a password."""
    path = target.partition("?")[0].partition("#")[0]
    if path[:1] in ("/", "*"):
        return path
    scheme, separator, rest = path.partition("://")
    if not separator:  # CONNECT's host:port
        return path.rpartition("@")[2]
    authority, slash, below = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{below}"
