"""What pydantic says of a document, in the user's words: no jargon, no links, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from msgspec import Struct
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.policy.hints import nearest

Path = tuple[str | int, ...]
LONGEST = 60
"""Characters of a value that a message quotes."""
SECRET = frozenset({"credential", "keys", "token", "state", "key", "otlp", "channels", "guardrails"})
"""Below these keys no value is quoted, and no line is shown."""
_KINDS = {dict: "a mapping", list: "a list", tuple: "a list", bool: "true or false", type(None): "nothing"}
_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}


class Mistake(Struct, frozen=True):
    """``path`` leads to the value, or to the key where ``at_key`` is set. ``kind`` is for machines."""

    path: Path
    message: str
    hint: str = ""
    at_key: bool = False
    kind: str = "setting"


def mistakes(error: ValidationError, model: type[BaseModel]) -> Iterator[Mistake]:
    """Every mistake that pydantic found in a document of ``model``."""
    details = _of_one_choice(error.errors(include_url=False))
    for detail in details:
        if detail["type"] == "too_short" and any(_below(detail["loc"], other["loc"]) for other in details):
            continue  # entries with mistakes do not count, and are told of themselves
        path: Path = tuple(step for step in detail["loc"] if step != "[key]")
        path += getattr(detail.get("ctx", {}).get("error"), "at", ())
        yield _mistake(detail["type"], path, detail.get("input"), detail.get("ctx", {}), detail["msg"], model)


def _of_one_choice(details: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Where a value may be one of some words or a mapping, pydantic complains of both: keep what was meant.

    The step by which it names the choice (``literal['a','b']``, or the model's class) is no part of the user's path.
    """
    choices = {one["loc"][:-1]: one["input"] for one in details if _names_words(one["loc"][-1:])}
    kept: list[ErrorDetails] = []
    for detail in details:
        path = detail["loc"]
        choice = next((choice for choice in choices if path[: len(choice)] == choice), None)
        if choice is not None:
            at = len(choice)
            words = _names_words(path[at : at + 1])
            if words == isinstance(choices[choice], dict):
                continue
            if words:
                detail["ctx"]["expected"] += ", 'a mapping'"
            detail["loc"] = choice + path[at + 1 :]
        kept.append(detail)
    return kept


def _names_words(steps: Path) -> bool:
    return any(isinstance(step, str) and step.startswith("literal[") for step in steps)


def _below(path: Path, other: Path) -> bool:
    return len(other) > len(path) and other[: len(path)] == path


def _mistake(
    kind: str, path: Path, value: Any, context: Mapping[str, Any], text: str, model: type[BaseModel]
) -> Mistake:
    where = dotted(path)
    if kind == "extra_forbidden":
        return _unknown_key(path, model)
    if kind == "missing":
        about = _description(model, path)
        hint = f"add {path[-1]}:" + (f" {about}" if about else "")
        return Mistake(path, f"{where} is missing", hint, at_key=True, kind="missing-key")
    label = f"{where}: " if where else ""
    if kind == "value_error":
        message, _, hint = str(context.get("error", text)).partition("; ")
        return Mistake(path, label + message, hint, kind="value")
    message, hint = _told(kind, path, value, context)
    named = "type" if kind in _WANTED else "value"
    if _WANTED.get(kind) == "a mapping" and value is not None:
        keys = _keys(model_at(model, path))
        hint = f"write {{NAME: {keys}}}" if kind == "dict_type" else f"write {keys}"
    return Mistake(path, label + (message or text[:1].lower() + text[1:]), hint, kind=named)


def _told(kind: str, path: Path, value: Any, context: Mapping[str, Any]) -> tuple[str, str]:
    """Message and hint for the common kinds; an empty message for the others."""
    secret = bool(SECRET & set(path))
    shown = "" if secret else quoted(value)
    instead = f", not {shown}" if shown else ""
    if kind in ("literal_error", "enum"):
        expected = re.findall(r"'([^']*)'", str(context["expected"]))
        near = nearest(value, expected) if isinstance(value, str) else ""
        return f"must be {_either(expected)}{instead}", f"did you mean {near}?" if near else ""
    if kind in _WANTED:
        return f"must be {_WANTED[kind]}{instead}", "write it in quotes" if secret else _how(kind, value)
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"must be {words} {context[key]:g}{instead}", ""
    if kind == "string_pattern_mismatch":
        return _pattern(str(context["pattern"]), shown)
    if kind == "string_too_short":
        return "must not be empty", ""
    if kind == "string_too_long":
        return f"must have at most {context['max_length']} characters", ""
    if kind == "too_short":
        return f"must have at least {context['min_length']} entry", "an empty list or mapping means nothing here"
    if kind == "too_long":
        return f"must have at most {context['max_length']} entries, not {context['actual_length']}", ""
    return "", ""


