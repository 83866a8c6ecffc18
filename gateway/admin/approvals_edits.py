"""Arguments that come back from a person who was shown some of them masked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from gateway.admin.problems import Failure

_MASK = "[redacted:"


def unmasked(given: Mapping[str, Any], current: Mapping[str, Any], hide: Callable[[bytes], bytes]) -> dict[str, Any]:
    """The arguments with what is masked in them as it was. ``current`` are those that were shown, through ``hide``: a
    mask that still stands where it was shown stands for the value behind it.

    Raises:
        Failure: 400, a mask stands elsewhere, and would reach the tool as it is.
    """
    data = orjson.dumps(current, default=str)
    hidden = hide(data)
    if hidden is data:
        return dict(given)
    try:
        shown = orjson.loads(hidden)
    except orjson.JSONDecodeError:
        raise Failure(400, "$.args: these arguments hold a secret, and cannot be edited") from None
    restored: dict[str, Any] = _restored(given, shown, current, "$.args")
    return restored


def _restored(given: Any, shown: Any, true: Any, at: str) -> Any:
    if isinstance(given, str):
        if given == shown and isinstance(true, str):
            return true
        if _MASK in given and given != true:
            raise Failure(400, f"{at} holds a mask: write the value itself, or leave the mask as it was shown")
        return given
    if isinstance(given, Mapping):
        return {
            name: _restored(value, *inner, f"{at}.{name}") for name, value, inner in _members(given, shown, true, at)
        }
    if isinstance(given, list):
        known = isinstance(shown, list) and isinstance(true, list)
        pairs = [*zip(shown, true, strict=False)] if known else []
        pairs += [(None, None)] * (len(given) - len(pairs))
        return [_restored(value, *pairs[number], f"{at}[{number}]") for number, value in enumerate(given)]
    return given


def _members(given: Mapping[str, Any], shown: Any, true: Any, at: str) -> Iterator[tuple[str, Any, tuple[Any, Any]]]:
    """Each member of ``given``: its true name, its value, and what was shown there, and is there."""
    known = isinstance(shown, Mapping) and isinstance(true, Mapping) and len(shown) == len(true)
    names = dict(zip(shown, true, strict=True)) if known else {}
    for name, value in given.items():
        if name in names:
            yield names[name], value, (shown[name], true[names[name]])
        elif _MASK in name:
            raise Failure(400, f"{at} has a member whose name holds a mask that was not shown there")
        else:
            yield name, value, (None, None)
