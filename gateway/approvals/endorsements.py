"""Endorsements: this value may be used in this run. One look at the data, instead of one for each call with it.

What is kept is a digest of the value, by the tree of runs in which a person has seen it, with who that was: it counts
only for calls on which they could decide.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, structs

from gateway.approvals.followed import Followed
from gateway.approvals.paths import MISSING, at_path, of_args, read_paths
from gateway.approvals.permission import Who, stands_for
from gateway.model import RESULT, UNREAD, Approval, Call, Held, Petition, Ruling
from gateway.policy.fingerprints import canonical
from gateway.policy.people import People
from gateway.policy.readings import MOST as MOST_PATHS
from gateway.ports import Cabinet

KIND = "endorsed"
STANDS = 86_400.0
"""Seconds for which an endorsement counts."""
MOST = 64
"""Values that one verdict may endorse."""
_GIVEN = ("agent.", "run.", "tool.", "mcp.method", "mcp.name", "request.method", "request.time", "budget.")
"""What a rule may read beside arguments: nothing in which an agent could put other data."""


class Endorser(Struct, frozen=True):
    """Who has endorsed, with the roles that they had."""

    id: str
    roles: tuple[str, ...] = ()


class Endorsement(Struct, frozen=True):
    """One value of one run. ``path`` is where it was seen; the value itself is not kept. ``until`` is in seconds since
    the epoch."""

    tree: tuple[str, str]
    path: str
    by: tuple[Endorser, ...]
    approval: str
    until: float


class Endorsements:
    """Those that stand, as this replica knows them."""

    def __init__(self, cabinet: Cabinet, wall: Callable[[], float], people: People) -> None:
        """``wall`` gives seconds since the epoch."""
        self._wall, self._people = wall, people
        self._known = Followed(cabinet, KIND, Endorsement)
        self.start, self.close = self._known.start, self._known.close

    def adopt(self, people: People) -> None:
        """Ask these from now on who may decide."""
        self._people = people

    def endorsed(self, tree: tuple[str, str], value: Any) -> bool:
        """Whether somebody has endorsed this value in this tree of runs (``Call.tree``)."""
        return bool(len(self._known)) and bool(self._by(tree, value))

    def values(self, approval: Approval, payload: bytes, paths: Sequence[str] = ()) -> Mapping[str, Any]:
        """The values of the call at these paths of arguments (``args.to``), by path; without any, those that the rules
        read, or else all arguments. ``payload`` is the docket's.

        Raises:
            ValueError: there is none at one of them, or none at all, or the call names no run; for a person.
        """
        if not approval.tree[1]:
            raise ValueError("the call names no run, so there is nothing in which its values could be used")
        args = msgspec.json.decode(payload).get("args")
        if not isinstance(args, dict):
            raise ValueError("no arguments of this call are known, so none can be endorsed")  # noqa: TRY004 - for a person
        chosen = list(paths) or read_paths(approval) or [f"args.{name}" for name in args]
        if len(chosen) > MOST:
            raise ValueError(f"at most {MOST} values can be endorsed at once, not {len(chosen)}")
        found = {path: value for path in chosen if (value := at_path(args, path)) is not MISSING}
        if gone := [path for path in paths if path not in found]:
            raise ValueError(f"the call has no argument {gone[0][:200]}")
        if all(map(_is_switch, found.values())):
            raise ValueError("there is no value here that could be endorsed, only true, false or nothing at all")
        return found

    async def add(self, approval: Approval, principal: Who, values: Mapping[str, Any]) -> None:
        """Let these values count as endorsed by this person, in the run of this approval.

        Raises:
            StoreUnavailable: not all of them could be stored.
        """
        until = self._wall() + STANDS
        me = Endorser(principal.id, tuple(sorted(principal.roles)))
        for path, value in values.items():

            def joined(standing: Endorsement | None, path: str = path) -> Endorsement:
                if standing is None or standing.until <= self._wall():
                    return Endorsement(approval.tree, path, (me,), approval.id, until)
                others = tuple([one for one in standing.by if one.id != me.id])
                return structs.replace(standing, by=(*others, me), until=until)

            await self._known.change(_key(approval.tree, path, value), joined, STANDS)

    async def rule(self, call: Call, petition: Petition) -> Ruling | None:
        """A hook of the desk: the call may be made where all that the asking rules read of its arguments is endorsed in
        its run, by as many people as must approve, each of whom may decide on it."""
        if not len(self._known) or call.parts or call.args is UNREAD or petition.about == RESULT:
            return None
        by: dict[str, None] = {}
        for held in petition.held:
            mine = self._of_rule(call.args, petition, held)
            if not mine:
                return None
            by.update(dict.fromkeys(mine))
        return Ruling(True, by=tuple(by), verb="endorsed", why="all that the rules read is endorsed in this run")

    def _of_rule(self, args: Mapping[str, Any], petition: Petition, held: Held) -> list[str]:
        """Who has endorsed all that this rule read of the arguments; nobody where something of it is not endorsed, or
        it read what else an agent chooses."""
        if len(held.read) >= MOST_PATHS:  # there may be more
            return []
        by: list[str] = []
        sure = False
        for path, shown in held.read:
            if not of_args(path):
                if not path.startswith(_GIVEN):
                    return []
                continue
            value = at_path(args, path)
            if value is MISSING and shown is None:
                continue
            mine = [] if value is MISSING else self._counting(petition, path, value)
            if not mine or len(mine) < petition.terms.approvers:
                return []
            by += mine
            sure = sure or not _is_switch(value)
        return by if sure else []

    def _counting(self, petition: Petition, path: str, value: Any) -> list[str]:
        """Who has endorsed it in this run and could decide on this call."""
        return [
            one.id
            for one in self._by(petition.tree, value, path)
            if stands_for(
                one.id,
                one.roles,
                petition.terms.who,
                petition.agent,
                petition.roles,
                petition.tree[0],
                self._people,
            )
        ]

    def _by(self, tree: tuple[str, str], value: Any, path: str = "") -> tuple[Endorser, ...]:
        found = self._known.get(_key(tree, path, value)) if tree[1] else None
        return found.by if found is not None and self._wall() < found.until else ()


def _is_switch(value: Any) -> bool:
    """Whether it says so little that it counts only where it was seen: ``true`` for one thing is not so for others."""
    return value is None or isinstance(value, bool)


def _key(tree: tuple[str, str], path: str, value: Any) -> str:
    """Of an endorsement in the cabinet. What is long is agents' own choice, so that all of it counts by its digest."""
    where = path if _is_switch(value) else ""
    return hashlib.sha256(b"\0".join([canonical(list(tree)), where.encode(), canonical(value)])).hexdigest()
