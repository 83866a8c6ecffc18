"""``${env:NAME}`` and ``${file:/path}`` inside values: secrets stay out of the configuration file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.config.files import Files
from gateway.config.marks import Node
from gateway.config.problems import Found

_REFERENCE = re.compile(r"\$?\$\{([^}]*)(\}?)")
_WRITE = "write ${env:NAME} or ${file:/path}, or $${ where ${ itself is meant"


class _UnresolvedError(ValueError):
    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def expand(node: Node, base: Path, files: Files, environment: Mapping[str, str] = os.environ) -> list[Found]:
    """Replace the references in every text below ``node``; ``base`` is the folder that relative paths begin at.

    The result is always text, also where it looks like a number. Returns what could not be resolved.
    """
    found: list[Found] = []
    for scalar in node.scalars():
        if not isinstance(scalar.value, str) or "${" not in scalar.value or scalar.raw is not None:
            continue
        try:
            text = _REFERENCE.sub(_resolver(base, files, environment), scalar.value)
        except _UnresolvedError as error:
            found.append(Found(scalar.line, scalar.column, error.message, error.hint))
            continue
        scalar.raw, scalar.value = scalar.value, text
    return found


def _resolver(base: Path, files: Files, environment: Mapping[str, str]) -> Callable[[re.Match[str]], str]:
    def resolve(reference: re.Match[str]) -> str:
        if reference[0].startswith("$$"):
            return reference[0][1:]
        kind, colon, name = reference[1].partition(":")
        if not reference[2] or not colon or not name or kind not in ("env", "file"):
            raise _UnresolvedError(f"{reference[0]!r} is not a reference", _WRITE)
        if kind == "env":
            value = environment.get(name)
            if value is None:
                raise _UnresolvedError(f"the environment variable {name} is not set", f"set {name} before starting")
            return value
        return _from_file(base / name, files)

    return resolve


def _from_file(path: Path, files: Files) -> str:
    try:
        text = files.read(path).decode()
    except OSError as error:
        raise _UnresolvedError(
            f"cannot read {path}: {error.strerror or error}", "create the file, or correct the path"
        ) from None
    except UnicodeDecodeError:
        raise _UnresolvedError(f"{path} is not UTF-8 text", "write the secret as text") from None
    return text.removesuffix("\n").removesuffix("\r")
