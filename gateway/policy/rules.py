"""Rules in the form that judges calls.

The fast path: most calls offend no rule. So the conditions of a rule set are joined into one expression,
``(a) || (b) || ...``. CEL's ``||`` hides an error only behind a true, so exactly false means that every rule is false
and none failed: nothing to say, after one evaluation instead of ten. Any other value, and each rule is asked alone.

Rules that read nothing but who calls what (agent, operation, method, path) are joined among themselves, and calls that
they had nothing to say of are remembered: agents make the same few kinds of call many times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from msgspec import Struct, structs

from gateway.model import Call, Mode, Spoke, Treated, Verdict
from gateway.policy.engine import EXPANDED_CAP, CelEngine, CelError, CelType, EvaluationError, Program
from gateway.policy.functions_flow import POSTPONED
from gateway.policy.guardrails import VARIABLE, read_in
from gateway.policy.readings import Path, paths_of, read_at
from gateway.policy.redaction import TOOL_RESULTS
from gateway.policy.rollout import Rollout
from gateway.policy.variables import PHASES, Binder, bind, binder

MESSAGE_CAP = 1024
"""Characters of a message that an expression made: it may quote arguments of any size, and goes to agent and trace."""


class CompiledRule(Struct, frozen=True):
    """One rule. ``when`` is as the user wrote it; ``program`` has the variables written out. ``ignore`` is
    failurePolicy: Ignore."""

    policy: str
    name: str
    when: str
    program: Program
    verdict: Verdict
    mode: Mode = Mode.ENFORCE
    message: str = ""
    message_program: Program | None = None
    ignore: bool = False
    phase: str = "request"
    label: str = ""
    fields: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    rollout: Rollout | None = None
    """None where the policy is enforced for everybody."""
    treats: tuple[Treated, ...] = ()
    """What else is changed in what is passed on."""
    quarantine: str = ""
    """What makes no more calls once the rule has refused one: run, agent or tool."""
    seconds: float = 0.0
    """How long; 0 is until it is lifted."""

    @property
    def references(self) -> frozenset[str]:
        """Every variable that the condition or the message reads, and those in which the rule changes values."""
        message = self.message_program
        read = self.program.references | (message.references if message is not None else frozenset())
        return read | {root for path in self.changes if (root := path.partition(".")[0]) != "llm"}

    @property
    def changes(self) -> tuple[str, ...]:
        """The paths of all that is masked, or changed otherwise."""
        return self.fields + tuple([treated.path for treated in self.treats])

    @property
    def paths(self) -> tuple[Path, ...]:
        """What the condition and the message read, as far as they name it."""
        programs = [self.program] if self.message_program is None else [self.program, self.message_program]
        return paths_of([program.source for program in programs], self.references)

    @property
    def guardrails(self) -> frozenset[str]:
        """The guardrails that the condition and the message read."""
        programs = [self.program] if self.message_program is None else [self.program, self.message_program]
        return read_in([program.source for program in programs])

    def mode_for(self, call: Call) -> Mode:
        """The rule's mode; AUDIT where it would be enforced, and this call lies outside of the rollout."""
        if self.rollout is None or self.mode is not Mode.ENFORCE or self.rollout.covers(call):
            return self.mode
        return Mode.AUDIT


