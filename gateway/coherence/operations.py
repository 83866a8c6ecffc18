"""Which calls an entry of a ``memory:`` section is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from gateway.coherence.selectors import NO_PATH
from gateway.model import Call
from gateway.policy.globs import glob_regex


class Operations:
    """Globs of operations, and route templates with their own {names}, whatever templates the tool itself has."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._globs = [glob_regex(each) for each in patterns if "{" not in each]
        self._routes = [_route(each) for each in patterns if "{" in each]
        self.named = _common(self._routes) if self._routes and not self._globs else frozenset[str]()
        """Names that each of them has in its path."""
        self.methods = frozenset(each.partition(" ")[0] for each in patterns)

    def match(self, call: Call, method: str = "") -> Mapping[str, str] | None:
        """The values of the names in the path (percent-decoded); None where they are not about this call. ``method``
        takes the place of the call's own."""
        if self._routes:
            segments = _segments(call.target)
            for wanted, parts in self._routes:
                if wanted == (method or call.request.method) and len(parts) == len(segments):
                    found = _fit(parts, segments)
                    if found is not None:
                        return found
        for glob in self._globs:
            if glob.fullmatch(call.operation) or glob.fullmatch(f"{method or call.request.method} {call.path}"):
                return call.params or NO_PATH
        return None


_Part = tuple[str, bool]
"""A segment of a route: its text, or its name and true."""


def _route(pattern: str) -> tuple[str, list[_Part]]:
    method, _, path = pattern.partition(" ")
    parts = [(each[1:-1], True) if each[:1] == "{" else (each, False) for each in path.strip("/").split("/")]
    return method, parts


def _segments(target: str) -> list[str]:
    """Those of the path, decoded after it is split; a slash at its end says nothing to most servers."""
    path = target.partition("?")[0].removeprefix("/").removesuffix("/")
    return [unquote(each) for each in path.split("/")]


def _fit(parts: Sequence[_Part], segments: Sequence[str]) -> Mapping[str, str] | None:
    values: dict[str, str] = {}
    for (text, is_name), segment in zip(parts, segments, strict=True):
        if is_name and segment:
            values[text] = segment
        elif is_name or text != segment:
            return None
    return values


def _common(routes: Sequence[tuple[str, Sequence[_Part]]]) -> frozenset[str]:
    named = [{text for text, is_name in parts if is_name} for _, parts in routes]
    return frozenset(set.intersection(*named))
