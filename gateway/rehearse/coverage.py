"""What cases have tried of the policies that they are about, and what never."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct, structs

from gateway.config.case_files import Suite
from gateway.config.load import Loaded
from gateway.model import CircuitClaim, Claim, LoopClaim, RateClaim, RetryClaim, Trace
from gateway.policy.schema import Breaker, Limit, Policy, Rule
from gateway.policy.schema_governors import Loop, Retry
from gateway.rehearse.watch import Given, WatchedBook

Key = tuple[str, str, str]
"""File, kind (Rule, Limit or Breaker) and name; a rule's is POLICY/RULE."""

_WORDS = {
    "true": "never true",
    "false": "never false",
    "counted": "never counted a call",
    "refused": "never refused one",
    "closed": "never let a call pass",
    "open": "never open",
}


class Subject(Struct):
    """A rule, limit or breaker, and what of it is to be tried. ``tried`` is what was, with how often."""

    file: str
    line: int
    column: int
    name: str
    goals: tuple[str, ...]
    tried: dict[str, int]

    @property
    def missing(self) -> list[str]:
        """What was never tried, in words."""
        if not self.tried:
            return ["never evaluated" if "true" in self.goals else _WORDS[self.goals[0]]]
        words = [_WORDS[goal] for goal in self.goals if goal not in self.tried]
        return [f"{word} (failed {self.tried['failed']} times)" for word in words] if "failed" in self.tried else words


class Coverage:
    """Gathers over all suites; what several of them are about counts once."""

    def __init__(self) -> None:
        self.subjects: dict[Key, Subject] = {}

    def watch(self, suite: Suite) -> Loaded:
        """What the suite is about, watched from now on."""
        names: dict[tuple[str, str], Subject] = {}
        for kind, subject in _subjects(suite):
            names[kind, subject.name] = self.subjects.setdefault((subject.file, kind, subject.name), subject)

        def note(policy: str, rule: str, given: Given) -> None:
            tried = names["Rule", f"{policy}/{rule}"].tried
            tried[given] = tried.get(given, 0) + 1

        self._names = names
        return structs.replace(suite.loaded, book=WatchedBook(suite.loaded.book, note))

    def note(self, traces: Iterable[Trace]) -> None:
        """Take in the guards' numbers from the records of the suite that is being watched."""
        for trace in traces:
            for hold in trace.decision.holds if trace.decision is not None else ():
                claim = hold.claim
                kind = _KINDS.get(type(claim))
                if kind is None:
                    continue
                passed, refused = _PASSAGE.get(kind, _COUNTING)
                tried = passed if hold.granted else refused
                seen = self._names[kind, f"{kind.lower()}/{claim.guard}"].tried
                seen[tried] = seen.get(tried, 0) + 1

    @property
    def percent(self) -> float:
        """The share of everything to be tried that was: 100 where there is nothing."""
        goals = sum(len(subject.goals) for subject in self.subjects.values())
        tried = sum(len(set(subject.goals) & set(subject.tried)) for subject in self.subjects.values())
        return 100.0 * tried / goals if goals else 100.0

    def gaps(self) -> list[Subject]:
        """Everything of which something was never tried, by file and place."""
        found = [subject for subject in self.subjects.values() if subject.missing]
        return sorted(found, key=lambda one: (one.file, one.line, one.column))


_KINDS: dict[type[Claim], str] = {
    RateClaim: "Limit",
    CircuitClaim: "Breaker",
    LoopClaim: "Loop",
    RetryClaim: "Retry",
}
_COUNTING = ("counted", "refused")
_PASSAGE = {"Breaker": ("closed", "open")}


def _subjects(suite: Suite) -> Iterator[tuple[str, Subject]]:
    for number, sourced in enumerate(suite.policies.sourced):
        model, name = sourced.model, sourced.model.metadata.name
        if isinstance(model, Policy):
            for at, rule in enumerate(model.spec.rules):
                place = suite.policies.place(number, ("spec", "rules", at))
                yield "Rule", Subject(*place, f"{name}/{rule.name}", _goals(rule), {})
        elif isinstance(model, Limit | Breaker | Loop | Retry):
            place, kind = suite.policies.place(number, ()), model.kind
            yield kind, Subject(*place, f"{kind.lower()}/{name}", _PASSAGE.get(kind, _COUNTING), {})


def _goals(rule: Rule) -> tuple[str, ...]:
    """Both values of its condition, unless it is true of every call by what it says."""
    return ("true",) if rule.when.strip() == "true" else ("true", "false")
