"""Approvals by id and by binding, as one replica knows them, and who is told of each change."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from gateway.approvals.docket_shares import Shares
from gateway.approvals.due import Due
from gateway.model import Approval, ApprovalState

log = logging.getLogger("toolgate.approvals")

MOST_MOVED = 1_000
"""Approvals that were replaced and may turn up set aside: at once, but on other replicas."""

Told = Callable[[Approval | None, Approval | None], None]
"""Is told of each change: how it stood before, and how it stands; None for nothing."""


class Known:
    """What was learnt from the cabinet so far. One approval stands for each binding."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, Approval]] = {}
        self._bindings: dict[str, str] = {}
        self._told: list[Told] = []
        self._moved: dict[str, Approval] = {}
        """Those in whose place the same call has been asked about anew, by id: set aside, they are no new ones."""
        self.shares = Shares()
        """What is kept of each agent."""
        self.due = Due()
        """When which must be looked at."""

    def watch(self, told: Told) -> None:
        """Be told of each change from now on, those of other replicas too."""
        self._told.append(told)

    def __iter__(self) -> Iterator[Approval]:
        return iter([approval for _, approval in self._known.values()])

    def __len__(self) -> int:
        return len(self._known)

    def find(self, ident: str) -> Approval | None:
        """The approval with this id."""
        binding = self._bindings.get(ident)
        return None if binding is None else self._known[binding][1]

    def bound(self, binding: str) -> Approval | None:
        """The approval that is bound to this."""
        found = self._known.get(binding)
        return None if found is None else found[1]

    def waiting(self) -> list[Approval]:
        """Those that wait for people, in no order."""
        return [approval for _, approval in self._known.values() if approval.state is ApprovalState.WAITING]

    def binding_of(self, ident: str) -> str | None:
        """What the approval with this id is bound to."""
        return self._bindings.get(ident)

    def version(self, binding: str) -> int:
        """The version in the cabinet of what is known of it; 0 for nothing."""
        found = self._known.get(binding)
        return 0 if found is None else found[0]

    def all(self) -> list[tuple[str, int, Approval]]:
        """Everything, with its binding and its version in the cabinet."""
        return [(binding, version, approval) for binding, (version, approval) in self._known.items()]

    def take(self, binding: str, version: int, approval: Approval | None) -> None:
        """Know it, unless something newer is known already."""
        known = self._known.get(binding)
        if known is not None and known[0] >= version:
            return
        before = None if known is None else known[1]
        if before is not None:
            if self._bindings.get(before.id) == binding:
                del self._bindings[before.id]
            self.shares.less(before)
            if approval is not None and approval.id != before.id:
                self._move(before)
        if approval is None:
            self._known.pop(binding, None)
        else:
            self._known[binding] = (version, approval)
            self._bindings[approval.id] = binding
            self.shares.more(approval)
            self.due.expect(before, approval, self, len(self))
        was = before if before is not None or approval is None else self._moved.pop(approval.id, None)
        if was != approval:
            self._tell(was, approval)

    def _move(self, approval: Approval) -> None:
        if len(self._moved) >= MOST_MOVED:
            del self._moved[next(iter(self._moved))]
        self._moved[approval.id] = approval

    def _tell(self, before: Approval | None, after: Approval | None) -> None:
        for told_ in self._told:
            try:
                told_(before, after)
            except Exception:  # what is stored is stored, whoever cannot make anything of it
                log.exception("approvals")


__all__ = ["Known", "Told"]
