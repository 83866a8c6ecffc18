"""Known-answer checks: calls that nobody makes and that must be denied, beside real ones, to see whether people look.

They have the agent, run, rules and terms of a call that was asked about, and other arguments: those that the operator
wrote, or of a call of the same operation that a person denied in the last hour. They come while the agent of that call
may still be on the line, at random, and seem to have one there too, so that nothing tells them apart; what an approver
was given they are told once they have decided.

They are bound to a random digest, which no call has, and ``states.claimed`` refuses them: nothing can be made of one.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from msgspec import Struct, structs

from gateway.approvals.docket import Docket
from gateway.approvals.samples import verdict_of
from gateway.errors import StoreUnavailable
from gateway.model import RESULT, Approval, ApprovalState, Call, Held, Petition, Ruling

LATEST = 60.0
"""Seconds after the call beside which it is put, at most."""
MOST = 20
"""Checks on their way to people."""
MOST_PUT = 1000
"""Checks that this replica remembers to have put."""

log = logging.getLogger("toolgate.approvals")


class Check(Struct, frozen=True):
    """A call that must be denied. An empty ``tool`` is any; an empty ``message`` what the rule says."""

    operation: str
    args: Mapping[str, Any]
    tool: str = ""
    message: str = ""

    def fits(self, petition: Petition) -> bool:
        """Whether it can be put beside this call."""
        return self.operation == petition.operation and self.tool in ("", petition.tool)


class Canaries:
    """Puts them beside real calls. ``chance`` gives numbers from 0 to 1 that no agent can foresee; ``new_call`` ids of
    calls."""

    def __init__(
        self, docket: Docket, chance: Callable[[], float], new_call: Callable[[], str], latest: float = LATEST
    ) -> None:
        self._docket, self._chance, self._new_call, self._latest = docket, chance, new_call, latest
        self._put_here: dict[str, None] = {}
        self._checks: tuple[Check, ...] = ()
        self._coming: set[asyncio.Task[None]] = set()

    def adopt(self, checks: Sequence[Check]) -> None:
        """Use what the operator wrote from now on."""
        self._checks = tuple(checks)

    async def close(self) -> None:
        """Put no more."""
        for coming in self._coming:
            coming.cancel()
        if self._coming:
            await asyncio.wait(self._coming)

    async def before(self, _: Call, petition: Petition) -> Ruling | None:
        """A call is about to be put before people; see ``Desk``. Rules on nothing."""
        share = petition.terms.canary
        if share and petition.about != RESULT and self._chance() < share and len(self._coming) < MOST:
            after = self._chance() * min(self._latest, petition.terms.hold)
            coming = asyncio.get_running_loop().create_task(self._put(petition, after))
            self._coming.add(coming)
            coming.add_done_callback(self._coming.discard)
        return None

    async def _put(self, petition: Petition, after: float) -> None:
        await asyncio.sleep(after)
        try:
            check = self._written(petition) or await self._denied(petition)
            like = None if check is None else petition_like(petition, check, os.urandom(16).hex(), self._new_call())
            if like is not None:
                self._remember(await self._docket.open(like, canary=True))
        except StoreUnavailable as error:
            log.debug("a known-answer check cannot be put: %s", error)

    def _remember(self, put: Approval) -> None:
        self._put_here[put.id] = None
        if len(self._put_here) > MOST_PUT:
            del self._put_here[next(iter(self._put_here))]

    def seems_held(self, ident: str) -> bool:
        """Whether an agent would be on the line here now, if this were a real call: true of checks of this replica
        only, as it is of its calls."""
        one = self._docket.find(ident) if ident in self._put_here else None
        return (
            one is not None and one.state is ApprovalState.WAITING and self._docket.now() < one.opened + one.terms.hold
        )

    def _written(self, petition: Petition) -> Check | None:
        fitting = [check for check in self._checks if check.fits(petition)]
        return fitting[int(self._chance() * len(fitting)) % len(fitting)] if fitting else None

    async def _denied(self, petition: Petition) -> Check | None:
        """A call of the same operation that a person denied."""
        found = [
            one
            for one in self._docket
            if one.state is ApprovalState.DENIED
            and not one.canary
            and (one.tool, one.operation, one.rules) == (petition.tool, petition.operation, _rules(petition))
            and verdict_of(one)
        ]
        if not found:
            return None
        chosen = found[int(self._chance() * len(found)) % len(found)]
        args = _args(await self._docket.payload(chosen.id))
        return None if args is None else Check(petition.operation, args)


def petition_like(petition: Petition, check: Check, binding: str, call: str) -> Petition | None:
    """The check as it is laid before people, beside this call; None where nothing of the call's arguments is known."""
    shown = orjson.loads(petition.payload) if petition.payload else {}
    if not isinstance(shown.get("args"), dict) or shown.get("parts"):
        return None
    shown["args"] = dict(check.args)
    held = tuple(
        [
            Held(
                one.rule,
                check.message or one.text,
                tuple([(path, _at(path, shown, value)) for path, value in one.read]),
            )
            for one in petition.held
        ]
    )
    terms = structs.replace(petition.terms, canary=0.0)
    return structs.replace(
        petition, binding=binding, held=held, terms=terms, call=call, payload=orjson.dumps(shown, default=str)
    )


def debrief(approval: Approval) -> str:
    """What whoever decided is told of it now: empty, unless it was a check."""
    if not approval.canary or approval.state is ApprovalState.WAITING:
        return ""
    if approval.state is ApprovalState.DENIED:
        return "This was a check, and you have caught it: nobody made this call, and denying it was right."
    return (
        "This was a check: nobody made this call, so nothing happens. It should have been denied; look once more at"
        " what you approve."
    )


def _rules(petition: Petition) -> tuple[str, ...]:
    return tuple([held.rule for held in petition.held])


def _args(payload: bytes | None) -> dict[str, Any] | None:
    shown = orjson.loads(payload) if payload else {}
    args = shown.get("args")
    return args if isinstance(args, dict) else None


def _at(path: str, shown: Mapping[str, Any], value: Any) -> Any:
    """What stands there now; values that are not of the arguments stay as they are."""
    first, *names = path.split(".")
    if first != "args":
        return value
    found: Any = shown["args"]
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found
