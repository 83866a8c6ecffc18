"""The file of pins, read: what was approved of one MCP server, or every mistake with its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jiter
from pydantic import Field, ValidationError

from gateway.config.documents import Document, read_documents
from gateway.config.fields import Model, Sha256
from gateway.config.files import Files
from gateway.config.model_errors import Mistake, mistakes
from gateway.errors import Problem
from gateway.policy.pins import Pin, Pins, digest_of, first_digest_of
from gateway.policy.pins_text import description_of

_ANEW = "remove the entry and pin the tool anew: toolgate tools pin"
_PLACE = re.compile(r" at line (\d+) column (\d+)$")


class PinEntry(Model):
    """One approved tool."""

    sha256: Sha256 = Field(description="Digest of the definition (SHA-256).")
    definition: str = Field(description="Name, description, schemas and annotations as JSON.")
    pinned_at: str = Field(default="", description="The day of the approval.")
    description: str = Field(default="", description="The description's first lines, for people.")


class PinsFile(Model):
    """The approved tools of one MCP server."""

    version: int = Field(ge=1, le=2, description="Version of this format: 2; 1 has other digests.")
    server: str = Field(description="The tool's name in the configuration.")
    url: str = Field(default="", description="Where the server was when it was approved; without it, wherever it is.")
    tools: dict[str, PinEntry] = Field(description="The approved tools, by name.")


def read_pins(path: Path, files: Files) -> tuple[Pins, list[Problem]]:
    """The pins of a file, and what is wrong with it; where something is, the pins are of no use.

    A file that does not exist is no mistake, since it is written by ``toolgate tools pin``: nothing is approved then.

    Raises:
        OSError: the file is there and cannot be read.
    """
    try:
        files.read(path)
    except FileNotFoundError:
        return Pins(exists=False), []
    documents, problems = read_documents(path, files)
    if problems:
        return Pins(), problems
    if len(documents) != 1:
        return Pins(), [Problem(str(path), 1, 1, "a file of pins is one document", "write it with toolgate tools pin")]
    return _pins(documents[0])


def _pins(document: Document) -> tuple[Pins, list[Problem]]:
    try:
        file = PinsFile.model_validate(document.root.plain())
    except ValidationError as error:
        return Pins(), [document.mistake(mistake) for mistake in mistakes(error, PinsFile)]
    problems: list[Problem] = []
    tools: dict[str, Pin] = {}
    for name, entry in file.tools.items():
        try:
            definition = _definition(document, name, entry, first_digest_of if file.version == 1 else digest_of)
        except _WrongError as wrong:
            problems.append(wrong.problem)
        else:
            tools[name] = Pin(digest_of(definition), definition, entry.pinned_at)
    return Pins(file.server, tools, url=file.url, version=file.version), problems


class _WrongError(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def _definition(
    document: Document, name: str, entry: PinEntry, digest: Callable[[Mapping[str, Any]], str]
) -> dict[str, Any]:
    """The definition of an entry, which must be what its digest, its name and its description say: people review the
    description, and the definition is what calls are held to."""
    path = ("tools", name)
    try:
        definition = jiter.from_json(entry.definition.encode(), catch_duplicate_keys=True, allow_inf_nan=False)
    except ValueError as error:
        found = _PLACE.search(str(error))
        place = (int(found[1]), int(found[2])) if found else (0, 0)
        message = f"the definition is not JSON: {_PLACE.sub('', str(error))}"
        raise _WrongError(document.inside((*path, "definition"), *place, message, _ANEW)) from None
    if not isinstance(definition, dict) or definition.get("name") != name:
        message = f"the definition is not that of a tool named {name!r}"
        raise _WrongError(document.mistake(Mistake((*path, "definition"), message, _ANEW)))
    if digest(definition) != entry.sha256:
        message = "the digest is not that of the definition below it"
        raise _WrongError(document.mistake(Mistake((*path, "sha256"), message, _ANEW)))
    if description_of(definition) != entry.description:
        message = "the description is not the one of the definition"
        raise _WrongError(document.mistake(Mistake((*path, "description"), message, _ANEW)))
    return definition
