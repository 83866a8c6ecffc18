"""One process of the server: lines in, lines out, and an end that always comes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import cast

LONGEST_LINE = 16 << 20
_PATIENCE = 2.0
"""Seconds between closing a child's stdin, asking it to end, and ending it."""


class ChildGone(Exception):  # noqa: N818 - an event
    """The process has ended, or is ending."""


class _TooLong(Exception):  # noqa: N818 - an event
    """A line over the limit."""


class Child:
    """A running process. Its stderr is ours; it leads a process group, so that a shell's or npx's children end too."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._stdin = cast("asyncio.StreamWriter", process.stdin)
        self._stdout = cast("asyncio.StreamReader", process.stdout)
        self._reading: asyncio.Task[None] | None = None
        self.alive = True

    @classmethod
    async def start(cls, command: Sequence[str], env: Mapping[str, str]) -> Child:
        """Start ``command`` with our environment and ``env`` on top; nothing is read before ``listen``.

        Raises:
            OSError: it cannot be started.
        """
        return cls(
            await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, **env},
                limit=LONGEST_LINE,
                start_new_session=True,
            )
        )

    def listen(self, hear: Callable[[bytes], None], ended: Callable[[str], None]) -> None:
        """Give every line (without its end) to ``hear``, and at last, once, the reason of the end to ``ended``."""
        self._reading = asyncio.create_task(self._read(hear, ended))

    def send(self, line: bytes) -> None:
        """Queue one line, without its end. Nothing happens if the process has gone: ``ended`` tells."""
        if self.alive:
            self._stdin.write(line + b"\n")

    async def drain(self) -> None:
        """Wait until the child has taken most of what was sent.

        Raises:
            ChildGone: it will take no more.
        """
        try:
            await self._stdin.drain()
        except ConnectionError as error:
            raise ChildGone from error

    async def close(self) -> None:
        """Close stdin (which asks a server to end), then SIGTERM, then SIGKILL. Returns when it has ended."""
        await self._stop()
        if self._reading is not None:
            # What the child said last is still read; but a grandchild may hold the pipe open.
            await asyncio.wait([self._reading], timeout=_PATIENCE)
            self._reading.cancel()

    async def _stop(self) -> None:
        self.alive = False
        self._stdin.close()
        for ask in (signal.SIGTERM, signal.SIGKILL, None):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await self._process.wait()
                    return
            if ask is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, ask)

    async def _read(self, hear: Callable[[bytes], None], ended: Callable[[str], None]) -> None:
        broken = "the bridge cannot read on"
        try:
            while line := await self._line():
                if line := line.strip():
                    hear(line)
            broken = ""
        except _TooLong:
            # What follows cannot be told apart from the rest of this line.
            broken = f"the server sent a line longer than {LONGEST_LINE >> 20} MiB"
        finally:
            self.alive = False
            if broken:
                ended(broken)
            await self._stop()
            if not broken:
                ended(_reason(self._process.returncode))

    async def _line(self) -> bytes:
        try:
            return await self._stdout.readline()
        except ValueError as error:
            raise _TooLong from error


def _reason(status: int | None) -> str:
    if status is None:
        return "the server is ending"
    if status < 0:
        return f"the server was ended by signal {-status}"
    return f"the server ended with exit status {status}"
