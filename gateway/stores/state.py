"""Opens the store that the configuration names."""

from __future__ import annotations

from collections.abc import Callable

from gateway.errors import ConfigError, Problem
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
    if url.kind == "memory":
        return MemoryState(wall)
    try:
        from gateway.stores.redis_state import RedisState
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "redis":
            raise
        message = f"{url} needs the package redis, which is not installed"
        raise ConfigError(
            [Problem("state", 0, 0, message, "pip install 'toolgate[redis]', or '.[redis]' in a checkout")]
        ) from None
    return RedisState(url, wall)
