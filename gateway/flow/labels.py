"""The labels that the operator has given the operations of one tool."""

from __future__ import annotations

from gateway.model import FlowLabels, Tool
from gateway.policy.labelled import Labelled

UNLABELLED = FlowLabels(("*",))
"""Of an operation that nobody has labelled: its results are not trusted, and mark no run."""
_MOST, _LONGEST = 4096, 512


class FlowMap:
    """Labels by operation, remembered."""

    def __init__(self, tool: Tool) -> None:
        self._labelled = Labelled(tool.flows)
        self._known: dict[str, FlowLabels] = {}

    def of(self, operation: str) -> FlowLabels:
        """The labels of this operation."""
        found = self._known.get(operation)
        if found is None:
            found = self._labelled.of(operation) or UNLABELLED
            if len(operation) <= _LONGEST:
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known[operation] = found
        return found
