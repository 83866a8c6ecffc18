"""Which turn of a model proposed the call that was then made: proposal, decision, execution.

Quiet, and off the calls' way: told of traces in the order in which they ended. A turn ends before the agent can make
what it proposes, but for agents that act on a stream while it still comes: these calls may stay unlinked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Protocol

from msgspec import Struct

from gateway.model import UNREAD, Call, Permit, Proposal, Trace
from gateway.policy.fingerprints import canonical, digest
from gateway.policy.guards import short

MOST = 64
"""Proposals of one tree that are remembered, the last ones."""
LONGEST = 256
"""Characters of a proposal's name and id."""


class Link(Struct, frozen=True):
    """The proposal that a call follows."""

    call: str
    """Of the model's turn."""
    id: str
    """Of the proposal, as the model gave it; may be empty."""
    name: str
    loosely: bool
    """Only the name fits, or only the arguments: a guess."""


class _Proposed(Struct):
    """A proposal that was passed on to the agent."""

    turn: int
    call: str
    at: float
    """When the turn began, by the steady clock."""
    id: str
    name: str
    plain: str
    args: str
    """Digest of the arguments, empty where they are no JSON object."""
    taken: bool = False


class Trees(Protocol):
    """A bounded table of what is known of trees of runs, by agent and run at their root (``stores.shares.Shares``)."""

    def use(self, key: tuple[str, str]) -> Any: ...
    def put(self, agent: str, key: tuple[str, str], value: Any) -> object: ...
    def __len__(self) -> int: ...


class Links:
    """The last proposals of each tree of runs, in a table of its own. For one thread."""

    def __init__(self, trees: Trees, most: int = MOST) -> None:
        self._trees = trees
        self._most = most
        self._turns = 0

    def linked(self, trace: Trace) -> Link | None:
        """What proposed this call, where that is known; and remember what the call itself, a model's turn, proposes."""
        decision = trace.decision
        call = decision.call if type(decision) is Permit else trace.call
        if call is None:
            return None
        proposed = trace.outcome.found.proposed
        if not proposed and not len(self._trees):
            return None
        agent, run = call.tree
        tree = agent, short(run)
        waiting: list[_Proposed] | None = self._trees.use(tree)
        found = None
        if waiting is not None and not call.implied:
            found = _proposal_of(call, trace.began, waiting, named=bool(run))
        if proposed:
            self._remember(tree, trace, proposed, waiting)
        return found

    def _remember(
        self, tree: tuple[str, str], trace: Trace, proposed: tuple[Proposal, ...], waiting: list[_Proposed] | None
    ) -> None:
        self._turns += 1
        known = [] if waiting is None else waiting
        known += [
            _Proposed(
                self._turns,
                trace.id,
                trace.began,
                one.id[:LONGEST],
                one.name[:LONGEST],
                plain(one.name[:LONGEST]),
                "" if one.args is None else _digest(one.args),
            )
            for one in proposed[: self._most]
            if not one.refused
        ]
        del known[: -self._most]
        if waiting is None and known:
            self._trees.put(tree[0], tree, known)


def _proposal_of(call: Call, began: float, waiting: list[_Proposed], *, named: bool) -> Link | None:
    """The proposal that fits best: name and arguments, else the name, else the arguments; of these the newest turn's,
    and of one turn the first. A call that repeats another one follows the same proposal, if it fits wholly. Without the
    name of a run, calls of many runs are taken together, so that only what fits wholly counts."""
    names, args = _names(call), _args(call)
    best: tuple[int, int] | None = None
    chosen: _Proposed | None = None
    for one in waiting:
        if one.at > began:
            continue
        by_name, by_args = one.plain in names, bool(args) and one.args in args
        if by_name and by_args:
            rank = (3 if one.taken else 4), one.turn
        elif one.taken or not named or not (by_name or by_args):
            continue
        else:
            rank = (2 if by_name else 1), one.turn
        if best is None or rank > best:
            best, chosen = rank, one
    if chosen is None or best is None:
        return None
    chosen.taken = True
    return Link(chosen.call, chosen.id, chosen.name, best[0] < 3)


def _names(call: Call) -> frozenset[str]:
    found = frozenset[str]()
    for one in call.parts or (call,):
        found |= names_of(one.tool.name, one.operation[:LONGEST], str(one.facts.get("mcp.name") or "")[:LONGEST])
    return found


@lru_cache(maxsize=1024)
def names_of(tool: str, operation: str, mcp_name: str = "") -> frozenset[str]:
    """Under which names a model may have proposed a call: that of the operation, or the last word of its path, alone or
    after that of the tool, as SDKs write them (``mcp__files__read_file``)."""
    words = [word for word in re.split(r"[/\s]", operation) if word and not word.startswith("{")]
    told = {operation, mcp_name, words[-1] if words else ""}
    return frozenset(filter(None, map(plain, (tool, *(name for name in told), *(tool + name for name in told)))))


def plain(name: str) -> str:
    """A name without case and punctuation, and without what SDKs put before those of MCP tools."""
    return re.sub(r"[^0-9a-z]", "", name.lower().removeprefix("mcp__"))


def _args(call: Call) -> frozenset[str]:
    """Digests of the arguments of the call, or of each call of a batch; of none, nothing that would tell them apart."""
    return frozenset(_digests(call))


def _digests(call: Call) -> Iterator[str]:
    for one in call.parts or (call,):
        if one.args is not UNREAD and one.args and (found := _digest(one.args)):
            yield found


def _digest(args: Mapping[str, Any]) -> str:
    try:
        return digest(canonical(args))
    except (TypeError, ValueError, RecursionError):
        return ""
