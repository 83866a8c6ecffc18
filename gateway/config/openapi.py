"""Operations out of an OpenAPI (or Swagger 2) document: its paths and methods, nothing else of it is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import yaml

from gateway.config.fields import shape_of

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")


def operations_of(path: Path, content: bytes) -> tuple[list[str], list[str]]:
    """``METHOD /path/{name}`` of every operation, and what to warn of.

    Server URLs and base paths are ignored: the tool's url has its own.

    Raises:
        ValueError: the document cannot be read, or has no operations.
    """
    paths = _paths(path, content)
    operations: dict[str, str] = {}
    warnings = []
    for template, method in _templates(paths):
        operation = f"{method.upper()} {template}"
        if mixed := re.search(r"/([^/{}]+\{[^/]*|\{[^/{}]*\}[^/]+)", template):
            warnings.append(f"{operation} is left out: {mixed[1]!r} mixes a parameter with other text")
        elif shape_of(operation) in operations:
            warnings.append(f"{operation} is left out: it matches the same as {operations[shape_of(operation)]}")
        else:
            operations[shape_of(operation)] = operation
    if not operations:
        raise ValueError("there are no operations under paths; give an OpenAPI document, or operations:")
    return list(operations.values()), warnings


def _paths(path: Path, content: bytes) -> dict[Any, Any]:
    try:
        # CBaseLoader makes everything text, so that no key turns into a number, boolean or date.
        document = orjson.loads(content) if content[:1] == b"{" else yaml.load(content, yaml.CBaseLoader)  # noqa: S506
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}; correct the document") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise ValueError(f"{path} is not YAML{where}; correct the document") from None
    paths = document.get("paths") if isinstance(document, dict) else None
    if not isinstance(paths, dict):
        raise ValueError(f"{path} has no paths; give an OpenAPI document, or operations:")  # noqa: TRY004 - one kind of error for all
    return paths


def _templates(paths: dict[Any, Any]) -> Iterator[tuple[str, str]]:
    for template, item in paths.items():
        if isinstance(template, str) and template.startswith("/") and isinstance(item, dict):
            yield from ((template, method) for method in _METHODS if method in item)
