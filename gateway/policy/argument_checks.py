"""Policies held against the schemas of the tools that they match: what every operation says, or only some.

A rule is held against each operation by itself; what is doubtful for all of them is a mistake, what is doubtful for
some a warning that names them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from gateway.model import Tool
from gateway.policy.argument_facts import Source
from gateway.policy.argument_fields import masked
from gateway.policy.argument_operators import Finding
from gateway.policy.argument_shapes import Shape, ToolArguments
from gateway.policy.argument_types import Findings, Scope, findings
from gateway.policy.compile import SourcedDocument
from gateway.policy.complaints import Complaint, Path
from gateway.policy.engine import CelEngine
from gateway.policy.globs import glob_regex, matches_any
from gateway.policy.hints import nearest
from gateway.policy.schema import Limit, Policy
from gateway.policy.schema_parts import Match
from gateway.policy.syntax import Expr, parse
from gateway.policy.tokens import place
from gateway.policy.variables import PHASES

MOST_COMPARISONS = 20_000
"""Expressions held against operations in one load, about a second; the rest is not checked, and a warning says so."""
_FIELD = Expr("name", "args", 0, 0, 4)
_NAMED = 3
_LISTED = 12


class Known(NamedTuple):
    """An operation whose arguments are known."""

    name: str
    shape: Shape


class _Expression(Struct, frozen=True):
    """Something to check: ``path`` leads to it in its document. ``failing`` says what becomes of a call where it cannot
    be evaluated; empty where that does no harm."""

    source: Source
    path: Path
    phase: str = "request"
    failing: str = ""
    masks: bool = False
    """It is no expression but the path of a field that is masked."""


def check_arguments(
    documents: Sequence[SourcedDocument],
    tools: Sequence[Tool],
    arguments: Mapping[str, ToolArguments],
    engine: CelEngine,
    wrong: Iterable[Complaint] = (),
) -> list[Complaint]:
    """What is doubtful about the arguments that rules and limits read.

    ``arguments`` are those of the tools that are known, by name; ``wrong`` are the complaints so far: what they are
    about is not looked at again.
    """
    if not arguments:
        return []
    checker = _Checker(tools, arguments, engine.name == "cel-python", {(one.document_index, one.path) for one in wrong})
    for document in documents:
        if isinstance(document.model, Policy | Limit):
            checker.document(document.index, document.model)
    return list(dict.fromkeys(checker.complaints))


class _Checker:
    def __init__(
        self,
        tools: Sequence[Tool],
        arguments: Mapping[str, ToolArguments],
        strict_numbers: bool,
        wrong: set[tuple[int, Path]],
    ) -> None:
        self.tools, self.arguments, self.strict_numbers, self.wrong = tools, arguments, strict_numbers, wrong
        self.complaints: list[Complaint] = []
        self.left = MOST_COMPARISONS

    def document(self, index: int, model: Policy | Limit) -> None:
        known, complete = self.matched(model.spec.match)
        if not known:
            return
        paths: dict[str, Path] = {}
        if isinstance(model, Policy):
            paths = {one.name: _of_variable(number) for number, one in enumerate(model.spec.variables)}
        # Without those that do not compile, so that no variable leads back to itself.
        sources = _variables(model, {name for name, path in paths.items() if (index, path) in self.wrong})
        for expression in _expressions(model, sources, paths):
            if (index, expression.path) in self.wrong or not _reads_arguments(expression.source, sources):
                continue
            if self.left < len(known):
                self.give_up(index, expression.path)
                return
            self.left -= len(known)
            types = {**PHASES[expression.phase]}
            scope = _Scoped(index, expression, paths, sources, Scope(sources, types, self.strict_numbers), complete)
            self.complaints += _complaints(scope, known)

    def give_up(self, index: int, path: Path) -> None:
        if self.left >= 0:
            message = f"from here on rules are not held against schemas: there are more than {MOST_COMPARISONS}"
            hint = "narrow match.operations of policies that read args"
            self.complaints.append(
                Complaint(index, path, message, hint, severity="warning", kind="arguments-unchecked")
            )
        self.left = -1

    def matched(self, match: Match) -> tuple[list[Known], bool]:
        """The operations that a document is for, with what is known of them; and whether those are all."""
        found, complete = [], True
        names = [tool for tool in self.tools if matches_any(match.tools, tool.name)]
        for tool in names:
            arguments = self.arguments.get(tool.name)
            if arguments is None:
                complete = False
                continue
            globs = [glob_regex(pattern) for pattern in match.operations]
            operations = [name for name in arguments.schemas if any(glob.fullmatch(name) for glob in globs)]
            complete &= arguments.complete or set(match.operations) <= set(operations)
            label = "{}" if len(names) == 1 else f"{tool.name}: {{}}"
            found += [Known(label.replace("{}", name), arguments.schemas[name]()) for name in operations]
        return found, complete


class _Scoped(Struct, frozen=True):
    index: int
    expression: _Expression
    paths: Mapping[str, Path]
    sources: Mapping[str, Source]
    scope: Scope
    complete: bool


def _of_variable(number: int) -> Path:
    return ("spec", "variables", number, "expression")


def _variables(model: Policy | Limit, broken: set[str]) -> dict[str, Source]:
    """The policy's variables that can be read."""
    found: dict[str, Source] = {}
    for variable in model.spec.variables if isinstance(model, Policy) else ():
        tree = parse(variable.expression)
        if tree is not None and variable.name not in broken:
            found.setdefault(variable.name, Source(variable.expression, tree, variable.name))
    return found


