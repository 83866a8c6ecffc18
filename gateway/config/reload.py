"""Watches the configuration, the policies and the secrets, and hands over each new version that is usable.

Events only say that something may have happened: what counts is whether the contents differ from what was read last.
Folders are watched, not files, since editors and Kubernetes replace files (a watch on a file goes deaf then); and all
is looked at again every few seconds, since some file systems tell nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from watchfiles import Change, awatch

from gateway.config.files import Files
from gateway.config.load import Attempt, Loaded, attempt
from gateway.errors import ConfigError

LOOK_AGAIN = 5.0
"""Seconds between two looks without an event."""
SETTLE = 0.2
"""Seconds after which a version with mistakes is read again before it is reported: an editor may have been writing."""
MOST_LOOKS = 20
"""Looks at files that keep changing before they are taken as they are."""
DEBOUNCE = 100
"""Milliseconds for which changes are gathered."""

log = logging.getLogger("toolgate.config")
logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it tells of every event, also of those that mean nothing


async def watch(
    path: str | os.PathLike[str],
    loaded: Loaded,
    on_change: Callable[[Loaded], None],
    on_error: Callable[[ConfigError], None],
    stop: asyncio.Event,
    reload_now: asyncio.Event | None = None,
) -> None:
    """Call ``on_change`` with each new version, ``on_error`` with each that cannot be used, until ``stop`` is set.

    After ``on_error`` the caller goes on with what it has. Setting ``reload_now`` (on SIGHUP, say) reads everything
    and reports at once, changed or not. Callbacks run on the event loop; reading and compiling do not.
    """
    watcher = _Watcher(path, loaded, reload_now or asyncio.Event())
    try:
        while not stop.is_set():
            made = await watcher.next(stop)
            if made is None:
                continue
            try:
                if made.loaded is not None:
                    on_change(made.loaded)
                else:
                    on_error(ConfigError(made.errors))
            except Exception:  # watching goes on whatever became of this version
                log.exception("a new version could not be put in force")
    finally:
        await watcher.close()


class _Watcher:
    """Finds new versions. ``_files`` is what the newest attempt read, usable or not."""

    def __init__(self, path: str | os.PathLike[str], loaded: Loaded, reload_now: asyncio.Event) -> None:
        self._path = path
        self._reload_now = reload_now
        self._event = asyncio.Event()
        self._watched: tuple[frozenset[Path], frozenset[Path]] = (frozenset(), frozenset())
        self._notifiers: list[asyncio.Task[None]] = []
        self._fingerprint = loaded.fingerprint
        self._files = Files()
        for file in loaded.files:
            (self._files.folders.add if file.is_dir() else self._files.look)(file)

    async def next(self, stop: asyncio.Event) -> Attempt | None:
        """Wait for something to happen; the attempt at a new version, or None where there is nothing new."""
        fresh = await self._follow()
        # New watches may have missed what happened while they were set up: look again soon.
        await self._wait(stop, SETTLE if fresh else LOOK_AGAIN)
        forced = self._reload_now.is_set()
        self._reload_now.clear()
        self._event.clear()
        if stop.is_set() or not (forced or await self._changed()):
            return None
        await self._at_rest()
        made = await asyncio.to_thread(attempt, self._path)
        if made.loaded is None:
            await asyncio.sleep(SETTLE)
            made = await asyncio.to_thread(attempt, self._path)
        self._files, self._fingerprint = made.files, made.files.fingerprint()
        return made

    async def _at_rest(self) -> None:
        """Wait until two looks see the same: a file written in place is empty, and valid, for a moment."""
        seen = ""
        for _ in range(MOST_LOOKS):
            now = await asyncio.to_thread(self._files.fingerprint_now)
            if now == seen:
                return
            seen = now
            await asyncio.sleep(SETTLE / 2)

    async def _changed(self) -> bool:
        return await asyncio.to_thread(self._files.fingerprint_now) != self._fingerprint

    async def _wait(self, stop: asyncio.Event, seconds: float) -> None:
        waiting = [asyncio.ensure_future(event.wait()) for event in (stop, self._event, self._reload_now)]
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def _follow(self) -> bool:
        """Watch the folders of what was read last; whether that took new watches."""
        wanted = folders_of(self._files)
        if wanted == self._watched:
            return False
        await self.close()
        self._watched = wanted
        flat, deep = wanted
        self._notifiers = [
            asyncio.create_task(self._notify(folders, recursive))
            for folders, recursive in ((flat, False), (deep, True))
            if folders
        ]
        return True

    async def _notify(self, folders: frozenset[Path], recursive: bool) -> None:
        try:
            async for _ in awatch(
                *folders, watch_filter=_filter(self._files, recursive), debounce=DEBOUNCE, recursive=recursive
            ):
                self._event.set()
        except (OSError, RuntimeError) as error:
            log.warning("no file events (%s); looking for changes every %g s instead", error, LOOK_AGAIN)

    async def close(self) -> None:
        """Stop watching."""
        for task in self._notifiers:
            task.cancel()
        for task in self._notifiers:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._notifiers = []


def _filter(files: Files, recursive: bool) -> Callable[[Change, str], bool]:
    """Which events matter: a log that grows beside the configuration is no reason to read everything again."""
    ours = {name for path in files.read_files for name in (str(path), os.path.realpath(path))}

    def matters(change: Change, path: str) -> bool:
        grows = change is Change.modified and os.path.isfile(path) and not os.path.islink(path)
        return not grows or recursive or path in ours

    return matters


def folders_of(files: Files) -> tuple[frozenset[Path], frozenset[Path]]:
    """The folders to watch: those where only the entries matter, and those where everything below does."""
    deep = _existing(files.folders)
    real = [Path(os.path.realpath(path)) for path in (*files.read_files, *files.folders)]
    flat = _existing(path.parent for path in (*files.read_files, *files.folders, *real))
    return frozenset(flat), frozenset(deep)


def _existing(folders: Iterable[Path]) -> set[Path]:
    """Each folder, or the nearest above it that exists, so that its making is seen."""
    found = set()
    for folder in folders:
        here = folder
        while not here.is_dir() and here != here.parent:
            here = here.parent
        found.add(here)
    return found
