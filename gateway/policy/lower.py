"""One document at a time from its model to its compiled form; mistakes are collected, and what has one is left out."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from gateway.model import Caps, CircuitSettings, Mode, Treated, Verdict
from gateway.policy.complaints import Complaints, Path
from gateway.policy.engine import BOOL, DYN, EXPANDED_CAP, INT, STRING, UINT, CelEngine, CelError, CelType, Program
from gateway.policy.globs import glob_regex
from gateway.policy.guards import (
    PARTS,
    CompiledBreaker,
    CompiledCap,
    CompiledGrant,
    CompiledLimit,
    Part,
    expression_part,
)
from gateway.policy.hints import nearest
from gateway.policy.rollout import Rollout
from gateway.policy.rules import CompiledRule
from gateway.policy.schema import CHANGING, ROOTS, Breaker, Cap, Grant, Limit, Policy, Rule
from gateway.policy.tokens import RESERVED, chains, expand, tokenize
from gateway.policy.units import rate
from gateway.policy.variables import PHASES, TYPES, elsewhere

DEFAULT_MAX_WAIT = 5.0
"""Seconds that a limit in mode wait holds a call back at most, unless it says otherwise."""


def grant_of(model: Grant) -> CompiledGrant:
    """The grant, with its globs compiled."""
    spec = model.spec
    agents = tuple(glob_regex(pattern) for pattern in spec.agents)
    roles = tuple(glob_regex(pattern) for pattern in spec.roles)
    return CompiledGrant(model.metadata.name, agents, roles, spec.tools, spec.operations)


def breaker_of(model: Breaker) -> CompiledBreaker:
    """The breaker and its settings."""
    spec = model.spec
    settings = CircuitSettings(
        failures=spec.failures,
        rate=spec.rate,
        window=spec.window,
        minimum=spec.minimum,
        open=spec.open,
        probes=spec.probes,
        slow=spec.slow,
        slow_rate=spec.slow_rate,
        result_errors=spec.result_errors,
    )
    return CompiledBreaker(model.metadata.name, settings, "operation" in spec.per)


def cap_of(model: Cap) -> CompiledCap:
    """The cap, with its globs of agents compiled."""
    spec = model.spec
    caps = Caps(model.metadata.name, spec.models, spec.max_tokens, spec.system, spec.forbid_tools)
    return CompiledCap(model.metadata.name, tuple(glob_regex(pattern) for pattern in spec.agents), caps)


def limit_of(index: int, model: Limit, engine: CelEngine, complaints: Complaints) -> CompiledLimit:
    """The limit; parts of its key that do not compile are complained of and left out."""
    spec, name = model.spec, model.metadata.name
    parts, read = parts_of(index, name, spec.per, engine, complaints)
    tokens, _ = rate(spec.rate)
    max_wait = (DEFAULT_MAX_WAIT if spec.max_wait is None else spec.max_wait) if spec.mode == "wait" else 0.0
    return CompiledLimit(
        name=name,
        capacity=float(spec.burst or max(1.0, tokens)),
        rate=tokens,
        mode=spec.mode,
        max_wait=max_wait,
        parts=parts,
        references=read,
    )


def parts_of(
    index: int, name: str, per: Sequence[str], engine: CelEngine, complaints: Complaints
) -> tuple[tuple[Part, ...], frozenset[str]]:
    """The parts of a key, and what they read; those that do not compile are complained of and left out."""
    parts: list[Part] = []
    read: frozenset[str] = frozenset()
    for number, text in enumerate(per):
        if text in PARTS:
            parts.append(PARTS[text])
            read |= {"tool.operation"} if text == "operation" else set()
            continue
        path: Path = ("spec", "per", number)
        try:
            program = engine.compile(text, TYPES)
        except CelError as error:
            near = nearest(text, PARTS) if text.isidentifier() else ""
            if near:
                error.hint = f"did you mean {near}?"
            complaints.cel(index, path, error)
            continue
        if program.type not in (STRING, INT, UINT, BOOL, DYN):
            complaints.error(
                index, path, f"per must give a string, an int or a bool, not {program.type}", "use string(x)"
            )
        parts.append(expression_part(program, engine, name))
        read |= program.references
    return tuple(parts), read


def rules_of(index: int, model: Policy, engine: CelEngine, complaints: Complaints) -> tuple[CompiledRule, ...]:
    """The policy's rules; those that do not compile are complained of and left out."""
    scope = _variables(index, model, engine, complaints)
    seen: set[str] = set()
    compiled = []
    rollout = _rollout(index, model, complaints)
    for number, rule in enumerate(model.spec.rules):
        path: Path = ("spec", "rules", number)
        if rule.name in seen:
            complaints.error(
                index, (*path, "name"), f"there already is a rule {rule.name} in this policy", kind="duplicate-name"
            )
        seen.add(rule.name)
        made = _rule(scope, model, rule, path, rollout)
        if made is not None:
            compiled.append(made)
    return tuple(compiled)


