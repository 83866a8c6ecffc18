"""Operations out of an OpenAPI (or Swagger 2) document: its paths and methods, and what arguments they take."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import yaml

from gateway.config.fields import shape_of
from gateway.config.openapi_arguments import Arguments
from gateway.policy.argument_shapes import ToolArguments

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")


class Described(NamedTuple):
    """A tool as its document describes it: ``METHOD /path/{name}`` of every operation, what arguments each of them
    takes, and what to warn of."""

    operations: list[str]
    arguments: ToolArguments
    warnings: list[str]


def described(path: Path, content: bytes, *, repeated: bool = False) -> Described:
    """What a document says.

    Server URLs and base paths are ignored: the tool's url has its own. ``repeated``: parameters may be given twice.

    Raises:
        ValueError: the document cannot be read, or has no operations.
    """
    document = _document(path, content)
    reader = Arguments(document, repeated=repeated)
    operations: dict[str, str] = {}
    warnings, arguments = [], {}
    for template, method in _templates(document["paths"]):
        operation = f"{method.upper()} {template}"
        if mixed := re.search(r"/([^/{}]+\{[^/]*|\{[^/{}]*\}[^/]+)", template):
            warnings.append(f"{operation} is left out: {mixed[1]!r} mixes a parameter with other text")
        elif shape_of(operation) in operations:
            warnings.append(f"{operation} is left out: it matches the same as {operations[shape_of(operation)]}")
        else:
            operations[shape_of(operation)] = operation
            arguments[operation] = reader.of(template, method)
    if not operations:
        raise ValueError("there are no operations under paths; give an OpenAPI document, or operations:")
    return Described(list(operations.values()), ToolArguments(arguments), warnings)


def _document(path: Path, content: bytes) -> dict[str, Any]:
    try:
        # CBaseLoader makes everything text, so that no key turns into a number, boolean or date.
        document = orjson.loads(content) if content[:1] == b"{" else yaml.load(content, yaml.CBaseLoader)  # noqa: S506
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}; correct the document") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise ValueError(f"{path} is not YAML{where}; correct the document") from None
    if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
        raise ValueError(f"{path} has no paths; give an OpenAPI document, or operations:")  # noqa: TRY004 - one kind of error for all
    return document


def _templates(paths: dict[Any, Any]) -> Iterator[tuple[str, str]]:
    for template, item in paths.items():
        if isinstance(template, str) and template.startswith("/") and isinstance(item, dict):
            yield from ((template, method) for method in _METHODS if method in item)
