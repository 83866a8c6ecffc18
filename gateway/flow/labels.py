"""The labels that the operator has given the operations of one tool."""

from __future__ import annotations

import re

from gateway.model import FlowLabels, Tool
from gateway.policy.globs import glob_regex

UNLABELLED = FlowLabels(("*",))
"""Of an operation that nobody has labelled: its results are not trusted, and mark no run."""
_MOST, _LONGEST = 4096, 512


class FlowMap:
    """Labels by operation. The first of the tool's entries whose globs match counts."""

    def __init__(self, tool: Tool) -> None:
        self._entries: list[tuple[list[re.Pattern[str]], FlowLabels]] = [
            ([glob_regex(pattern) for pattern in labels.operations], labels) for labels in tool.flows
        ]
        self._known: dict[str, FlowLabels] = {}

    def of(self, operation: str) -> FlowLabels:
        """The labels of this operation."""
        found = self._known.get(operation)
        if found is None:
            found = self._find(operation)
            if len(operation) <= _LONGEST:
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known[operation] = found
        return found

    def _find(self, operation: str) -> FlowLabels:
        for patterns, labels in self._entries:
            if any(pattern.fullmatch(operation) for pattern in patterns):
                return labels
        return UNLABELLED
