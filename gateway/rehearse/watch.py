"""A book that notes what its rules give, call by call, for coverage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from gateway.model import Call, Spoke
from gateway.policy.book import PolicyBook
from gateway.policy.rules import RuleSet

Given = Literal["true", "false", "failed"]
Note = Callable[[str, str, Given], None]
"""Told of the policy, the rule, and what it gave."""


class WatchedBook(PolicyBook):
    """The same book, with its caches; every rule that is evaluated is told to ``note``."""

    def __init__(self, book: PolicyBook, note: Note) -> None:
        vars(self).update(vars(book))
        self._note = note

    def rules(self, tool: str, operation: str, *, implied: bool = False) -> RuleSet:
        return WatchedRules(super().rules(tool, operation, implied=implied), self._note)

    def results(self, tool: str, operation: str, *, implied: bool = False) -> RuleSet:
        return WatchedRules(super().results(tool, operation, implied=implied), self._note)

    def proposals(self, tool: str, operation: str) -> RuleSet:
        return WatchedRules(super().proposals(tool, operation), self._note)

    def listing(self, tool: str, operation: str) -> RuleSet:
        return WatchedRules(super().listing(tool, operation), self._note)


class WatchedRules(RuleSet):
    """The same rules, watched."""

    __slots__ = ("_note",)

    def __init__(self, rules: RuleSet, note: Note) -> None:
        for slot in RuleSet.__slots__:
            setattr(self, slot, getattr(rules, slot))
        self._note = note

    def judge(self, call: Call) -> tuple[Spoke, ...]:
        spoke = super().judge(call)
        said = {(one.policy, one.rule): one for one in spoke}
        for rule in self.rules:
            one = said.get((rule.policy, rule.name))
            self._note(rule.policy, rule.name, "false" if one is None else "failed" if one.error else "true")
        return spoke
