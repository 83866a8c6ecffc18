"""Arguments of a call with some of them changed on a command line."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click


def changed_args(args: dict[str, Any], sets: Sequence[str], unsets: Sequence[str]) -> dict[str, Any]:
    """The arguments after ``args.amount=50`` for each of ``sets``, and without ``args.cc`` for each of ``unsets``.

    A value is JSON, or else a text. A step of a path is the name of a member, or the number of an entry, from 0.

    Raises:
        click.BadParameter: a path that leads nowhere, or no path at all.
    """
    after: dict[str, Any] = copy.deepcopy(args)
    for text in sets:
        path, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is no PATH=VALUE; write args.amount=50", param_hint="--set")
        holder, last = _holder(after, path, "--set")
        if isinstance(holder, list):
            holder[_index(holder, last, path, "--set")] = _value(value)
        else:
            holder[last] = _value(value)
    for path in unsets:
        holder, last = _holder(after, path, "--unset")
        if isinstance(holder, list):
            del holder[_index(holder, last, path, "--unset")]
        elif last not in holder:
            raise click.BadParameter(f"there is no {path}", param_hint="--unset")
        else:
            del holder[last]
    return after


def read_json(file: str) -> Any:
    """The JSON in a file; ``-`` is standard input.

    Raises:
        click.ClickException: it cannot be read.
    """
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        return json.loads(text, parse_constant=_not_json)
    except OSError as error:
        raise click.ClickException(f"cannot read {file}: {error.strerror or error}") from None
    except ValueError as error:
        raise click.ClickException(f"{file} is no JSON: {error}") from None


def _holder(args: dict[str, Any], path: str, option: str) -> tuple[Any, str]:
    """What holds the value at this path, and its name there."""
    first, *names = path.split(".")
    if first != "args" or not names or not all(names):
        raise click.BadParameter(f"{path!r} is no path of an argument; write args.NAME", param_hint=option)
    holder: Any = args
    for number, name in enumerate(names[:-1]):
        if isinstance(holder, list):
            holder = holder[_index(holder, name, path, option)]
        elif isinstance(holder, dict) and name in holder:
            holder = holder[name]
        else:
            raise click.BadParameter(f"there is no {'.'.join(('args', *names[: number + 1]))}", param_hint=option)
    if not isinstance(holder, dict | list):
        raise click.BadParameter(f"{path} has nothing within it", param_hint=option)
    return holder, names[-1]


def _index(entries: list[Any], name: str, path: str, option: str) -> int:
    if not name.isascii() or not name.isdecimal() or int(name) >= len(entries):
        raise click.BadParameter(f"{name!r} in {path} is no entry of {len(entries)}, from 0 on", param_hint=option)
    return int(name)


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_not_json)
    except ValueError:
        return text


def _not_json(name: str) -> None:
    """Python reads NaN and Infinity; JSON has neither."""
    raise ValueError(f"{name} is no JSON")
