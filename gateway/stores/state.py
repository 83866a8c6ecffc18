"""Opens the store that the configuration names."""

from __future__ import annotations

from collections.abc import Callable

from gateway.model.state_url import StateUrl
from gateway.ports import State
from gateway.stores.memory_state import MemoryState
from gateway.stores.sqlite_state import SqliteState


def open_state(url: StateUrl, wall: Callable[[], float]) -> State:
    """The state behind a URL; nothing is touched before ``start``. ``wall`` gives seconds since the epoch.

    Raises:
        ConfigError: what the URL needs is not installed.
    """
    if url.kind == "sqlite":
        return SqliteState(url.path, wall)
    return MemoryState(wall)
