"""Who is asking? Quiet: reads the request, touches nothing.

The sources are tried in the operator's order. A source answers with an Agent, with None ("not mine"), or raises
Refused where the request carries a credential of its kind that is wrong: a bad key never falls through to a
weaker source.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from gateway.errors import Refused
from gateway.model import Agent, Reason, Request, Run


class Source(Protocol):
    """One way to recognise an agent."""

    @property
    def expects(self) -> str:
        """What an agent sends to be recognised, in words."""

    def identify(self, request: Request) -> Agent | Awaitable[Agent] | None:
        """The agent; later where keys must be fetched first. The awaitable raises Refused."""

    def carried(self, request: Request) -> bytes:
        """The lower-cased name of the field in which the request carries a credential of this gateway, or nothing."""


def identify(request: Request, sources: Sequence[Source]) -> Agent | Awaitable[Agent]:
    """The first agent that a source recognises.

    Raises:
        Refused: 401, no source knows the request, or its credential is wrong.
    """
    for source in sources:
        agent = source.identify(request)
        if agent is not None:
            if not isinstance(agent, Agent) or len(sources) == 1 or agent.credential:
                return agent
            return _without_keys(agent, request, sources)
    raise Refused(
        Reason.UNAUTHENTICATED,
        401,
        "no identity source recognised this request",
        "send " + ", or ".join([source.expects for source in sources]),
        ((b"WWW-Authenticate", b'Bearer realm="toolgate"'),),
    )


def _without_keys(agent: Agent, request: Request, sources: Sequence[Source]) -> Agent:
    """The agent, and what it carries that opens this gateway although another source recognised it: not for tools."""
    for source in sources:
        if name := source.carried(request):
            return Agent(agent.id, agent.roles, agent.source, name)
    return agent


def run_of(request: Request, header: bytes) -> Run:
    """The run a request belongs to: the run header, else the trace id of ``traceparent`` (W3C Trace Context)."""
    lookup = request.lookup
    named = lookup.get(header)
    parent = lookup.get(b"traceparent")
    if named is None and parent is None:
        return NO_RUN
    trace = "" if parent is None else parent.decode("latin-1")[:64]
    if named is not None:
        return Run(named.decode("latin-1")[:128], trace)
    pieces = trace.split("-")
    return Run(pieces[1] if len(pieces) >= 4 and len(pieces[1]) == 32 else "", trace)


NO_RUN = Run()
