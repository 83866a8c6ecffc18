"""The labels that the operator has given the operations of a tool (``flow:``)."""

from __future__ import annotations

import re

from gateway.model import SAFE_METHODS, FlowLabels
from gateway.policy.globs import glob_regex

_NAMES = re.compile(r"\{[^{}/]*\}")
"""Of a route template, each of which stands for one segment."""


class Labelled:
    """Labels by operation. The first of the tool's entries whose globs match counts.

    What servers take for a GET whose text nobody needs (HEAD, and other methods that say they change nothing) has the
    labels of the GET, where it has none of its own: a query that goes out with it is no less of one.
    """

    def __init__(self, flows: tuple[FlowLabels, ...]) -> None:
        self._entries = [([glob_regex(each) for each in labels.operations], labels) for labels in flows]
        routes = [[glob_regex(_NAMES.sub("*", each)) for each in labels.operations] for labels in flows]
        self._routes = list(zip(routes, flows, strict=True))

    def of(self, operation: str) -> FlowLabels | None:
        """The labels of this operation; None where it has none."""
        found = _first(self._entries, operation)
        method, _, path = operation.partition(" ")
        if found is None and path and method in SAFE_METHODS:
            found = _first(self._routes, f"GET {path}")
        return found


def _first(entries: list[tuple[list[re.Pattern[str]], FlowLabels]], operation: str) -> FlowLabels | None:
    return next((labels for globs, labels in entries if any(glob.fullmatch(operation) for glob in globs)), None)
