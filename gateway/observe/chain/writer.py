"""Writes the audit from a thread of its own: a call pays an append, and the sealing of its record.

What is not written yet is in memory, bounded; what is not synced yet may be lost when the power is: at most what came
within the last ``sync`` seconds. Each sync ends with a checkpoint.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic, sleep, time
from typing import Any, NamedTuple

import orjson

from gateway.errors import ConfigError, Problem
from gateway.model import Permit, Trace
from gateway.observe.chain.entries import commitment, entry_of, entry_of_record
from gateway.observe.chain.folder import HEAD, LOCK, last_of, salts_name, segment_name, segments
from gateway.observe.chain.records import OPENED, Link, checkpoint, head, read_head, seal
from gateway.observe.trace import timestamp

_PAUSE = 0.2
"""Seconds between two tries after an error; doubled up to..."""
_LONGEST_PAUSE = 5.0

log = logging.getLogger("toolgate.audit")

Written = tuple[Trace | None, bytes]
"""A trace (None where its line says less than it does), and its line."""


class Note(NamedTuple):
    """Something that is not a call: what an operator changed, a quarantine, a new version of the policies."""

    kind: str
    told: dict[str, Any]


class AuditLog:
    """The audit of one process. ``put`` and ``note`` never block; ``close`` once, at the end."""

    def __init__(
        self,
        folder: str,
        key: bytes | None = None,
        segment: int = 64 << 20,
        sync: float = 1.0,
        *,
        refuses: bool = True,
        capacity: int = 50_000,
        about: dict[str, Any] | None = None,
        write: Callable[[int, bytes], int] = os.write,
    ) -> None:
        """Open ``folder`` (made where it is not there) and go on with the chain that is in it.

        ``segment``: bytes of a segment, about; ``sync``: seconds between two checkpoints; ``refuses``: calls are to be
        refused while their records cannot be written; ``about`` is told in the first record.

        Raises:
            ConfigError: it cannot be written, another process writes it, or what is in it cannot be gone on with.
        """
        self.folder = Path(folder)
        self._key = key
        self._most = segment
        self._sync = sync
        self._refuses = refuses
        self._capacity = capacity
        self._write = write
        self.error = ""
        """What the last try failed with; empty while writing works."""
        self.dropped = 0
        """Records of calls lost so far."""
        self.head = Link()
        """What is known to be on the disk."""
        self._put = self._done = 0
        self._told_dropped = 0
        self._queue: SimpleQueue[list[Written] | Note | None] = SimpleQueue()
        self._closing = threading.Event()
        self._deadline = 0.0
        try:
            self._lock = _locked(self.folder)
            self._link, self._number, opened = self._continue()
            self._open()
        except (OSError, ValueError) as error:
            raise ConfigError([_problem(self.folder, error)]) from None
        self._dirty = False
        self._queue.put(Note(OPENED, {**opened, **(about or {})}))
        self._thread = threading.Thread(target=self._work, name="toolgate-audit", daemon=True)
        self._thread.start()

    @property
    def available(self) -> bool:
        """False where calls must be refused because they could not be recorded."""
        return not self._refuses or (not self.error and self.unwritten < self._capacity)

    @property
    def unwritten(self) -> int:
        """Records of calls in memory."""
        return self._put - self._done

    def put(self, calls: Sequence[Written]) -> None:
        """Record these calls. What is beyond the capacity is lost, and counted, but for calls that were permitted where
        none must go unrecorded: there are no more of these than were under way."""
        taken = list(calls)
        if self.unwritten + len(taken) > self._capacity:
            taken = [call for call in taken if self._refuses and _permitted(call[0])]
            self.dropped += len(calls) - len(taken)
        self._put += len(taken)
        self._queue.put(taken)

    def note(self, kind: str, **told: Any) -> None:
        """Record a change: texts, whole numbers, true, false."""
        self._queue.put(Note(kind, {name: _unicode(value) for name, value in told.items()}))

    def status(self) -> dict[str, Any]:
        """For the readiness page. ``seq`` and ``hash`` say where the chain is known to be: keep them elsewhere, and
        nobody can shorten it unseen."""
        return {
            "folder": str(self.folder),
            "available": self.available,
            "seq": self.head.seq,
            "hash": self.head.hash,
            "unwritten": self.unwritten,
            "dropped": self.dropped,
            "error": self.error or None,
        }

    def close(self, timeout: float = 5.0) -> int:
        """Write what is left and end the chain with a checkpoint, for at most ``timeout`` seconds (blocking). Returns
        how many calls were not recorded."""
        self._deadline = monotonic() + timeout
        self._closing.set()
        self._queue.put(None)
        self._thread.join(timeout)
        if lost := self.unwritten:
            log.error("%d calls were not recorded in %s before the end", lost, self.folder)
        return self.unwritten

    # -- the thread -------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        try:
            self._record()
        except Exception as error:
            log.exception("the audit in %s has come to an end", self.folder)
            self.error = f"{type(error).__name__}: {error}"

    def _record(self) -> None:
        due = monotonic() + self._sync
        more = True
        while more:
            entries, notes, more = self._next(due)
            if not self._persist(*self._sealed(entries, notes)):
                return
            self._done += len(entries)
            if not more or (self._dirty and monotonic() >= due):
                if not self._checkpoint(closing=not more):
                    return
                due = monotonic() + self._sync
            elif not self._dirty:
                due = monotonic() + self._sync
        os.close(self._file)
        os.close(self._salts)
        os.close(self._lock)

    def _next(self, due: float) -> tuple[list[Written], list[Note], bool]:
        """What is waiting, at latest when the next checkpoint is due; and whether more may come."""
        entries: list[Written] = []
        notes: list[Note] = []
        wait: float | None = max(0.001, due - monotonic()) if self._dirty else None
        while len(entries) < 4096:
            try:
                item = self._queue.get(timeout=wait) if wait is None or wait else self._queue.get_nowait()
            except Empty:
                break
            if item is None:
                return entries, notes, False
            if isinstance(item, Note):
                notes.append(item)
            else:
                entries += item
            wait = 0.0
        return entries, notes, True

    def _sealed(self, entries: list[Written], notes: list[Note]) -> tuple[list[bytes], list[bytes]]:
        """Lines of the chain, and of the salts."""
        now = timestamp(time())
        lines: list[bytes] = []
        salts: list[bytes] = []
        for kind, told in notes:
            lines.append(self._seal({"kind": kind, "ts": now, **told}))
        if self.dropped > self._told_dropped:
            lines.append(self._seal({"kind": "lost", "ts": now, "calls": self.dropped - self._told_dropped}))
            self._told_dropped = self.dropped
        fresh = os.urandom(16 * len(entries))
        for number, (trace, line) in enumerate(entries):
            salt = fresh[16 * number : 16 * number + 16]
            told = self._call(trace, line, commitment(salt, line), lines)
            kept = {"agent": told["agent"], "run": told["run"], "salt": salt.hex(), "seq": self._link.seq}
            salts.append(orjson.dumps(kept, option=orjson.OPT_APPEND_NEWLINE))
        return lines, salts

    def _call(self, trace: Trace | None, line: bytes, commits: str, lines: list[bytes]) -> dict[str, Any]:
        """Seal the record of a call; by its line where the trace has texts that are not Unicode."""
        told = entry_of_record(orjson.loads(line)) if trace is None else entry_of(trace)
        told["kind"], told["trace"] = "call", commits
        try:
            lines.append(self._seal(told))
        except TypeError:
            return self._call(None, line, commits, lines)
        return told

    def _seal(self, record: dict[str, Any]) -> bytes:
        line, self._link = seal(record, self._link)
        return line

    def _checkpoint(self, *, closing: bool) -> bool:
        """Seal what there is, have it on the disk, and say so in the head."""
        line = self._seal(checkpoint(timestamp(time()), self._link, self._key, closing=closing))
        if not self._persist([line], []) or not self._tried(self._synced):
            return False
        self.head, self._dirty = self._link, False
        return True

    def _synced(self) -> None:
        os.fsync(self._file)
        os.fsync(self._salts)
        self._write_head(self._link)

    def _write_head(self, link: Link) -> None:
        """As a whole, or not at all."""
        fresh = self.folder / f"{HEAD}.new"
        fresh.touch(0o640)
        fresh.write_bytes(head(link, self._key))
        fresh.replace(self.folder / HEAD)

    def _persist(self, lines: list[bytes], salts: list[bytes]) -> bool:
        """Write all of it, however often it takes; False: the deadline of ``close`` has passed. Salts first: a record
        without its salt could never be proven."""
        if not lines:
            return True
        if self._size >= self._most and not self._tried(self._turn):
            return False
        data = b"".join(lines)
        self._size += len(data)
        self._dirty = True
        return self._written(b"".join(salts), salts=True) and self._written(data, salts=False)

    def _written(self, data: bytes, *, salts: bool) -> bool:
        done = 0

        def on() -> None:
            nonlocal done
            while done < len(data):
                done += self._write(self._salts if salts else self._file, data[done:])

        return self._tried(on)

    def _tried(self, what: Callable[[], None]) -> bool:
        """Do it until it works. False: the deadline of ``close`` has passed."""
        pause = _PAUSE
        while True:
            try:
                what()
            except OSError as error:
                self._failed(error)
                if self._closing.is_set() and monotonic() + pause > self._deadline:
                    return False
                sleep(pause) if self._closing.is_set() else self._closing.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                if self.error:
                    log.warning("the audit can be written to %s again", self.folder)
                    self.error = ""
                return True

    def _failed(self, error: OSError) -> None:
        text = error.strerror or str(error)
        if text != self.error:
            log.error("the audit cannot be written to %s: %s; it is kept and tried again", self.folder, text)
            self.error = text

    # -- files --------------------------------------------------------------------------------------------------------

    def _continue(self) -> tuple[Link, int, dict[str, Any]]:
        """Where the chain has come to, the number of the next segment, and what the first record says of it."""
        link, closed, torn, last = Link(), True, b"", 0
        for number, path in reversed(segments(self.folder)):
            last = max(last, number)
            found, closed, rest = last_of(path)
            torn = rest + torn
            if found is not None:
                link = found
                break
        self.head = self._stated(link)
        if self.head.seq > link.seq or (self.head.seq == link.seq and self.head.hash != link.hash):
            raise ValueError(f"{HEAD} knows of record {self.head.seq}, but the last that is there is {link.seq}")
        told: dict[str, Any] = {"after": "nothing" if link.seq == 0 else "close" if closed else "crash"}
        if torn:
            told["torn"] = sha256(torn).hexdigest()
        return link, last + 1, told

    def _stated(self, link: Link) -> Link:
        """What the head knows; made where there is no chain yet."""
        stated = self.folder / HEAD
        if not stated.exists():
            if link.seq:
                raise ValueError(f"{HEAD} is missing")
            self._write_head(link)
        try:
            return read_head(stated.read_bytes(), self._key)
        except ValueError as error:
            raise ValueError(f"{HEAD}: {error}") from None

    def _open(self) -> None:
        """A new segment: what an earlier process wrote is left as it is."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self.folder / segment_name(self._number), flags, 0o640)
        self._salts = os.open(self.folder / salts_name(self._number), flags, 0o640)
        self._size = 0

    def _turn(self) -> None:
        """Go on in a new segment."""
        os.fsync(self._file)
        os.fsync(self._salts)
        before = (self._file, self._salts)
        self._number += 1
        try:
            self._open()
        except OSError:
            self._number -= 1
            raise
        for file in before:
            os.close(file)


def _permitted(trace: Trace | None) -> bool:
    return trace is None or isinstance(trace.decision, Permit)


def _locked(folder: Path) -> int:
    """The folder's lock, held. Two writers would tear the chain apart."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise ValueError("another process writes it") from None
    return lock


def _problem(folder: Path, error: Exception) -> Problem:
    if isinstance(error, OSError):
        hint = "give a folder that this user may write"
        return Problem("audit.dir", 0, 0, f"cannot write {folder}: {error.strerror or error}", hint)
    hint = "look at it with toolgate verify, then move the folder away: a new chain begins in an empty one"
    return Problem("audit.dir", 0, 0, f"cannot go on with the audit in {folder}: {error}", hint)


def _unicode(value: Any) -> Any:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
