"""Who calls, as the gateway tells it: what the agent itself sends by this name is dropped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from gateway.model import Call, Lent
from gateway.model.shelf import Provenance

FIELD = "X-Toolgate-By"
"""The field that tells it, in JSON of ASCII characters."""
_ASSURING = frozenset({"trusted", "public"})
"""Labels that a value does not have because its writer has read what has them: a model may write anything."""


class Caller(Struct, frozen=True):
    """An agent's call, for whom a namespace is or is not. ``labels`` are those of its run."""

    agent: str
    roles: tuple[str, ...] = ()
    run: str = ""
    call: str = ""
    labels: tuple[str, ...] = ()

    def wrote(self, *labels: str) -> Provenance:
        """Provenance of what it writes, with these labels besides."""
        return Provenance(self.agent, self.run, self.call, tuple(sorted({*self.labels, *labels})))


class Introducer:
    """Tells the memory of each call who makes it (``ports.Lender``). ``labels_of`` gives those of a tree of runs."""

    def __init__(self, labels_of: Callable[[tuple[str, str]], tuple[str, ...]]) -> None:
        self._labels_of = labels_of

    def lend(self, call: Call, body: bytes | None) -> Lent:  # noqa: ARG002 - whatever is sent
        """The field that tells it."""
        flow = () if call.flow is None else call.flow.labels
        told = {
            "agent": call.agent.id,
            "roles": call.agent.roles,
            "run": call.run.id,
            "call": call.id,
            "labels": sorted({*self._labels_of(call.tree), *flow} - _ASSURING),
        }
        return Lent(((FIELD.encode(), json.dumps(told).encode()),))

    def rejected(self, call: Call) -> None:
        """There is nothing to reject."""


def caller_in(fields: Mapping[str, str]) -> Caller:
    """Who calls, by the fields of a request.

    Raises:
        ValueError: it does not come from the gateway.
    """
    told: Any = json.loads(fields.get(FIELD, "null"))
    if not isinstance(told, dict):
        raise ValueError("the gateway has not said who calls")  # noqa: TRY004 - one kind of error for the caller
    return Caller(told["agent"], tuple(told["roles"]), told["run"], told["call"], tuple(told["labels"]))
