"""Which approvals are alike, so that people can decide on them together. Quiet.

Alike is what the same rules hold for the same operation, asked by agents of the same roles, with arguments of the same
shape. What differs within a group is told by paths: that is what a person must look at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from msgspec import Struct

from gateway.model import Approval
from gateway.policy.fingerprints import canonical, digest

Alike = tuple[str, str, tuple[str, ...], tuple[str, ...], str]
"""Tool, operation, rules, the agent's roles, and the shape of its arguments."""

MOST_PATHS = 200
"""Paths of one call that are told apart; agents choose how many there are."""
_DEEPEST = 8


class Group(Struct, frozen=True):
    """Approvals that are alike, in the order in which they came."""

    key: Alike
    members: tuple[Approval, ...]


def key_of(approval: Approval, shape: str = "") -> Alike:
    """What it has in common with those that are alike."""
    return approval.tool, approval.operation, approval.rules, approval.roles, shape


def groups(approvals: Iterable[Approval], shapes: Mapping[str, str] | None = None) -> list[Group]:
    """The approvals in groups, in the order of each one's first. ``shapes`` are digests of shapes by id
    (``shape_of``); where none is known, they do not tell calls apart."""
    found: dict[Alike, list[Approval]] = {}
    known = shapes or {}
    for approval in approvals:
        found.setdefault(key_of(approval, known.get(approval.id, "")), []).append(approval)
    return [Group(key, tuple(members)) for key, members in found.items()]


def shape_of(payload: bytes | None) -> str:
    """Digest of names and types of what a payload (``understand/petitions.py``) has as arguments, without the values.
    Lists count by the shapes in them, not by their length."""
    args = _args(payload)
    return "" if args is None else digest(orjson.dumps(_shape(args, _DEEPEST)))


def _shape(value: Any, deep: int) -> Any:
    if deep == 0:
        return "..."
    if isinstance(value, dict):
        return {name: _shape(value[name], deep - 1) for name in sorted(value)}
    if isinstance(value, list):
        shapes = {orjson.dumps(_shape(each, deep - 1)) for each in value[:MOST_PATHS]}
        return [shape.decode() for shape in sorted(shapes)]
    if isinstance(value, bool) or value is None:
        return str(type(value).__name__)
    return "number" if isinstance(value, int | float) else "text"


def differing(payloads: Sequence[bytes | None]) -> list[str]:
    """The paths of arguments (``args.to``) in which these calls differ, in order; those of the first MOST_PATHS."""
    calls = [_flat(payload) for payload in payloads]
    names = sorted(dict.fromkeys(path for call in calls for path in call))
    return [path for path in names if len({call.get(path) for call in calls}) > 1]


def _flat(payload: bytes | None) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    waiting: list[tuple[str, Any]] = [("args", _args(payload))]
    while waiting and len(found) < MOST_PATHS:
        path, value = waiting.pop(0)
        if isinstance(value, dict) and value and path.count(".") < _DEEPEST:
            waiting += [(f"{path}.{name}", value[name]) for name in sorted(value)[:MOST_PATHS]]
        else:
            found[path] = canonical(value)
    return found


def _args(payload: bytes | None) -> Any:
    """The arguments; of a call whose arguments nobody read, its body."""
    if payload is None:
        return None
    try:
        shown = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(shown, dict):
        return None
    return shown.get("args") if shown.get("args") is not None else shown.get("body")
