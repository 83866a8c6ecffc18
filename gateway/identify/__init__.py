"""Who is asking? Quiet: reads the request, touches nothing.

The sources are tried in the operator's order. A source answers with an Agent, with None ("not mine"), or raises
Refused where the request carries a credential of its kind that is wrong: a bad key never falls through to a
weaker source.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Sequence
from typing import Protocol

from msgspec import structs

from gateway.errors import Refused
from gateway.model import Agent, Reason, Request, Run


class Source(Protocol):
    """One way to recognise an agent."""

    @property
    def expects(self) -> str:
        """What an agent sends to be recognised, in words."""

    def identify(self, request: Request) -> Agent | Awaitable[Agent] | None:
        """The agent; later where keys must be fetched first. The awaitable raises Refused."""

    @property
    def shows(self) -> bytes:
        """The lower-cased name of the field that it reads a credential from, or nothing."""

    def carried(self, request: Request) -> bool:
        """Whether what stands in that field is a credential of this gateway."""


def identify(request: Request, sources: Sequence[Source]) -> Agent | Awaitable[Agent]:
    """The first agent that a source recognises.

    Raises:
        Refused: 401, no source knows the request, or its credential is wrong.
    """
    for source in sources:
        agent = source.identify(request)
        if agent is not None:
            return agent if len(sources) == 1 else _alone(agent, source, request, sources)
    raise Refused(
        Reason.UNAUTHENTICATED,
        401,
        "no identity source recognised this request",
        "send " + ", or ".join([source.expects for source in sources]),
        ((b"WWW-Authenticate", b'Bearer realm="toolgate"'),),
    )


def _alone(
    agent: Agent | Awaitable[Agent], found: Source, request: Request, sources: Sequence[Source]
) -> Agent | Awaitable[Agent]:
    """The agent, and what it carries that opens this gateway although another source recognised it: not for tools.

    Raises:
        Refused: it carries more than one such credential (RFC 6750, 2).
    """
    lookup, own = request.lookup, found.shows
    for source in sources:
        shows = source.shows
        if shows and shows != own and shows in lookup and source.carried(request):
            if own:
                if isinstance(agent, Coroutine):
                    agent.close()
                names = f"{own.decode()} and {shows.decode()}"
                detail = f"each of {names} carries a credential for this gateway"
                raise Refused(Reason.BAD_REQUEST, 400, detail, "send one of them")
            own = shows
    return structs.replace(agent, credential=own) if own and not found.shows and isinstance(agent, Agent) else agent


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
