"""Is a chain whole? Every line is looked at, and every place that is not as it was written is named."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import orjson
from msgspec import Struct

from gateway.observe.chain.records import CHECKPOINT, GENESIS, OPENED, Link, canonical, signed

_START = b'{"hash":"'
_MIDDLE = b'","record":'
_BODY = len(_START) + 64 + len(_MIDDLE)


class Flaw(Struct, frozen=True):
    """``where`` is ``segment:line``."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class Checker:
    """Reads a chain line by line. What follows a flaw is read as if the flaw were not there, so all are found."""

    def __init__(self, key: bytes | None = None, begins: str | None = GENESIS) -> None:
        """``key``: checkpoints must be signed with it. ``begins``: the hash that the first record follows, where the
        segments before it are kept elsewhere; None: whichever."""
        self._key = key
        self._begins = begins
        self.flaws: list[Flaw] = []
        self.at = Link()
        """The last record."""
        self.records = 0
        self.checkpoint = Link()
        """The last checkpoint that holds."""
        self.closed = False
        """Whether the last record is the checkpoint of a gateway that ended in good order."""
        self.unsigned = 0
        """Checkpoints without a signature."""
        self._torn: tuple[str, bytes] | None = None

    def line(self, where: str, line: bytes) -> dict[str, Any] | None:
        """The next line, without its line feed. Returns its record, or None where it holds none."""
        record = self._record(where, line)
        if record is None:
            return None
        self._torn_before(where, record)
        found = Link(record["seq"], line[len(_START) : len(_START) + 64].decode())
        self._follows(where, record)
        self.at, self.records = found, self.records + 1
        self.closed = False
        if record.get("kind") == CHECKPOINT:
            self._checkpoint(where, record, found)
        return record

    def tail(self, where: str, rest: bytes) -> None:
        """What stands at the end of a segment without a line feed: a gateway was killed while it wrote that. The next
        record must say so."""
        first, before = self._torn or (where, b"")
        self._torn = (first, before + rest)

    def end(self) -> bytes:
        """No more is to come. Returns the torn rest at the very end, which no record could speak of yet."""
        torn, self._torn = self._torn, None
        return b"" if torn is None else torn[1]

    def flaw(self, where: str, what: str) -> None:
        """Note what is wrong."""
        self.flaws.append(Flaw(where, what))

    def _record(self, where: str, line: bytes) -> dict[str, Any] | None:
        """The record of a line that is exactly as the gateway writes it, and has the hash that it says."""
        body = line[_BODY:-1]
        try:
            whole = orjson.loads(line)
            record = whole["record"]
            digest = whole["hash"]
            rewritten = b"%b%b%b%b}" % (_START, str(digest).encode(), _MIDDLE, canonical(record))
            proper = rewritten == line and len(digest) == 64 and type(record["seq"]) is int and record["seq"] > 0
        except (ValueError, KeyError, TypeError):
            self.flaw(where, "this is no record, or was written by something else")
            return None
        if not proper:
            self.flaw(where, "this was written by something else: the gateway writes canonical JSON")
            return None
        if sha256(body).hexdigest() != digest:
            self.flaw(where, f"record {record['seq']} was changed: it does not have the hash that it says")
        return dict(record)

    def _follows(self, where: str, record: dict[str, Any]) -> None:
        seq, prev = record["seq"], record.get("prev")
        if self.closed and record.get("kind") != OPENED:
            self.flaw(where, f"record {seq} was added: the gateway had ended, and had not begun again")
        if self.records == 0:
            if self._begins is None:
                return
            if self._begins != GENESIS and prev != self._begins:
                self.flaw(where, f"record {seq}, the first, does not follow the record that it should follow")
            elif self._begins == GENESIS and (seq != 1 or prev != GENESIS):
                self.flaw(where, f"the chain begins with record {seq}: what came before it is missing")
            return
        expected = self.at.seq + 1
        if seq > expected:
            missing = f"record {expected} is" if seq == expected + 1 else f"records {expected} to {seq - 1} are"
            self.flaw(where, f"{missing} missing before record {seq}")
        elif seq < expected:
            self.flaw(where, f"record {seq} is out of its place: it follows record {self.at.seq}")
        elif prev != self.at.hash:
            self.flaw(where, f"record {seq} follows another record {self.at.seq} than the one before it")

    def _checkpoint(self, where: str, record: dict[str, Any], found: Link) -> None:
        self.closed = record.get("closing") is True
        if record.get("mac") is None:
            self.unsigned += 1
            if self._key is not None:
                self.flaw(where, f"checkpoint {found.seq} is not signed")
                return
        elif self._key is not None and not signed(record, self._key):
            self.flaw(where, f"checkpoint {found.seq} is not signed with this key")
            return
        self.checkpoint = found

    def _torn_before(self, where: str, record: dict[str, Any]) -> None:
        """A torn end must be what the gateway found when it started again."""
        torn, self._torn = self._torn, None
        told = record.get("torn") if record.get("kind") == OPENED else None
        if torn is None and told is None:
            return
        if torn is None:
            self.flaw(where, f"record {record['seq']} speaks of a torn line before it that is missing")
        elif told != sha256(torn[1]).hexdigest():
            self.flaw(torn[0], f"the end of this segment is torn, and record {record['seq']} does not say so")
