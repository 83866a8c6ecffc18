"""An agent that says who it is, believed only where nobody else can speak: from loopback peers.

A redirected connection is as good: it has come to an address of the loopback, from a process of this machine.
"""

from __future__ import annotations

from gateway.model import Agent, Request

LONGEST = 128


class HeaderIdentity:
    """Reads the agent's id from a header field; believed only from loopback peers."""

    shows = b""

    def __init__(self, header: str) -> None:
        self.header = header.lower().encode("ascii")
        self.expects = f"the agent's id in {header.lower()} (believed only from this machine)"
        self._seen: dict[bytes, Agent] = {}

    def identify(self, request: Request) -> Agent | None:
        value = request.lookup.get(self.header)
        if not value or not (request.loopback or request.original):
            return None
        agent = self._seen.get(value)
        if agent is not None:
            return agent
        name = value.decode("latin-1").strip()
        # A repeated field arrives joined by commas: two identities are none.
        if not name or len(name) > LONGEST or not name.isprintable() or "," in name:
            return None
        if len(self._seen) >= 1024:
            self._seen.clear()
        agent = self._seen[value] = Agent(name, source="header")
        return agent

    def carried(self, request: Request) -> bool:  # noqa: ARG002 - a name opens nothing
        return False


class Anonymous:
    """Everybody is this agent. Meant as the last source."""

    shows = b""

    def __init__(self, agent: str) -> None:
        self._agent = Agent(agent, source="anonymous")
        self.expects = "anything"

    def identify(self, request: Request) -> Agent | None:  # noqa: ARG002 - the point is not to look
        return self._agent

    def carried(self, request: Request) -> bool:  # noqa: ARG002
        return False
