"""What is wrong with arguments, in words from which a model can correct them: the place, the fault, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import jsonschema_rs
import orjson

from gateway.policy.hints import nearest

_Constant = jsonschema_rs.ValidationErrorKind.Constant
_LONGEST = 200
_SHOWN = 60
"""Characters of a value that is quoted."""
_MOST_NAMES = 12
_MOST_COMPARED = 200
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def explained(error: jsonschema_rs.ValidationError, schema: Any) -> str:
    """``$.amount: must be integer, not "1"``. ``schema`` is the whole schema, of which known names are told."""
    return _cut(_explained(error, schema), _LONGEST)


def _explained(error: jsonschema_rs.ValidationError, schema: Any) -> str:
    place, kind = place_of(error.instance_path), error.kind
    match kind:
        case jsonschema_rs.ValidationErrorKind.Required():
            return f"{place}: {_shown(kind.property)} is missing; it is required"
        case jsonschema_rs.ValidationErrorKind.AdditionalProperties() | (
            jsonschema_rs.ValidationErrorKind.UnevaluatedProperties()
        ):
            return f"{place}: {_unknown(kind.unexpected, [] if error.instance_path else _properties(schema))}"
        case jsonschema_rs.ValidationErrorKind.Type():
            return f"{place}: must be {' or '.join(kind.types)}, not {_shown(error.instance)}"
        case jsonschema_rs.ValidationErrorKind.Enum():
            return f"{place}: must be one of {_among(kind.options)}, not {_shown(error.instance)}"
        case _Constant():
            return f"{place}: must be {_shown(kind.expected_value)}, not {_shown(error.instance)}"
        case jsonschema_rs.ValidationErrorKind.AnyOf() | jsonschema_rs.ValidationErrorKind.OneOfNotValid():
            return _alternatives(error, kind.context, schema)
        case jsonschema_rs.ValidationErrorKind.FalseSchema():
            return f"{place}: is not allowed; leave it out"
    return f"{place}: {_in_words(error)}"


def place_of(path: Sequence[str | int]) -> str:
    """``$.items[3].id``; names that are no plain words in brackets and quotes."""
    steps = []
    for step in path:
        if isinstance(step, int):
            steps.append(f"[{step}]")
        else:
            steps.append(f".{step}" if _PLAIN.fullmatch(step) else f"[{_shown(step)}]")
    return _cut("$" + "".join(steps), _LONGEST // 2)


def _in_words(error: jsonschema_rs.ValidationError) -> str:
    """The library's own words, without a long value at their beginning: bounds, lengths and patterns are told well."""
    value = orjson.dumps(error.instance).decode()
    message = error.message
    if message.startswith(value):
        return _shown(error.instance) + message[len(value) :]
    return message


def _alternatives(
    error: jsonschema_rs.ValidationError, branches: Sequence[Sequence[jsonschema_rs.ValidationError]], schema: Any
) -> str:
    """Nothing fits: where only the type is wrong, the types; else what is wrong with the alternative that came
    furthest, since that is the one that was meant."""
    place = place_of(error.instance_path)
    types: list[str] = []
    other: list[jsonschema_rs.ValidationError] = []
    for first in (branch[0] for branch in branches if branch):
        same = first.instance_path == error.instance_path
        if same and isinstance(first.kind, jsonschema_rs.ValidationErrorKind.Type):
            types += first.kind.types
        else:
            other.append(first)
    if not other:
        return f"{place}: must be {' or '.join(dict.fromkeys(types))}, not {_shown(error.instance)}"
    constants = [first.kind.expected_value for first in other if isinstance(first.kind, _Constant)]
    if len(constants) == len(other) and len({tuple(first.instance_path) for first in other}) == 1:
        return (
            f"{place_of(other[0].instance_path)}: must be one of {_among(constants)}, not {_shown(other[0].instance)}"
        )
    meant = max(other, key=lambda first: len(first.instance_path))
    return f"{_explained(meant, schema)}; or another of the {len(branches)} alternatives"


def _unknown(names: Sequence[str], known: Sequence[str]) -> str:
    name = names[0] if names else ""
    near = nearest(name[:_SHOWN], known[:_MOST_COMPARED])
    if near:
        advice = f"did you mean {_shown(near)}?"
    elif known:
        advice = f"known are {_among(known)}"
    else:
        advice = "leave it out"
    return f"{_shown(name)} is not known here; {advice}"


def _properties(schema: Any) -> list[str]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    return list(properties) if isinstance(properties, dict) else []


def _among(options: Sequence[Any]) -> str:
    shown = ", ".join(_shown(option) for option in options[:_MOST_NAMES])
    return shown + (", ..." if len(options) > _MOST_NAMES else "")


def _shown(value: Any) -> str:
    """A value for a message: small ones as JSON, others by what they are."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, str):
        value = _cut(value, _SHOWN)
    return orjson.dumps(value, default=str).decode()


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