def _unknown_key(path: Path, model: type[BaseModel]) -> Mistake:
    name = str(path[-1])
    parent = model_at(model, path[:-1])
    known = list(parent.model_fields) if parent is not None else []
    near = nearest(name, known)
    hint = f"did you mean {near}?" if near else f"known here: {', '.join(known)}"
    where = f" in {dotted(path[:-1])}" if path[:-1] else ""
    return Mistake(path, f"unknown key {name!r}{where}", hint, at_key=True, kind="unknown-key")


def _keys(model: type[BaseModel] | None) -> str:
    """How a mapping is written: its required keys, or the first of the others."""
    if model is None:
        return "..."
    fields = model.model_fields
    names = [name for name, field in fields.items() if field.is_required()] or list(fields)[:3]
    return f"{{{', '.join(f'{name}: ...' for name in names)}}}"


def _how(kind: str, value: Any) -> str:
    if value is None:
        return "give it a value, or remove the key"
    if kind == "string_type" and isinstance(value, int | float):
        return f'write "{str(value).lower() if isinstance(value, bool) else value}" in quotes'
    if kind == "bool_type" and isinstance(value, str) and value.lower() in ("yes", "on", "no", "off", "y", "n"):
        return "write true" if value.lower() in ("yes", "on", "y") else "write false"
    if kind == "tuple_type" and isinstance(value, str):
        return f"write [{value}]"
    if kind in ("tuple_type", "list_type") and isinstance(value, dict):
        return "begin each entry with - , or write [...]"
    if kind == "int_type" and isinstance(value, str) and value.strip().isdigit():
        return f"write {value.strip()} without quotes"
    return ""


def _pattern(pattern: str, shown: str) -> tuple[str, str]:
    subject = shown or "this"
    if pattern == r"^[a-z0-9][a-z0-9._-]*$":
        return (
            f"{subject} is not a tool's name",
            "write lower-case letters, digits, '.', '_' and '-': it stands in URLs",
        )
    if pattern == r"^[A-Za-z_][A-Za-z0-9_]*$":
        return f"{subject} is not a variable's name", "write letters, digits and '_', not beginning with a digit"
    if pattern.startswith("^/"):
        return f"{subject} is not a path", "write it from the root, such as /mcp"
    return f"{subject} is not a name", "write letters, digits, '.', '_' and '-', beginning with a letter or digit"


def quoted(value: Any) -> str:
    """A value for a message: short text and numbers as they are, else what it is."""
    kind = _KINDS.get(type(value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return kind or (repr(value) if len(repr(value)) <= LONGEST else f"{repr(value)[:LONGEST]}...")


def dotted(path: Sequence[str | int]) -> str:
    """A path as people write it: ``spec.rules[0].when``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def model_at(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel] | None:
    """The model of the mapping at ``path`` below a document of ``model``, or None where there is none."""
    here: type[BaseModel] | None = model
    skip = False
    for step in path:
        if isinstance(step, int) or skip:
            skip = False
            continue
        field = here.model_fields.get(step) if here is not None else None
        if field is None:
            return None
        here = _model_in(field.annotation)
        # The keys of a mapping of models (tools) are the user's own.
        skip = "dict[" in str(field.annotation)
    return here


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        if (found := _model_in(part)) is not None:
            return found
    return None


def _description(model: type[BaseModel], path: Path) -> str:
    parent = model_at(model, path[:-1])
    field = parent.model_fields.get(str(path[-1])) if parent is not None else None
    text = (field.description or "") if field is not None else ""
    return text[:1].lower() + text[1:].removesuffix(".")
