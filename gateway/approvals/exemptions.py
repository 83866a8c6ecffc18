"""Exemptions: calls like this one pass without a person, for this run or agent or everybody, so often, until then.

An exemption stands for the verdict of who made it: it counts only for calls on which they could decide, and where one
person is enough. A use is taken by compare and set before the call goes on, so that it is exact whichever replica sees
the call, and what is revoked anywhere lets nothing pass from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct, structs

from gateway.approvals.followed import Followed
from gateway.approvals.matching import PINS, SCOPES, Matcher, check_when
from gateway.approvals.permission import Who, stands_for
from gateway.errors import StoreUnavailable
from gateway.model import RESULT, Approval, Call, Petition, Ruling
from gateway.policy.engine import CelEngine, CelError
from gateway.policy.people import People
from gateway.ports import Cabinet

KIND = "exemption"
USUAL, LONGEST = 86_400.0, 90 * 86_400.0
"""Seconds for which an exemption stands where nobody says, and at most."""
MOST = 1000
"""Exemptions that may stand at once."""


class Like(Struct, frozen=True, forbid_unknown_fields=True):
    """Which calls are like the one that is decided on. ``seconds`` 0 is a day; ``uses`` 0 is without bound."""

    when: str
    """CEL over the call; "true" for every call of the same operation that these rules hold."""
    scope: str = "run"
    """run, agent or everybody."""
    uses: int = 0
    seconds: float = 0.0


class Exemption(Struct, frozen=True):
    """What passes without a person. Times are seconds since the epoch."""

    id: str
    rules: tuple[str, ...]
    """All that hold a call (``policy/rule``) must be among them."""
    tool: str
    operation: str
    """Exactly this one: agents choose what operations are called, so that a glob made of one could be anything."""
    when: str
    scope: str
    agent: str
    """Whose calls; empty with everybody."""
    tree: tuple[str, str]
    """The run, by the root of its tree; two empty texts with agent and everybody."""
    uses: int
    """How often it may still be used; 0 where ``bounded`` is false."""
    bounded: bool
    until: float
    by: str
    roles: tuple[str, ...]
    """Those of who made it, then."""
    approval: str
    created: float
    used: int = 0
    """How often it has been used; at least so often where it is not bounded."""


class Exemptions:
    """Those that stand, as this replica knows them."""

    def __init__(
        self,
        cabinet: Cabinet,
        wall: Callable[[], float],
        new_id: Callable[[], str],
        engine: CelEngine,
        people: People,
    ) -> None:
        """``wall`` gives seconds since the epoch; ``new_id`` an id unlike any other."""
        self._wall, self._new_id, self._people = wall, new_id, people
        self._engine, self._matcher = engine, Matcher(engine)
        self._known = Followed(cabinet, KIND, Exemption, self._put)
        self.start, self.close = self._known.start, self._known.close

    def adopt(self, engine: CelEngine, people: People) -> None:
        """Other policies: what stands is compiled for them."""
        self._engine, self._people = engine, people
        self._matcher = Matcher(engine)
        for exemption in self._known:
            self._matcher.put(exemption.id, exemption)

    def standing(self) -> list[Exemption]:
        """All that stand, the newest first."""
        now = self._wall()
        return sorted([one for one in self._known if now < one.until], key=lambda one: (-one.created, one.id))

    def find(self, ident: str) -> Exemption | None:
        """The exemption with this id, where it stands."""
        found = self._known.get(ident)
        return found if found is not None and self._wall() < found.until else None

    def check(self, approval: Approval, like: Like) -> None:
        """Raises ValueError where calls like this cannot be let pass; the text says why, for a person."""
        if like.scope not in SCOPES:
            raise ValueError(f"scope is {like.scope[:40]!r}; it must be one of {', '.join(SCOPES)}")
        if like.scope == "run" and not approval.tree[1]:
            raise ValueError("the call names no run; let calls like this pass for its agent, or for everybody")
        if PINS in approval.rules:
            raise ValueError("its tool is not as it was approved; pin it (toolgate tools pin) to let it pass")
        if like.uses < 0:
            raise ValueError("uses must be 0 (without bound) or more")
        if not 0 <= like.seconds <= LONGEST:
            raise ValueError(f"an exemption stands for at most {LONGEST / 86_400:g} days")
        if len(self._known) >= MOST:
            raise ValueError(f"{MOST} exemptions stand; revoke some, or write a rule")
        try:
            check_when(self._engine, like.when)
        except CelError as error:
            hint = f"; {error.hint}" if error.hint else ""
            raise ValueError(f"when, column {error.column}: {error.message}{hint}") from None

    async def add_like(self, approval: Approval, principal: Who, like: Like) -> Exemption:
        """Let calls like the one of this approval pass from now on.

        Raises:
            ValueError: see ``check``.
            StoreUnavailable: it cannot be stored.
        """
        self.check(approval, like)
        now = self._wall()
        return await self.add(
            Exemption(
                self._new_id(),
                approval.rules,
                approval.tool,
                approval.operation,
                like.when,
                like.scope,
                "" if like.scope == "everybody" else approval.agent,
                approval.tree if like.scope == "run" else ("", ""),
                like.uses,
                like.uses > 0,
                now + (like.seconds or USUAL),
                principal.id,
                tuple(sorted(principal.roles)),
                approval.id,
                now,
            )
        )

    async def add(self, exemption: Exemption) -> Exemption:
        """Let it stand from now on, on all replicas.

        Raises:
            StoreUnavailable: it cannot be stored.
        """
        await self._known.change(exemption.id, lambda _: exemption, exemption.until - self._wall())
        return exemption

    async def revoke(self, ident: str) -> Exemption | None:
        """Let it stand no more, on any replica, and return it; None: there is none.

        Raises:
            StoreUnavailable: it cannot be stored, so that it may still stand.
        """
        revoked: list[Exemption | None] = [None]

        def gone(standing: Exemption | None) -> None:
            revoked[0] = standing

        await self._known.change(ident, gone, 0.0)
        return revoked[0]

    async def rule(self, call: Call, petition: Petition) -> Ruling | None:
        """A hook of the desk: the first exemption that covers all that is held against the call gives one use."""
        if not len(self._known) or petition.terms.approvers > 1 or petition.about == RESULT:
            return None
        for exemption in self._matcher.matching(call, petition):
            if self._counts(exemption, petition) and await self._spend(exemption):
                return Ruling(True, by=(exemption.by,), verb="exempt", why=exemption.id)
        return None

    def _counts(self, exemption: Exemption, petition: Petition) -> bool:
        """Whether who made it could decide on this call."""
        return stands_for(
            exemption.by,
            exemption.roles,
            petition.terms.who,
            petition.agent,
            petition.roles,
            petition.tree[0],
            self._people,
        )

    async def _spend(self, exemption: Exemption) -> bool:
        """Take one use of it, as it stands in the cabinet now."""
        spent = False

        def one(standing: Exemption | None) -> Exemption | None:
            nonlocal spent
            spent = (
                standing is not None and self._wall() < standing.until and (standing.uses > 0 or not standing.bounded)
            )
            if standing is None or not spent:
                return standing
            return structs.replace(standing, uses=max(0, standing.uses - 1), used=standing.used + 1)

        try:
            await self._known.change(exemption.id, one, max(0.001, exemption.until - self._wall()))
        except StoreUnavailable:
            return False  # a person is asked, if that can be done
        return spent

    def _put(self, ident: str, exemption: Exemption | None) -> None:
        self._matcher.put(ident, exemption)


def as_shown(exemptions: Sequence[Exemption]) -> list[dict[str, object]]:
    """What the admin API tells of them."""
    shown = []
    for one in exemptions:
        told = msgspec.to_builtins(one)
        told["uses"] = one.uses if one.bounded else None
        del told["bounded"]
        shown.append(told)
    return shown
