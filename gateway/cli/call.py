"""A call described in a file, as the Call that the gateway would make of it."""

from __future__ import annotations

import sys
from pathlib import Path
from time import time

from pydantic import ValidationError

from gateway.config.described import Described, misplaced
from gateway.config.documents import documents_in, read_documents
from gateway.config.files import Files
from gateway.config.load import Loaded
from gateway.config.model_errors import mistakes
from gateway.errors import ConfigError, Problem
from gateway.model import Call
from gateway.rehearse.stage import Stage


def described(path: Path, loaded: Loaded) -> Described:
    """Read the description of one call; the path ``-`` is standard input.

    Raises:
        ConfigError: it cannot be used; with every mistake and its place.
    """
    if str(path) == "-":
        documents, problems = documents_in("<stdin>", sys.stdin.buffer.read())
    else:
        documents, problems = read_documents(path, Files())
    if problems or len(documents) != 1:
        raise ConfigError(
            problems or [Problem(str(path), 1, 1, "describe one call", "write agent, tool, method, path")]
        )
    document = documents[0]
    try:
        call = Described.model_validate(document.root.plain())
    except ValidationError as error:
        raise ConfigError([document.mistake(mistake) for mistake in mistakes(error, Described)]) from None
    mistake = misplaced(call, loaded.tools)
    if mistake is not None:
        raise ConfigError([document.mistake(mistake)])
    return call


def call_of(described: Described, loaded: Loaded) -> Call:
    """The call, read as a request of this agent would be.

    Raises:
        Refused: the request cannot be read in one way only; the gateway would refuse it for that.
    """
    return Stage(loaded, time()).call_of(described)
