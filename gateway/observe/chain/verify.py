"""``toolgate verify``: everything that a folder's audit says, held to everything that it should."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson
from msgspec import Struct

from gateway.observe.chain.check import Checker, Flaw
from gateway.observe.chain.entries import commitment
from gateway.observe.chain.folder import HEAD, lines_of, salts, segments
from gateway.observe.chain.records import GENESIS, Link, read_head


class Report(Struct, frozen=True):
    """What was found. ``checkpoint`` is the last that holds; ``tail`` are the records after it, which nothing speaks
    for yet, ``torn`` the bytes of a line that was cut short at the very end."""

    segments: int
    records: int
    last: Link
    checkpoint: Link
    tail: int
    torn: int
    closed: bool
    unsigned: int
    flaws: tuple[Flaw, ...]

    @property
    def whole(self) -> bool:
        """Nothing was changed, removed, added or moved, as far as can be told."""
        return not self.flaws


def verify(folder: Path, key: bytes | None = None, begins: str = GENESIS, expect: str = "") -> Report:
    """Read the whole audit in ``folder``.

    ``key`` is that of the checkpoints; ``begins`` the hash that the first record follows, where earlier segments were
    moved away; ``expect`` the hash of a record that must be there (as /readyz told it some time ago).

    Raises:
        OSError: it cannot be read.
        ValueError: there is none.
    """
    found = segments(folder)
    if not found:
        raise ValueError(f"there is no audit in {folder}")
    checker = Checker(key, begins)
    known = _Known(folder, key, expect, checker)
    for at, (number, path) in enumerate(found):
        if at and number != found[at - 1][0] + 1:
            checker.flaw(f"{path.name}:1", f"there is no segment {number - 1} before this one")
        for line_number, line, whole in lines_of(path):
            where = f"{path.name}:{line_number}"
            if not whole:
                checker.tail(where, line)
            elif checker.line(where, line) is not None:
                known.met(checker.at)
    torn = checker.end()
    known.end(found[-1][1].name)
    return Report(
        len(found),
        checker.records,
        checker.at,
        checker.checkpoint,
        checker.at.seq - checker.checkpoint.seq,
        len(torn),
        checker.closed and not torn,
        checker.unsigned,
        tuple(checker.flaws),
    )


class _Known:
    """Records that are known to have been there: by the head, and by whoever asks."""

    def __init__(self, folder: Path, key: bytes | None, expect: str, checker: Checker) -> None:
        self._checker = checker
        self._expect = expect.lower()
        self._expected = not expect
        self._head: Link | None = None
        self._fits = False
        try:
            self._head = read_head((folder / HEAD).read_bytes(), key)
        except FileNotFoundError:
            checker.flaw(f"{HEAD}:1", "it is missing")
        except ValueError as error:
            checker.flaw(f"{HEAD}:1", f"this is not as the gateway wrote it: {error}")

    def met(self, record: Link) -> None:
        self._expected = self._expected or record.hash == self._expect
        if self._head is not None and record.seq == self._head.seq:
            self._fits = self._fits or record.hash == self._head.hash

    def end(self, last: str) -> None:
        """Say what was not met."""
        checker, head = self._checker, self._head
        if head is not None and head.seq > checker.at.seq:
            missing = f"records {checker.at.seq + 1} to {head.seq} are missing at the end, by what {HEAD} knows"
            checker.flaw(f"{last}:end", missing)
        elif head is not None and head.seq and not self._fits:
            checker.flaw(f"{HEAD}:1", f"record {head.seq} is another one than it knows of")
        if not self._expected:
            checker.flaw(f"{last}:end", "the record that was expected is not there: it was changed, or cut off")


class Proofs(Struct, frozen=True):
    """What the audit says of records of a trace."""

    proven: int
    forgotten: int
    """Their salts are gone."""
    unknown: int
    """The audit has no such call."""
    changed: tuple[Flaw, ...]


def prove(folder: Path, logs: Iterable[Path]) -> Proofs:
    """Hold the records of trace logs to the audit's commitments. Raises OSError."""
    commits = {}
    for _, path in segments(folder):
        for _, line, _ in lines_of(path):
            record = _record(line)
            if record.get("kind") == "call":
                commits[record.get("call")] = (record.get("seq"), record.get("trace"))
    left = salts(folder)
    proven = forgotten = unknown = 0
    changed: list[Flaw] = []
    for log in logs:
        for number, line, _ in lines_of(log):
            call = _call(line)
            seq, commits_to = commits.get(call, (None, None))
            if seq is None:
                unknown += 1
            elif seq not in left:
                forgotten += 1
            elif commitment(left[seq], line) == commits_to:
                proven += 1
            else:
                changed.append(Flaw(f"{log.name}:{number}", f"the record of call {call} was changed"))
    return Proofs(proven, forgotten, unknown, tuple(changed))


def _record(line: bytes) -> dict[str, object]:
    try:
        return dict(orjson.loads(line)["record"])
    except (ValueError, KeyError, TypeError):
        return {}


def _call(line: bytes) -> object:
    try:
        told = orjson.loads(line)
    except ValueError:
        return None
    return told.get("call") if isinstance(told, dict) else None