class Explained(Struct, frozen=True):
    """What one rule made of a call. ``result`` is true, false, or the error's text; ``read`` what it looked at."""

    policy: str
    rule: str
    when: str
    verdict: Verdict
    result: str
    mode: Mode
    read: dict[str, Any]
    message: str = ""
    label: str = ""
    fields: tuple[str, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    outside: bool = False
    """The mode is AUDIT since the call lies outside of the policy's rollout."""


_OF_THE_KIND = {
    "agent.id": "agent.id",
    "agent.roles": "agent.roles",
    "run.id": "run.id",
    "tool.name": "tool.name",
    "tool.operation": "operation",
    "tool.protocol": "tool.protocol",
    "request.method": "request.method",
    "request.host": "host",
    "request.path": "path",
}
"""Variables that are few among many calls, and the attribute of a call that each is made of."""

_MOST_KINDS, _LONGEST_KIND = 4096, 512
"""Kinds that are remembered, and characters of one: agents choose paths and runs, and must not fill the memory."""


class _Joined(Struct, frozen=True):
    """Some rules, joined: whether all of them are false of a call, and none failed."""

    programs: tuple[Program, ...]
    readers: Binder
    activate: Callable[[Mapping[str, Any]], Any]
    kind: Callable[[Call], Any] | None = None
    """What of a call decides alone, where the rules read nothing else."""
    silent: set[Any] = set()
    """Kinds of which the rules have nothing to say."""

    def say_nothing(self, call: Call) -> bool:
        kind = self.kind(call) if self.kind is not None else None
        if kind is not None and kind in self.silent:
            return True
        activation = self.activate({name: read(call) for name, read in self.readers})
        for program in self.programs:
            if not program.is_false(activation):
                return False
        if kind is not None and len(call.path) + len(call.operation) + len(call.run.id) <= _LONGEST_KIND:
            if len(self.silent) >= _MOST_KINDS:
                self.silent.clear()
            self.silent.add(kind)
        return True


def _joined(rules: Sequence[CompiledRule], engine: CelEngine) -> list[_Joined]:
    """The rules that read only of what kind a call is, and the others."""
    groups: list[_Joined] = []
    for of_the_kind in (True, False):
        some = [rule for rule in rules if (rule.program.references <= _OF_THE_KIND.keys()) is of_the_kind]
        if not some:
            continue
        read = frozenset[str]().union(*(rule.program.references for rule in some))
        # Two at least: an attrgetter of one gives no tuple, which is as good as a key but takes a case of its own.
        names = sorted({_OF_THE_KIND[name] for name in read} | {"agent.id", "operation"}) if of_the_kind else []
        kind = attrgetter(*names) if names else None
        programs = _combined(some, engine)
        bound = binder(frozenset[str]().union(*(program.references for program in programs)))
        groups.append(_Joined(tuple(programs), bound, engine.activation, kind, set()))
    return groups


class RuleSet:
    """The rules of one phase that can match an operation of a tool."""

    __slots__ = ("_activate", "_bind_all", "_guarded", "_joined", "_paths", "references", "rules")

    def __init__(self, rules: Sequence[CompiledRule], engine: CelEngine) -> None:
        self.rules = tuple(rules)
        self._activate = engine.activation
        self.references = frozenset[str]().union(*(rule.references for rule in rules))
        self._bind_all = binder(self.references)
        self._joined = tuple(_joined(self.rules, engine))
        self._paths = tuple([rule.paths for rule in self.rules])
        guarded = self.rules if VARIABLE in self.references else ()
        self._guarded = tuple([(rule, names) for rule in guarded if (names := rule.guardrails)])

    def guardrails(self, call: Call) -> dict[str, bool]:
        """The guardrails that are asked for these rules, and whether a rule that is enforced for the call reads it."""
        asked: dict[str, bool] = {}
        for rule, names in self._guarded:
            enforced = rule.mode_for(call) is Mode.ENFORCE and not rule.ignore
            asked |= {name: enforced or asked.get(name, False) for name in sorted(names)}
        return asked

    def judge(self, call: Call) -> tuple[Spoke, ...]:
        """Every rule that is true of the call, or could not be evaluated; empty where none has anything to say."""
        for joined in self._joined:
            if not joined.say_nothing(call):
                return self._one_by_one(call)
        return ()

    def explain(self, call: Call) -> list[Explained]:
        """What each rule makes of the call, in order, and why."""
        activation = self._activate(bind(self._bind_all, call))
        explained = []
        for rule in self.rules:
            outcome = _ask(rule.program, activation)
            said = _spoken(rule, outcome, activation, call)
            mode = rule.mode_for(call)
            result = outcome if isinstance(outcome, str) else str(outcome).lower()
            explained.append(
                Explained(
                    rule.policy,
                    rule.name,
                    rule.when,
                    rule.verdict,
                    result,
                    mode,
                    bind(binder(rule.references), call),
                    said.message if said is not None else "",
                    rule.label,
                    rule.changes,
                    rule.annotations,
                    mode is not rule.mode,
                )
            )
        return explained

    def _one_by_one(self, call: Call) -> tuple[Spoke, ...]:
        bound = bind(self._bind_all, call)
        activation = self._activate(bound)
        spoken = []
        for rule, paths in zip(self.rules, self._paths, strict=True):
            said = _spoken(rule, _ask(rule.program, activation), activation, call)
            if said is not None:
                spoken.append(structs.replace(said, read=read_at(paths, bound)))
        return tuple(spoken)


def _ask(program: Program, activation: Any) -> bool | str:
    """True, False, or why neither."""
    try:
        value = program.evaluate(activation)
    except EvaluationError as error:
        return error.message
    return value if isinstance(value, bool) else f"the condition gives {_kind(value)} instead of true or false"


def _spoken(rule: CompiledRule, outcome: bool | str, activation: Any, call: Call) -> Spoke | None:
    if outcome is False:
        return None
    mode = rule.mode_for(call)
    outside = mode is not rule.mode
    if outcome is True:
        message, notes = _message(rule, activation), rule.annotations
        return Spoke(
            rule.policy,
            rule.name,
            rule.verdict,
            mode,
            message,
            "",
            rule.label,
            rule.fields,
            notes,
            outside,
            rule.quarantine,
            rule.seconds,
            (),
            _treats(rule, call),
        )
    verdict = Verdict.WARN if rule.ignore else Verdict.DENY
    error = str(outcome)
    return Spoke(rule.policy, rule.name, verdict, mode, rule.message, error, "", (), rule.annotations, outside)


def _treats(rule: CompiledRule, call: Call) -> tuple[Treated, ...]:
    """What is wrapped is told whose it is. In a request to a model it is what any tool answered."""
    if rule.verdict is not Verdict.WRAP:
        return rule.treats
    own = f"{call.tool.name} {call.operation}"[:128]
    return tuple([structs.replace(one, source="a tool" if one.path == TOOL_RESULTS else own) for one in rule.treats])


def _message(rule: CompiledRule, activation: Any) -> str:
    if rule.message_program is None:
        return rule.message
    try:
        value = rule.message_program.evaluate(activation)
    except EvaluationError:
        return rule.message
    return value[:MESSAGE_CAP] if isinstance(value, str) else rule.message


def _kind(value: Any) -> str:
    names = {str: "text", int: "an int", float: "a double", list: "a list", dict: "a map", type(None): "null"}
    return names.get(type(value), f"a {type(value).__name__}")


def _known(rules: Sequence[CompiledRule]) -> Mapping[str, CelType]:
    """The variables that any of these rules may read: a list is also judged by rules of the request phase."""
    phases = {rule.phase for rule in rules}
    return PHASES[phases.pop()] if len(phases) == 1 else PHASES["request"]


def _combined(rules: Sequence[CompiledRule], engine: CelEngine) -> list[Program]:
    """Programs that are all false exactly where every rule is false without error; as few as the caps allow."""
    postponed = any(not rule.program.references.isdisjoint(POSTPONED) for rule in rules)
    if not engine.absorbs_errors or (len(rules) < 2 and not postponed):
        return [rule.program for rule in rules]
    # The line break ends a comment that a condition may end with.
    source = " || ".join([f"({rule.program.source}\n)" for rule in rules])
    if len(source) <= EXPANDED_CAP:
        try:
            return [engine.compile(source, _known(rules), EXPANDED_CAP, postpones=True)]
        except CelError:
            pass  # Each compiles alone, so only the brackets around it were too much (nesting): try fewer together.
    if len(rules) < 2:
        return [rule.program for rule in rules]
    middle = len(rules) // 2
    return _combined(rules[:middle], engine) + _combined(rules[middle:], engine)
