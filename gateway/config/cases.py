"""The cases of one file, complete: each call with its defaults, held against the tools and names that there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct, structs
from pydantic import ValidationError

from gateway.config.build import LLM_PROTOCOLS
from gateway.config.case_schema import AnswerPart, Case, CaseFile, Expect, Step
from gateway.config.described import Described, PartOfCall, misplaced
from gateway.config.documents import Document
from gateway.config.load import Loaded
from gateway.config.model_errors import Mistake, mistakes
from gateway.config.model_errors import Path as Place
from gateway.errors import Problem
from gateway.policy.hints import nearest
from gateway.policy.schema import Grant, Policy

_DECIDERS = ("grants", "concurrency", "prices", "pins")
"""What refuses beside rules, limits, breakers and caps, as refusals name it."""


class ReadyStep(Struct, frozen=True):
    """One call, complete. ``at`` and ``every`` are seconds; ``line`` and ``column`` are where it is written."""

    at: float
    call: Described
    answer: AnswerPart | None
    expect: Expect | None
    repeat: int
    every: float
    line: int
    column: int


class ReadyCase(Struct, frozen=True):
    """A case whose steps are complete, in the order of time. ``start`` is in seconds since the epoch."""

    name: str
    start: float
    steps: tuple[ReadyStep, ...]
    line: int
    column: int


def ready_cases(document: Document, model: CaseFile, loaded: Loaded) -> tuple[tuple[ReadyCase, ...], list[Problem]]:
    """The cases of a document that fits the schema, and what cannot be run of them."""
    reading = _Cases(document, model, loaded)
    return reading.cases, reading.errors


class _Cases:
    """The cases of one document. ``errors`` holds what cannot be run."""

    def __init__(self, document: Document, model: CaseFile, loaded: Loaded) -> None:
        self._document, self._spec, self._loaded = document, model.spec, loaded
        self._protocols = {tool.name: tool.protocol for tool in loaded.tools}
        self._known = _Known(loaded)
        self.errors: list[Problem] = []
        self._check_offers()
        names: set[str] = set()
        cases = []
        for number, case in enumerate(model.spec.cases):
            at: Place = ("spec", "cases", number)
            if case.name in names:
                self._mistake(
                    Mistake((*at, "name"), f"there already is a case {case.name!r}", "give each its own name")
                )
            names.add(case.name)
            cases.append(self._case(case, at))
        self.cases = tuple(cases)

    def _mistake(self, mistake: Mistake) -> None:
        self.errors.append(self._document.mistake(mistake))

    def _check_offers(self) -> None:
        for name, tools in self._spec.offers.items():
            if self._protocols.get(name) != "mcp":
                why = ", so it has no list of tools" if name in self._protocols else ""
                hint = "write the name of a tool with protocol: mcp"
                wrong = Mistake(("spec", "offers", name), f"{name!r} is no MCP server here{why}", hint, at_key=True)
                self._mistake(wrong)
            for number, tool in enumerate(tools):
                if not isinstance(tool.get("name"), str):
                    self._mistake(Mistake(("spec", "offers", name, number), "name is missing", "add the tool's name"))

    def _case(self, case: Case, at: Place) -> ReadyCase:
        node = self._document.root.at(at)
        steps, now = [], 0.0
        for number, step in enumerate(case.all_steps()):
            place: Place = at if case.steps is None else (*at, "steps", number)
            if step.at is not None and step.at < now:
                message = f"this step is at {step.at:g} s, before the end of the one before it at {now:g} s"
                self._mistake(Mistake((*place, "at"), message, "write the steps in the order of time"))
            now = max(now, step.at or 0.0)
            ready = self._step(case, step, place, now)
            if ready is not None:
                steps.append(ready)
                now += (ready.repeat - 1) * ready.every
        start = self._spec.start if case.start is None else case.start
        return ReadyCase(case.name, start, tuple(steps), node.line, node.column)

    def _step(self, case: Case, step: Step, at: Place, now: float) -> ReadyStep | None:
        answer = step.answer or case.answer
        try:
            call = Described.model_validate(merged(self._spec.defaults, case.call, step.call))
        except ValidationError as error:
            for mistake in mistakes(error, Described):
                self._mistake(structs.replace(mistake, path=(*at, "call", *mistake.path)))
            return None
        found: list[Mistake] = []
        if (one := misplaced(call, self._loaded.tools)) is not None:
            found.append(structs.replace(one, path=(*at, "call", *one.path)))
        elif answer is not None:
            found += _unfit(answer, self._protocols[call.tool], (*at, "answer"))
        if step.expect is not None:
            found += self._known.strangers(step.expect, (*at, "expect"))
        for mistake in found:
            self._mistake(mistake)
        node = self._document.root.at(at)
        return ReadyStep(now, call, answer, step.expect, step.repeat, step.every, node.line, node.column)


def merged(*parts: PartOfCall) -> dict[str, Any]:
    """What is said of a call in several places: the last that says something of a key wins; headers add up."""
    said: dict[str, Any] = {}
    for part in parts:
        more = part.model_dump(exclude_unset=True)
        for one, other in (("args", "body"), ("body", "args")):
            if one in more:
                said.pop(other, None)
        if "headers" in more:
            more["headers"] = said.get("headers", {}) | more["headers"]
        said |= more
    return said


def _unfit(answer: AnswerPart, protocol: str, at: Place) -> Iterator[Mistake]:
    """What of an answer has no meaning in the tool's protocol."""
    if protocol != "mcp" and answer.isError:
        hint = "write a status, such as 500"
        yield Mistake((*at, "isError"), f"isError is of MCP, and the tool speaks {protocol}", hint)
    for key in ("usage", "proposals", "model"):
        if protocol not in LLM_PROTOCOLS and key in answer.model_fields_set:
            yield Mistake((*at, key), f"{key} is of LLM APIs, and the tool speaks {protocol}", "write result")


class _Known:
    """The names that an expectation may use."""

    def __init__(self, loaded: Loaded) -> None:
        self.rules: list[str] = []
        self.deciders, self.grants = [*_DECIDERS], list[str]()
        for document in loaded.documents:
            name = document.metadata.name
            if isinstance(document, Policy):
                self.rules += [f"{name}/{rule.name}" for rule in document.spec.rules]
            elif isinstance(document, Grant):
                self.grants.append(name)
            else:
                self.deciders.append(f"{document.kind.lower()}/{name}")
        self.deciders += self.rules
        self.deciders += [f"guardrail/{name}" for name in loaded.config.guardrails]

    def strangers(self, expect: Expect, at: Place) -> Iterator[Mistake]:
        """The names that are nobody's, which could never come."""
        named: list[tuple[Place, str, Sequence[str]]] = []
        if expect.rule is not None:
            named.append((("rule",), expect.rule, self.deciders))
        named += [(("rules", number), rule, self.rules) for number, rule in enumerate(expect.rules or ())]
        if expect.grant is not None:
            named.append((("grant",), expect.grant, self.grants))
        for path, name, known in named:
            if name not in known:
                near = nearest(name, known)
                hint = f"did you mean {near}?" if near else f"there are {', '.join(known) or 'none'}"
                yield Mistake((*at, *path), f"nothing is called {name!r} in these policies", hint)
