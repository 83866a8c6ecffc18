"""One expression held against what is known of the arguments: names that do not exist, types that do not fit.

What CEL does at evaluation (cel-spec, and both engines as measured): numbers of any kind compare with each other, and
do not add up with each other; a field that is missing is an error unless the other side of ``&&`` or ``||`` decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from gateway.policy.argument_facts import NONE, Path, Paths, Source, dotted, facts, paths_of
from gateway.policy.argument_operators import Code, Finding, compared, computed, member, told
from gateway.policy.argument_shapes import ANY, NUMBERS, Part, Shape, kind
from gateway.policy.engine import CelType
from gateway.policy.hints import nearest
from gateway.policy.syntax import Expr, text_of

_GIVES = {"size": "int", "int": "int", "uint": "uint", "double": "double", "string": "string", "bool": "bool"}
_GIVES |= dict.fromkeys(("startsWith", "endsWith", "contains", "matches", "glob", "cidr", "has"), "bool")
_GIVES |= {"domain": "string", "host_class": "string", "all": "bool", "exists": "bool", "exists_one": "bool"}
_OF_TEXT = frozenset({"startsWith", "endsWith", "contains", "matches"})
_LOOPS = frozenset({"all", "exists", "exists_one", "map", "filter"})
_SIZED = frozenset({"string", "bytes", "list", "map"})
_BOOL, _STRING = kind("bool"), kind("string")


class Scope(Struct, frozen=True):
    """What an expression may read: the policy's variables, and the types of the declared names. ``strict_numbers``:
    the engine compares an int with a double by failing."""

    variables: Mapping[str, Source]
    types: Mapping[str, CelType]
    strict_numbers: bool = False


class _Value(Struct, frozen=True):
    """What an expression gives: its shape, and the path of the arguments that it is, where it is one."""

    shape: Shape = ANY
    path: Path = ()


_NOTHING = _Value()
ABSENT = Shape(note="absent")
"""Of a field that there is not. Nothing is known of it, and what is said of it elsewhere is enough."""


class Findings(Struct, frozen=True):
    """What was found, and the places (``where``, ``at``) that could not be judged, since they are about a field that
    there is not: another finding tells of that."""

    found: tuple[Finding, ...]
    unjudged: frozenset[tuple[str, int]]


def findings(source: Source, arguments: Shape, scope: Scope, *, condition: bool = False) -> Findings:
    """Everything that is doubtful about ``source``, where ``args`` is of the shape ``arguments``. ``condition``: it
    must be true or false."""
    walk = _Walk(source, arguments, scope, {}, [], set())
    if condition:
        walk.condition(source.tree, NONE)
    else:
        walk.value(source.tree, NONE)
    return Findings(tuple(dict.fromkeys(walk.found)), frozenset(walk.unjudged))


class _Walk(Struct):
    source: Source
    arguments: Shape
    scope: Scope
    bound: dict[str, _Value]
    found: list[Finding]
    unjudged: set[tuple[str, int]]
    entered: tuple[str, ...] = ()

    def tell(self, code: Code, at: int, name: str, message: str = "", hint: str = "") -> None:
        self.found.append(Finding(code, self.source.variable, at, name, message, hint))

    def value(self, expr: Expr, present: Paths) -> _Value:
        """What ``expr`` gives; ``present`` are the fields that are there whenever it matters."""
        if expr.kind == "literal":
            return _Value(kind(expr.name))
        if expr.kind == "name":
            return self.named(expr)
        if expr.kind == "select":
            return self.selected(expr, present)
        if expr.kind == "index":
            return self.indexed(expr, present)
        if expr.kind == "op":
            return _Value(self.operation(expr, present))
        if expr.kind == "method" and expr.name in _LOOPS:
            return _Value(self.loop(expr, present))
        if expr.kind in ("call", "method"):
            return _Value(self.called(expr, present))
        items = [self.value(item, present).shape for item in expr.args]
        if expr.kind == "list":
            alike = items[0] if items and all(one.kinds == items[0].kinds for one in items) else ANY
            return _Value(Shape(frozenset({"list"}), items=Part(Shape(alike.kinds))))
        return _Value(kind("map"))

    def facts(self, expr: Expr, *, true: bool) -> Paths:
        """The fields that are there where ``expr`` is true (or false)."""
        return facts(expr, self.source, self.scope.variables, true=true)

    def named(self, expr: Expr) -> _Value:
        if expr.name in self.bound:
            return self.bound[expr.name]
        return _Value(self.arguments, ("args",)) if expr.name == "args" else _NOTHING

    def selected(self, expr: Expr, present: Paths) -> _Value:
        names = dotted(expr)
        if names and names[0] not in self.bound:
            if names[0] == "variables" and len(names) == 2:
                return self.variable(names[1], present)
            if (declared := self.scope.types.get(".".join(names))) is not None:
                return _Value(_shape_of(declared))
        return self.below(expr, present)

    def below(self, expr: Expr, present: Paths) -> _Value:
        return self.field(self.value(expr.args[0], present), expr.name, expr.at, present)

    def variable(self, name: str, present: Paths) -> _Value:
        source = self.scope.variables.get(name)
        if source is None or name in self.entered:
            return _NOTHING
        inner = _Walk(source, self.arguments, self.scope, {}, self.found, self.unjudged, (*self.entered, name))
        return inner.value(source.tree, present)

    def field(self, of: _Value, name: str, at: int, present: Paths, *, tested: bool = False) -> _Value:
        """A field of a value; ``tested``: whether it is there is the very question."""
        shape, path = of.shape, (*of.path, name) if of.path else ()
        if shape is ABSENT:
            self.unjudged.add((self.source.variable, at))
            return _Value(ABSENT, path)
        shown = ".".join(path) if path else name
        if not shape.kinds and not shape.fields:
            return _Value(ANY, path)
        if shape.kinds and "map" not in shape.kinds:
            whole = shown.rpartition(".")[0] or "this"
            self.tell("type", at, shown, f"{whole} is {told(shape)}, so it has no {name}", _way(shape, whole))
            return _NOTHING
        known = shape.fields.get(name)
        if known is None:
            self.missing(shape, name, at, shown, guarded=tested or path in present)
            return _Value(shape.rest.shape if shape.rest else ANY if shape.open else ABSENT, path)
        if not known.required and not tested and path not in present:
            self.tell("optional", at, shown)
        return _Value(known.shape, path)

    def missing(self, shape: Shape, name: str, at: int, shown: str, *, guarded: bool) -> None:
        near = nearest(name, shape.fields)
        if shape.open and not near:
            return
        code: Code = "near" if shape.open else "unknown"
        message = "tested" if guarded else ""
        self.found.append(Finding(code, self.source.variable, at, shown, message, near, tuple(sorted(shape.fields))))

    def indexed(self, expr: Expr, present: Paths) -> _Value:
        of, key = self.value(expr.args[0], present), expr.args[1]
        name = text_of(self.source.text, key)
        if name is not None and "list" not in of.shape.kinds:
            return self.field(of, name, key.at, present)
        self.value(key, present)
        return _Value(_item(of.shape))

    def operation(self, expr: Expr, present: Paths) -> Shape:
        name = expr.name
        if name in ("&&", "||"):
            return self.joined(expr, present)
        if name == "?:":
            condition, then, other = expr.args
            self.condition(condition, present)
            first, second = (
                self.value(then, present | self.facts(condition, true=True)).shape,
                self.value(other, present | self.facts(condition, true=False)).shape,
            )
            return _alike((first, second))
        if name == "!x":
            self.condition(expr.args[0], present)
            return _BOOL
        shapes = [self.value(arg, present).shape for arg in expr.args]
        if any(shape is ABSENT for shape in shapes):
            said = [item.at for arg in expr.args for item in (arg, *arg.args) if item.kind == "literal"]
            self.unjudged |= {(self.source.variable, at) for at in (expr.at, *said)}
        if name == "-x":
            return shapes[0] if shapes[0].kinds <= NUMBERS else ANY
        if name == "in":
            self.found += member(self.source, expr, *shapes)
            return _BOOL
        if name in ("+", "-", "*", "/", "%"):
            self.found += computed(self.source, expr, shapes)
            return _alike(shapes)
        self.found += compared(self.source, expr, *shapes, strict=self.scope.strict_numbers)
        return _BOOL

    def joined(self, expr: Expr, present: Paths) -> Shape:
        """``&&`` and ``||`` take each other's errors in, whatever their order: each side may rely on all others."""
        true = expr.name == "&&"
        told = [self.facts(arg, true=true) for arg in expr.args]
        for number, arg in enumerate(expr.args):
            others = NONE.union(*told[:number], *told[number + 1 :])
            self.condition(arg, present | others)
        return _BOOL

    def condition(self, expr: Expr, present: Paths) -> None:
        value = self.value(expr, present)
        if value.shape is ABSENT:
            self.unjudged.add((self.source.variable, expr.start))
        if value.shape.kinds and "bool" not in value.shape.kinds:
            what = ".".join(value.path) or self.source.text[expr.start : expr.end]
            hint = f"compare it: {what} == ..." if value.path else "compare it with something"
            self.tell("type", expr.start, what, f"{what} is {told(value.shape)}, not true or false", hint)

    def loop(self, expr: Expr, present: Paths) -> Shape:
        of = self.value(expr.args[0], present)
        shape = of.shape
        if shape.kinds and not shape.kinds & {"list", "map"}:
            text = ".".join(of.path) or "this"
            self.tell(
                "type", expr.at, expr.name, f"{text} is {told(shape)}: {expr.name} goes through lists and objects"
            )
        if len(expr.args) < 3 or expr.args[1].kind != "name":
            return ANY
        name = expr.args[1].name
        item = _STRING if shape.kinds == {"map"} else _item(shape)
        before = self.bound.get(name)
        # A path of its own, by its place: names of loops may repeat.
        self.bound[name] = _Value(item, (name,))
        present = frozenset(path for path in present if path[0] != name)
        results = []
        for number, arg in enumerate(expr.args[2:]):
            known = present
            if number:
                known |= self.facts(expr.args[2], true=True)
            results.append(self.value(arg, known).shape)
        if before is None:
            del self.bound[name]
        else:
            self.bound[name] = before
        if expr.name == "filter":
            return shape if shape.kinds == {"list"} else ANY
        return Shape(frozenset({"list"}), items=Part(results[-1])) if expr.name == "map" else _BOOL

    def called(self, expr: Expr, present: Paths) -> Shape:
        name, args = expr.name, expr.args
        if expr.kind == "call" and name == "has" and len(args) == 1 and args[0].kind == "select":
            of = self.value(args[0].args[0], present)
            self.field(of, args[0].name, args[0].at, present, tested=True)
            return _BOOL
        if expr.kind == "call" and name == "default" and len(args) == 2:
            field = self.value(args[0], present | paths_of(args[0])).shape
            other = self.value(args[1], present).shape
            return _alike((field, other))
        if name == "dyn":
            return ANY
        values = [self.value(arg, present) for arg in args]
        if name in _OF_TEXT and expr.kind == "method":
            for value, arg in zip(values, args, strict=True):
                self.needs(value, arg, {"string"}, f"{name} is for text", expr.at)
        elif name == "size" and values:
            self.needs(values[0], args[0], _SIZED, "size is for text, lists and objects", expr.at)
        return kind(_GIVES[name]) if name in _GIVES else ANY

    def needs(self, value: _Value, arg: Expr, kinds: set[str] | frozenset[str], rule: str, at: int) -> None:
        if value.shape is ABSENT:
            self.unjudged.add((self.source.variable, at))
        if value.shape.kinds and not value.shape.kinds & kinds:
            text = self.source.text[arg.start : arg.end]
            hint = f"write string({text})" if value.shape.kinds <= NUMBERS | {"bool"} else ""
            self.tell("type", at, text, f"{text} is {told(value.shape)}, and {rule}", hint)


def _alike(shapes: Sequence[Shape]) -> Shape:
    """What is known of a value that is one of these, or made of them: no more than its kinds."""
    same = all(shape.kinds == shapes[0].kinds for shape in shapes)
    return Shape(shapes[0].kinds) if same else ANY


def _item(shape: Shape) -> Shape:
    if shape is ABSENT:
        return ABSENT
    return shape.items.shape if shape.items is not None and shape.kinds == {"list"} else ANY


def _shape_of(declared: CelType) -> Shape:
    if declared.name in ("dyn", "timestamp", "duration"):
        return ANY
    if declared.name == "list":
        return Shape(frozenset({"list"}), items=Part(_shape_of(declared.parts[0])))
    return (
        Shape(frozenset({"map"}), rest=Part(_shape_of(declared.parts[1])))
        if declared.name == "map"
        else kind(declared.name)
    )


def _way(shape: Shape, name: str) -> str:
    if shape.kinds == {"list"}:
        return f"go through it: {name}.exists(x, ...)"
    return f"write json({name}) if it is JSON" if shape.kinds == {"string"} else ""
