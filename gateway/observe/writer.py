"""Whole lines to a file or to stdout, from a thread of its own: a slow or full disk is this thread's trouble only."""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from time import monotonic, sleep

from gateway.errors import ConfigError, Problem

STDOUT = "-"
_MOST_AT_ONCE = 1 << 20
"""Bytes that batches waiting in line are joined up to, for one write."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
"""Seconds between two tries after a write error; doubled each time."""

Batch = tuple[bytes, int]
"""Whole lines, and how many."""

log = logging.getLogger("toolgate.trace")


class LineFile:
    """An append-only file that may be rotated under us. Not safe for threads."""

    def __init__(self, path: str, write: Callable[[int, bytes], int] = os.write) -> None:
        """Open ``path`` (``-`` is stdout) and heal a last line that a crash cut short.

        Raises:
            OSError: it cannot be opened for writing.
        """
        self.path = path
        self._write = write
        self._fd = 1 if path == STDOUT else _open(path)

    def append(self, data: bytes, done: int) -> int:
        """Write some of ``data`` (whole lines) from byte ``done`` on; returns how far it got.

        After a rotation in the middle of a line, the line starts again in the new file.

        Raises:
            OSError: nothing more was written.
        """
        if self._rotated():
            fresh = _open(self.path)
            os.close(self._fd)
            self._fd = fresh
            done = data.rfind(b"\n", 0, done) + 1
        return done + self._write(self._fd, data[done:] if done else data)

    def close(self) -> None:
        """Close the file; stdout stays open."""
        if self.path != STDOUT:
            os.close(self._fd)

    def _rotated(self) -> bool:
        if self.path == STDOUT:
            return False
        ours = os.fstat(self._fd)
        try:
            theirs = os.stat(self.path)
        except FileNotFoundError:
            return True
        return (ours.st_ino, ours.st_dev) != (theirs.st_ino, theirs.st_dev)


def _open(path: str) -> int:
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        regular = True
    if not regular:
        # O_NONBLOCK: opening a pipe that nobody reads is an error then, instead of a wait without end.
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(fd, True)
        return fd
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    size = os.fstat(fd).st_size
    if size and os.pread(fd, 1, size - 1) != b"\n":
        os.write(fd, b"\n")
    return fd


class Writer:
    """The thread. ``put`` never blocks; ``written`` counts the records that the operating system has taken."""

    def __init__(self, path: str, write: Callable[[int, bytes], int] = os.write, pause: float = _FIRST_PAUSE) -> None:
        """Open the file and start. ``pause``: seconds before the first new try after a write error.

        Raises:
            ConfigError: the file cannot be opened.
        """
        try:
            self._file = LineFile(path, write)
        except OSError as error:
            hint = "give a file in a folder that exists and that this user may write, or - for stdout"
            raise ConfigError([Problem("trace.file", 0, 0, f"cannot write {path}: {error.strerror}", hint)]) from None
        self.path = path
        self.written = 0
        self.error = ""
        """What the last try failed with; empty while writing works."""
        self._pause = pause
        self._batches: SimpleQueue[Batch | None] = SimpleQueue()
        self._closing = threading.Event()
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._work, name="toolgate-trace", daemon=True)
        self._thread.start()

    def put(self, batch: Batch) -> None:
        """Hand over a batch."""
        self._batches.put(batch)

    def close(self, timeout: float) -> None:
        """Write what is in line, for at most ``timeout`` seconds; a write that hangs is left behind."""
        self._deadline = monotonic() + timeout
        self._closing.set()
        self._batches.put(None)
        self._thread.join(timeout)

    def _work(self) -> None:
        more = True
        while more:
            batch = self._batches.get()
            if batch is None:
                break
            data, count, more = self._join(batch)
            if not self._persist(data):
                return  # out of time at the end; the file stays as it is
            self.written += count
        self._file.close()

    def _join(self, batch: Batch) -> tuple[bytes, int, bool]:
        """The batch and those behind it as one; and whether more may come."""
        data, count = batch
        parts, size = [data], len(data)
        while size < _MOST_AT_ONCE:
            try:
                following = self._batches.get_nowait()
            except Empty:
                break
            if following is None:
                return b"".join(parts), count, False
            parts.append(following[0])
            size += len(following[0])
            count += following[1]
        return b"".join(parts), count, True

    def _persist(self, data: bytes) -> bool:
        """Write all of it, however often it takes. False: the deadline of ``close`` has passed."""
        done, pause = 0, self._pause
        while done < len(data):
            try:
                done = self._file.append(data, done)
            except OSError as error:
                self._failed(error)
                if self._closing.is_set() and monotonic() + pause > self._deadline:
                    return False
                self._rest(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                pause = self._pause
        if self.error:
            log.warning("traces can be written to %s again", self.path)
            self.error = ""
        return True

    def _rest(self, pause: float) -> None:
        if self._closing.is_set():
            sleep(pause)
        else:
            self._closing.wait(pause)

    def _failed(self, error: OSError) -> None:
        text = error.strerror or str(error)
        if text != self.error:
            log.error("traces cannot be written to %s: %s; they are kept and tried again", self.path, text)
            self.error = text
