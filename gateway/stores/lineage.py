"""Which run led to which."""

from __future__ import annotations

from gateway.model import Agent, Call, Fields, Request, Run


class Roots:
    """ports.Lineage where nothing asks for it: every run is a root, and tools are told nothing."""

    def place(self, request: Request, agent: Agent, run: Run) -> Run:  # noqa: ARG002
        """The run as it is."""
        return run

    def onward(self, call: Call) -> Fields:  # noqa: ARG002
        """Nothing."""
        return ()
