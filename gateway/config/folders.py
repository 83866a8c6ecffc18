"""Folders that a configuration needs beside it and that are not there. Only warned of, and only where the path is
relative: whole paths may be those of another machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gateway.config.model_errors import Mistake
from gateway.config.schema import Config
from gateway.model.state_url import read_state_url


def without_folder(config: Config, base: Path) -> Iterator[Mistake]:
    """Files that a gateway with this configuration could not make. Paths of ``config`` are as written, and begin at
    ``base``."""
    state = read_state_url(config.state)
    if state.kind == "sqlite":
        yield from _look(("state",), state.path, base)
    if config.trace.file != "-":
        yield from _look(("trace", "file"), config.trace.file, base)
    if config.trace.store is not None:
        yield from _look(("trace", "store", "path"), config.trace.store.path, base)


def _look(key: tuple[str, ...], file: str, base: Path) -> Iterator[Mistake]:
    folder = os.path.dirname(file)
    if not os.path.isabs(file) and not os.path.isdir(base / folder):
        message = f"the folder {folder} of {file} does not exist: a gateway would not start"
        yield Mistake(key, message, "create it; the path begins at the configuration's folder")
