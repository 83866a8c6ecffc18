"""Which calls are decided by what has changed since their run saw it, so that it is worth asking the stores again."""

from __future__ import annotations

from gateway.model import Call
from gateway.policy.book import PolicyBook

READ = frozenset({"run.drift", "run.unverified"})
"""Variables that tell it."""


class Drift:
    """Memories that are asked again before rules read what has changed."""

    def __init__(self, book: PolicyBook, memories: frozenset[str]) -> None:
        self._book, self.memories = book, memories

    def counts(self, call: Call) -> bool:
        """Whether some rule that can match the call reads it."""
        name, operation = call.tool.name, call.operation
        rules = (self._book.rules(name, operation), self._book.results(name, operation))
        return any(not READ.isdisjoint(found.references) for found in rules)