class _Scope(Struct, frozen=True):
    """What the expressions of one policy may read. ``texts`` are the variables written out; ``broken`` those that do
    not compile: complained of once, where they stand. ``types`` are those of all phases that the policy has rules
    for, with the variables' own."""

    index: int
    engine: CelEngine
    complaints: Complaints
    types: dict[str, CelType]
    texts: dict[str, str]
    broken: set[str]

    def program(self, source: str, path: Path, wanted: CelType, what: str, phase: str) -> Program | None:
        """Check ``source`` as it stands (so that places are right), then compile it with its variables written out."""
        known = PHASES[phase]
        own = {name: kind for name, kind in self.types.items() if name.startswith("variables.")}
        try:
            checked = self.engine.compile(source, {**known, **own})
            if checked.type not in (wanted, DYN):
                self.complaints.error(self.index, path, f"{what} must give a {wanted}, not {checked.type}")
                return None
            if self._broken(source):
                return None
            expanded = expand(source, self.texts)
            return checked if expanded == source else self.engine.compile(expanded, known, EXPANDED_CAP)
        except CelError as error:
            error.hint = _of_another_phase(_expanded(source, self.texts), phase) or error.hint
            self.complaints.cel(self.index, path, error)
            return None

    def variable(self, source: str, path: Path) -> tuple[CelType, str | None]:
        """Type and written-out text of a variable; no text where it, or one that it reads, does not compile."""
        try:
            kind = self.engine.compile(source, self.types).type
            return kind, None if self._broken(source) else expand(source, self.texts)
        except CelError as error:
            self.complaints.cel(self.index, path, error)
            return DYN, None

    def _broken(self, source: str) -> bool:
        return any(chain.names[1] in self.broken for chain in chains(tokenize(source)) if _is_variable(chain.names))


def _of_another_phase(source: str, phase: str) -> str:
    """What to say of the first name that another phase knows; empty where there is none."""
    for chain in chains(tokenize(source)):
        for length in range(len(chain.variable), 0, -1):
            if said := elsewhere(".".join(chain.variable[:length]), phase):
                return said
    return ""


def _expanded(source: str, texts: dict[str, str]) -> str:
    """The source with its variables written out, or as it stands where that is too long."""
    try:
        return expand(source, texts)
    except CelError:
        return source


def _is_variable(names: tuple[str, ...]) -> bool:
    return len(names) > 1 and names[0] == "variables"


def _variables(index: int, model: Policy, engine: CelEngine, complaints: Complaints) -> _Scope:
    known = {name: kind for rule in model.spec.rules for name, kind in PHASES[rule.phase].items()}
    scope = _Scope(index, engine, complaints, known, {}, set())
    for number, variable in enumerate(model.spec.variables):
        path: Path = ("spec", "variables", number)
        name = f"variables.{variable.name}"
        if name in scope.types:
            said = f"there already is a variable {variable.name} in this policy"
            complaints.error(index, (*path, "name"), said, kind="duplicate-name")
            continue
        if variable.name in RESERVED:
            complaints.error(
                index, (*path, "name"), f"{variable.name} is a word of CEL itself", "call it something else"
            )
            continue
        scope.types[name], text = scope.variable(variable.expression, (*path, "expression"))
        if text is None:
            scope.broken.add(variable.name)
        else:
            scope.texts[variable.name] = text
    return scope


def _rollout(index: int, model: Policy, complaints: Complaints) -> Rollout | None:
    """Whom the policy is enforced for, or None where for everybody."""
    spec = model.spec.rollout
    if spec is None:
        return None
    if all((rule.mode or model.spec.mode) != "Enforce" for rule in model.spec.rules):
        message = "no rule of this policy is enforced, so there is nothing to roll out"
        complaints.warning(index, ("spec", "rollout"), message, "write mode: Enforce, or remove rollout")
    agents = tuple(glob_regex(pattern) for pattern in spec.agents)
    return Rollout(model.metadata.name, spec.percent, spec.by == "run", agents)


def _treats(rule: Rule) -> tuple[Treated, ...]:
    """What is changed otherwise than by masks over whole values."""
    if rule.then not in CHANGING or (rule.then == "redact" and not rule.only):
        return ()
    fields = rule.fields or (f"{ROOTS[rule.phase]}.*",)
    return tuple(
        [Treated(field, rule.then, "", rule.max_chars or 0, rule.max_items or 0, rule.only) for field in fields]
    )


def _rule(scope: _Scope, model: Policy, rule: Rule, path: Path, rollout: Rollout | None) -> CompiledRule | None:
    phase = rule.phase
    program = scope.program(rule.when, (*path, "when"), BOOL, "when", phase)
    message = None
    if rule.messageExpression is not None:
        at = (*path, "messageExpression")
        message = scope.program(rule.messageExpression, at, STRING, "messageExpression", phase)
    if rule.quarantine == "tool" and not rule.quarantine_for:
        text = "whoever makes this rule deny stops the tool for everybody, until somebody lifts it"
        scope.complaints.warning(scope.index, (*path, "quarantine"), text, "write run or agent, or give quarantine_for")
    if program is None:
        return None
    return CompiledRule(
        policy=model.metadata.name,
        name=rule.name,
        when=rule.when,
        program=program,
        verdict=Verdict(rule.then),
        mode=Mode(rule.mode or model.spec.mode),
        message=rule.message,
        message_program=message,
        ignore=model.spec.failurePolicy == "Ignore",
        phase=phase,
        label=rule.label or "",
        quarantine=rule.quarantine or "",
        seconds=rule.quarantine_for,
        fields=rule.fields if rule.then == "redact" and not rule.only else (),
        treats=_treats(rule),
        annotations=tuple(sorted(rule.annotations.items())),
        rollout=rollout,
    )
