"""Members of JSON bodies that come from others: read with their type, or as nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.errors import Refused
from gateway.model import Caps, Proposal, Reason
from gateway.policy.globs import matches_any

BYTES_A_TOKEN = 4
"""For estimates: English text and JSON have about four bytes a token in the vocabularies of today."""


def load(data: bytes) -> Any:
    """The value of a JSON text as clients in Python or JavaScript would read it, None where they could not.

    Lenient, unlike ``strict_json``: it is for answers, where what an agent's SDK can read must not be missed.
    """
    try:
        return orjson.loads(data)
    except ValueError:
        try:
            return json.loads(data)  # lone surrogates, NaN and a byte order mark, which only orjson refuses
        except (ValueError, RecursionError):
            return None


def dump(value: Any) -> bytes:
    """A value that ``load`` or ``strict_json`` gave, as JSON."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


def count(value: object) -> int:
    """A number of tokens, rounded up where a lax server writes a fraction (``12.0``); 0 for what is none."""
    if isinstance(value, float) and 0 < value < math.inf:
        return math.ceil(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def mapping(value: object) -> dict[str, Any]:
    """The value where it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """The value where it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """The value where it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def tokens_of(size: int) -> int:
    """About how many tokens so many bytes are."""
    return -(-size // BYTES_A_TOKEN)


def asked_text(body: Mapping[str, Any], name: str, where: str = "") -> str:
    """A member of a request that is a string, or "" where it is absent or null.

    Raises:
        Refused: 400, it is of another type.
    """
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise wrong(f"{where}{name}", "a string", value)
    return value or ""


def asked_count(body: Mapping[str, Any], name: str, where: str = "") -> int:
    """A member of a request that is a whole number, or 0 where it is absent or null.

    Raises:
        Refused: 400, it is of another type: ``"100"`` and ``1e2`` too, which some servers would take.
    """
    value = body.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise wrong(f"{where}{name}", "a whole number from 0 on", value)
    return value or 0


def asked_items(body: Mapping[str, Any], name: str, where: str = "") -> list[dict[str, Any]]:
    """A member of a request that is an array of objects, or an empty one where it is absent or null.

    Raises:
        Refused: 400, it is of another type.
    """
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise wrong(f"{where}{name}", "an array of objects", value)
    for at, item in enumerate(value):
        if not isinstance(item, dict):
            raise wrong(f"{where}{name}[{at}]", "an object", item)
    return value


def asked_object(body: Mapping[str, Any], name: str, where: str = "") -> dict[str, Any]:
    """A member of a request that is an object, or an empty one where it is absent or null.

    Raises:
        Refused: 400, it is of another type.
    """
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise wrong(f"{where}{name}", "an object", value)
    return value or {}


_NAMES = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "an array", dict: "an object"}


def wrong(place: str, want: str, value: object) -> Refused:
    """The refusal of a member that is not of the type that the API documents."""
    kind = "null" if value is None else _NAMES[type(value)]
    shown = f" ({value!r})"[:60] if isinstance(value, int | float) else ""
    return Refused(
        Reason.UNREADABLE_BODY,
        400,
        f"`{place}` must be {want}, and is {kind}{shown}",
        f"send `{place}` as {want}, as the provider's API documents it",
    )


def capped(caps: Caps, detail: str, advice: str) -> Refused:
    """The refusal of what no change of the request could bring under its caps."""
    return Refused(Reason.CAPPED, 403, f"{detail} (cap {caps.name!r})", advice)


def forbidden(caps: Caps, *names: str) -> bool:
    """Whether the caps forbid a tool that goes by these names."""
    return any(matches_any(caps.forbid_tools, name) for name in names if name)


def same(one: Proposal, other: Proposal) -> bool:
    """Whether two proposals are the same call, whatever was made of them."""
    return one.id == other.id and one.name == other.name and one.args == other.args


def refused_text(proposal: Proposal, refused: Sequence[tuple[Proposal, str]]) -> str | None:
    """The text that stands for a proposal which was refused; None where it was not.

    Two calls that are alike in all that rules can read are refused together.
    """
    for other, said in refused:
        if same(proposal, other):
            return said
    return None
