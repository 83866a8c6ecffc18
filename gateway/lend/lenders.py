"""The lenders of all tools. What they have fetched outlives reloads, by the settings that it was fetched with."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from weakref import WeakSet

from gateway.errors import UpstreamError
from gateway.execute.forward import Forwarder
from gateway.lend.sources import FixedSource, Source, Unavailable
from gateway.model import Agent, Call, Lent, Reason, Tool
from gateway.model.credentials import Aws, Fixed, Loan, OAuth2
from gateway.policy.globs import glob_regex
from gateway.ports import Lender

_NONE = Lent()
Learn = Callable[[str, str], None]
"""Told the name of a tool, and what is secret from now on."""


class Offer:
    """A source, and who gets what it has."""

    def __init__(self, loan: Loan, source: Source) -> None:
        self.source = source
        self._all = loan.agents == ("*",)
        self._agents = _globs(loan.agents)
        self._roles = _globs(loan.roles)

    def is_for(self, agent: Agent) -> bool:
        """Whether this agent gets it."""
        if self._all or any(pattern.fullmatch(agent.id) for pattern in self._agents):
            return True
        return any(pattern.fullmatch(role) for pattern in self._roles for role in agent.roles)


def _globs(patterns: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    return tuple([glob_regex(pattern) for pattern in patterns])


class ToolLender:
    """The credentials of one tool (``ports.Lender``): for each place the first that the agent may have. Signatures come
    last, since they are made over the others."""

    def __init__(self, places: Sequence[Sequence[Offer]], *, required: bool) -> None:
        self._places, self._required = places, required

    def lend(self, call: Call, body: bytes | None) -> Lent | Awaitable[Lent]:
        """Raises UpstreamError."""
        sources = self._sources(call)
        if not sources:
            if self._required:
                raise _error(Unavailable("this agent is given none of the tool's credentials", 403))
            return _NONE
        if call.request.method == "CONNECT":
            return _NONE  # a tunnel: nothing in it is ours to write
        so_far = _NONE
        try:
            for at, source in enumerate(sources):
                lent = source.lend(call, body, so_far)
                if not isinstance(lent, Lent):
                    return self._later(call, body, so_far, lent, sources[at + 1 :])
                so_far = _both(so_far, lent)
        except Unavailable as error:
            raise _error(error) from None
        return so_far

    def rejected(self, call: Call) -> None:
        """The tool answered 401."""
        for source in self._sources(call):
            source.rejected(call)

    def _sources(self, call: Call) -> list[Source]:
        found = []
        for offers in self._places:
            for offer in offers:
                if offer.is_for(call.agent):
                    found.append(offer.source)
                    break
        return found

    async def _later(
        self, call: Call, body: bytes | None, so_far: Lent, first: Awaitable[Lent], rest: Sequence[Source]
    ) -> Lent:
        try:
            so_far = _both(so_far, await first)
            for source in rest:
                lent = source.lend(call, body, so_far)
                so_far = _both(so_far, lent if isinstance(lent, Lent) else await lent)
        except Unavailable as error:
            raise _error(error) from None
        return so_far


def _both(one: Lent, other: Lent) -> Lent:
    if one is _NONE:
        return other
    return Lent(one.fields + other.fields, one.query + other.query, one.secrets + other.secrets)


def _error(error: Unavailable) -> UpstreamError:
    made = UpstreamError(Reason.CREDENTIAL_UNAVAILABLE, error.status, f"the tool's credential cannot be had: {error}")
    made.unsent = True
    return made


class Lenders:
    """Makes the lenders of each version. ``clock`` is monotonic, ``chance`` gives numbers from 0 to 1."""

    def __init__(self, learn: Learn, clock: Callable[[], float], chance: Callable[[], float]) -> None:
        self._learn, self._clock, self._chance = learn, clock, chance
        self._sources: dict[Any, Source] = {}
        self._retired: WeakSet[Source] = WeakSet()

    def adopt(self, tools: Iterable[Tool]) -> Mapping[str, Lender]:
        """The lenders of these tools, by name; of those that have nothing to lend, none."""
        before, self._sources = self._sources, {}
        made = {tool.name: self._lender(tool, before) for tool in tools if tool.loans}
        for key in before.keys() - self._sources.keys():
            before[key].retire()
            self._retired.add(before[key])
        return made

    async def close(self) -> None:
        """Fetch nothing any more."""
        for source in (*self._sources.values(), *self._retired):
            await source.close()

    def _lender(self, tool: Tool, before: Mapping[Any, Source]) -> Lender:
        places: dict[str, list[Offer]] = {}
        for loan in tool.loans:
            places.setdefault(loan.place, []).append(Offer(loan, self._source(loan.source, tool, before)))
        signed = {loan.place for loan in tool.loans if isinstance(loan.source, Aws)}
        in_order = sorted(places, key=lambda place: place in signed)
        return ToolLender([places[place] for place in in_order], required=tool.loan_required)

    def _source(self, settings: Fixed | OAuth2 | Aws, tool: Tool, before: Mapping[Any, Source]) -> Source:
        key = (tool.name, settings, tool if isinstance(settings, Aws) else None)
        source = self._sources.get(key) or before.get(key) or self._made(settings, tool)
        self._sources[key] = source
        return source

    def _made(self, settings: Fixed | OAuth2 | Aws, tool: Tool) -> Source:
        learn = partial(self._learn, tool.name)
        if isinstance(settings, Fixed):
            return FixedSource(settings)
        if isinstance(settings, OAuth2):
            from gateway.lend.endpoint import OAuth2Source

            return OAuth2Source(settings, self._clock, self._chance, learn)
        from gateway.lend.aws import AwsSource  # botocore is loaded where some tool is AWS

        return AwsSource(settings, Forwarder(tool), self._clock, learn)


__all__ = ["Lenders", "ToolLender"]