def _expressions(
    model: Policy | Limit, sources: Mapping[str, Source], paths: Mapping[str, Path]
) -> Iterator[_Expression]:
    if isinstance(model, Limit):
        for number, text in enumerate(model.spec.per):
            if (tree := parse(text)) is not None:
                yield _Expression(Source(text, tree), ("spec", "per", number), failing="the call is refused")
        return
    for name, source in sources.items():
        yield _Expression(source, paths[name])
    ignores = model.spec.failurePolicy == "Ignore"
    failing = "the rule fails and lets the call pass" if ignores else "the rule fails and refuses the call"
    for number, rule in enumerate(model.spec.rules):
        path: Path = ("spec", "rules", number)
        if (tree := parse(rule.when)) is not None:
            yield _Expression(Source(rule.when, tree), (*path, "when"), rule.phase, failing)
        said = rule.messageExpression
        if said is not None and (tree := parse(said)) is not None:
            yield _Expression(Source(said, tree), (*path, "messageExpression"), rule.phase)
        for at, field in enumerate(rule.fields):
            if field.startswith("args."):
                yield _Expression(Source(field, _FIELD), (*path, "fields", at), rule.phase, masks=True)


def _reads_arguments(source: Source, variables: Mapping[str, Source]) -> bool:
    return "args" in source.text or (
        "variables" in source.text and any("args" in one.text for one in variables.values())
    )


def _complaints(scoped: _Scoped, known: Sequence[Known]) -> Iterator[Complaint]:
    """What is said of one expression, gathered over the operations."""
    gathered: dict[tuple[str, int, str], list[tuple[str, Finding]]] = {}
    unjudged: Counter[tuple[str, int]] = Counter()
    condition = scoped.expression.path[-1] == "when"
    for operation in known:
        held = _held(scoped, operation.shape, condition=condition)
        unjudged.update(held.unjudged)
        for finding in held.found:
            code: str = "unknown" if finding.code == "near" else finding.code
            gathered.setdefault((finding.where, finding.at, code), []).append((operation.name, finding))
    told: set[str] = set()
    for (where, at, code), found in gathered.items():
        said = _said(scoped, code, found, len(known) - unjudged[where, at])
        if said is None or (code == "optional" and said.message in told):
            continue
        told.add(said.message)
        source = scoped.sources[where] if where else scoped.expression.source
        path = scoped.paths[where] if where else scoped.expression.path
        line, column = place(source.text, at)
        severity = said.severity
        yield Complaint(scoped.index, path, said.message, said.hint, line, column, severity, f"argument-{code}")


def _held(scoped: _Scoped, shape: Shape, *, condition: bool) -> Findings:
    """What is found where ``args`` has this shape."""
    source = scoped.expression.source
    if not scoped.expression.masks:
        return findings(source, shape, scoped.scope, condition=condition)
    found = masked(source.text, shape)
    return Findings((found,) if found is not None else (), frozenset())


def _said(scoped: _Scoped, code: str, found: Sequence[tuple[str, Finding]], operations: int) -> Complaint | None:
    """Message, hint and severity, without a place; None where nothing need be said. ``operations`` could be judged."""
    names, first = [name for name, _ in found], found[0][1]
    everywhere = len({*names}) >= operations
    failing = scoped.expression.failing
    if code == "unknown":
        return _unknown(found, scoped.expression, everywhere=everywhere, complete=scoped.complete)
    where = "" if everywhere else f" for {_few(names)}"
    if code == "optional":
        if not failing:
            return None
        hint = f"write has({first.name}) && ..., or default({first.name}, ...)"
        return _warning(f"{first.name} is optional{where}: without it {failing}", hint)
    if code == "type" and everywhere and scoped.complete:
        return Complaint(0, (), first.message, first.hint)
    if code == "word" and not everywhere:
        return None  # the word is one of another operation
    if code == "type" and not failing:
        return None
    return _warning(f"{first.message}{where}", first.hint)


def _unknown(
    found: Sequence[tuple[str, Finding]], expression: _Expression, *, everywhere: bool, complete: bool
) -> Complaint | None:
    first, failing, masks = found[0][1], expression.failing, expression.masks
    existing = sorted({name for _, finding in found for name in finding.known})
    last = first.name.rpartition(".")[2]
    near = nearest(last, existing)
    if everywhere:
        message = f"no argument {first.name} is known"
        if near:
            sure = complete and not any(finding.code == "near" for _, finding in found)
            return Complaint(0, (), message, f"did you mean {near}?", severity="error" if sure else "warning")
        parent = first.name.rpartition(".")[0] or "args"
        if not complete:
            return None
        if masks:
            return _warning(message, _takes(existing))
        hint = f"{_takes(existing)}; where the tool takes it all the same, write dyn({parent}).{last}"
        return Complaint(0, (), message, hint)
    missed = [name for name, finding in found if finding.code == "unknown"]
    if not missed or not failing or any(finding.message == "tested" for _, finding in found):
        return None
    hint = f"narrow match.operations, or write has({first.name}) && ..."
    return _warning(f"{first.name} is no argument of {_few(missed)}: there {failing}", hint)


def _takes(names: Sequence[str]) -> str:
    if not names:
        return "there are none"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"there {'is' if len(names) == 1 else 'are'} {', '.join(names[:_LISTED])}{more}"


def _warning(message: str, hint: str) -> Complaint:
    return Complaint(0, (), message, hint, severity="warning")


def _few(names: Sequence[str]) -> str:
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - _NAMED} more" if len(unique) > _NAMED else ""
    return f"{', '.join(unique[:_NAMED])}{more}"
