"""From one call to what calls like it could be: conditions in CEL, from much the same to what it has in common. Quiet.

What the asking rules read of the arguments is what matters: texts stay as they are, numbers may be lower, addresses may
be others of their domain. All else stays the same in the narrow one only. Where the rules read no arguments, all of
them count as read. A person chooses one, and may change it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from gateway.approvals.cel_text import Unwritable, absent, literal, member, text_literal
from gateway.approvals.paths import MISSING, at_path, read_paths
from gateway.model import Approval
from gateway.policy.engine import SOURCE_CAP
from gateway.policy.functions import FunctionError
from gateway.policy.functions_net import domain

MOST = 24
"""Arguments that a proposal speaks of; a call with more is not generalised."""
DEEPEST = 6
SHORT = 64
"""Characters of a text that no rule read, up to which it must stay as it is: longer ones are prose."""
_MAIL = re.compile(r"[A-Za-z0-9._%+-]+@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")
_LOCAL = '"^[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+$"'


class Proposal(Struct, frozen=True):
    """Calls like this one: ``name`` is narrow, middle or wide; ``about`` tells of ``when`` in words."""

    name: str
    about: tuple[str, ...]
    when: str


class _Term(Struct, frozen=True):
    """A condition, and its words."""

    cel: str
    words: str


_Sort = tuple[_Term | None, _Term | None, _Term | None]
"""The condition in the narrow, the middle and the wide proposal."""

_NAMES = ("narrow", "middle", "wide")


def proposals(approval: Approval, payload: bytes) -> tuple[Proposal, ...]:
    """Up to three, from narrow to wide, each wider than the one before; ``payload`` is the docket's. None where the
    call cannot be told in so many conditions."""
    shown = msgspec.json.decode(payload)
    args = shown.get("args")
    try:
        sorts = [*_of_path(approval, shown), *(_of_args(approval, args) if isinstance(args, dict) else ())]
    except Unwritable:
        return ()
    found: dict[str, Proposal] = {}
    for number, name in enumerate(_NAMES):
        terms = [term for sort in sorts if (term := sort[number]) is not None]
        when = " && ".join([term.cel for term in terms]) or "true"
        words = tuple([term.words for term in terms]) or (f"every call of {approval.operation} that these rules hold",)
        if len(terms) <= MOST and len(when) <= SOURCE_CAP:
            found.setdefault(when, Proposal(name, words, when))
    return tuple(found.values())


def _of_path(approval: Approval, shown: Mapping[str, Any]) -> Iterator[_Sort]:
    """What the path tells, where the operation does not tell all of it."""
    if shown.get("protocol") != "http":
        return
    path, _, query = str(shown.get("target", "")).partition("?")
    if "{" in approval.operation:
        same = _Term(f"request.path == {text_literal(unquote(path))}", f"the path {unquote(path)}")
        yield same, same, None
    if query and not isinstance(shown.get("args"), dict):
        same = _Term(f"request.query == {text_literal(query)}", "the same query")
        yield same, same, None


def _of_args(approval: Approval, args: Mapping[str, Any]) -> Iterator[_Sort]:
    read = read_paths(approval)
    for path in read:
        value = at_path(args, path)
        if value is MISSING:
            yield _of_missing(args, path)
        else:
            yield from _of_value(_written(path), value, len(read))
    for name, value in args.items():
        path = f"args.{name}"
        if not read:
            yield from _of_value(member("args", name), value, len(args))
        elif not any(path == one or one == "args" or one.startswith(path + ".") for one in read):
            yield _same(member("args", name), value)


def _same(path: str, value: Any) -> _Sort:
    """What no rule read stays as it is in the narrow one; not prose, nor objects."""
    if isinstance(value, Mapping) or (isinstance(value, str) and len(value) > SHORT):
        return None, None, None
    return _Term(f"{path} == {literal(value)}", f"{path} is {_shown(value)}"), None, None


def _written(path: str) -> str:
    first, *names = path.split(".")
    for name in names:
        first = member(first, name)
    return first


def _of_missing(args: Mapping[str, Any], path: str) -> _Sort:
    """What a rule looked for and did not find stays away."""
    parent = "args"
    value: Any = args
    for name in path.split(".")[1:]:
        if not isinstance(value, Mapping) or name not in value:
            term = _Term(absent(parent, name), f"no {parent}.{name}")
            return term, term, term
        parent, value = member(parent, name), value[name]
    raise Unwritable(path)


def _of_value(path: str, value: Any, siblings: int, depth: int = 0) -> Iterator[_Sort]:
    """The conditions on what is at this path, on each value within it where it is an object."""
    if isinstance(value, Mapping):
        if depth >= DEEPEST or len(value) + siblings > 2 * MOST:
            raise Unwritable(path)
        for name, inner in value.items():
            yield from _of_value(member(path, name), inner, siblings + len(value), depth + 1)
        return
    if isinstance(value, list):
        yield _of_list(path, value)
        return
    exact = _Term(f"{path} == {literal(value)}", f"{path} is {_shown(value)}")
    if isinstance(value, int | float) and not isinstance(value, bool):
        bounded = _of_number(path, value)
        yield bounded, bounded, bounded
    elif isinstance(value, str) and (place := _of_place(path, value)) is not None:
        yield exact, place, place
    elif isinstance(value, str):
        yield exact, exact, None
    else:
        yield exact, exact, exact


def _of_number(path: str, value: float) -> _Term:
    """At most as much; and nothing below zero where it is not."""
    most = f"{path} <= {literal(value)}"
    if value < 0:
        return _Term(most, f"{path} is at most {value}")
    zero = "0" if isinstance(value, int) else "0.0"
    return _Term(f"{path} >= {zero} && {most}", f"{path} is from 0 to {value}")


def _of_place(path: str, value: str) -> _Term | None:
    """The same domain of an e-mail address, or scheme and host of a URL; None for other texts."""
    mail = _MAIL.fullmatch(value)
    if mail is not None:
        ending = text_literal("@" + mail[1])
        return _Term(f"{path}.endsWith({ending}) && {path}.matches({_LOCAL})", f"{path} is an address at {mail[1]}")
    scheme, separator, _ = value.partition("://")
    if not separator:
        return None
    try:
        host = domain(value)
    except FunctionError:
        return None
    start = text_literal(scheme + "://")
    return _Term(
        f"{path}.startsWith({start}) && domain({path}) == {text_literal(host)}", f"{path} is a {scheme} URL of {host}"
    )


def _of_list(path: str, value: list[Any]) -> _Sort:
    exact = _Term(f"{path} == {literal(value)}", f"{path} is {_shown(value)}")
    if not value or not all(isinstance(one, str) for one in value):
        return exact, exact, exact
    # cel-expr-python takes a member of a member by index for no range of a loop, unless it is told that it may be one.
    items = f"dyn({path})" if path.endswith("]") else path
    among = _Term(
        f"type({path}) == list && {items}.all(item, item in {literal(value)})",
        f"{path} has nothing but {_shown(value)}",
    )
    places = {place.cel: place for one in value if (place := _of_place("item", one)) is not None}
    if len(places) != 1 or any(_of_place("item", one) is None for one in value):
        return exact, among, None
    only = next(iter(places.values()))
    same = _Term(f"type({path}) == list && {items}.all(item, {only.cel})", f"in {path} each {only.words}")
    return exact, among, same


def _shown(value: Any) -> str:
    text = literal(value)
    return text if len(text) <= 100 else text[:97] + "..."
