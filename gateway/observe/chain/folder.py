"""The files of an audit: ``audit-00000001.jsonl``, ... hold the chain, ``salts-00000001.jsonl``, ... the salts of its
commitments, ``head.json`` how far it is known to reach.

Nothing is ever rewritten but the head (replaced as a whole) and salts that are to be forgotten (overwritten in their
places).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gateway.observe.chain.check import Checker
from gateway.observe.chain.records import Link

HEAD = "head.json"
LOCK = "lock"
NO_SALT = "0" * 32
_SEGMENT = re.compile(r"audit-(\d{8})\.jsonl")


class Salt(msgspec.Struct, frozen=True):
    """A line of salts: that of the record ``seq``, 16 bytes in hex, and whose it is."""

    agent: str | None
    run: str | None
    salt: str
    seq: int


def segment_name(number: int) -> str:
    return f"audit-{number:08}.jsonl"


def salts_name(number: int) -> str:
    return f"salts-{number:08}.jsonl"


def segments(folder: Path) -> list[tuple[int, Path]]:
    """The segments there are, with their numbers, in order. Raises OSError."""
    found = [(match, path) for path in folder.iterdir() if (match := _SEGMENT.fullmatch(path.name))]
    return sorted((int(match[1]), path) for match, path in found)


def lines_of(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """Number of each line, the line without its line feed, and whether it had one. Raises OSError."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield number, line.removesuffix(b"\n"), line.endswith(b"\n")


def last_of(path: Path) -> tuple[Link | None, bool, bytes]:
    """The last whole record of a segment (None where there is none), whether it closes the chain, and what is torn
    behind it.

    Raises:
        OSError: it cannot be read.
        ValueError: its last line is not as the gateway writes it.
    """
    line, torn = _last_line(path)
    if not line:
        return None, False, torn
    checker = Checker(begins=None)
    record = checker.line(path.name, line)
    if record is None or checker.flaws:
        raise ValueError(f"{path}: the last record is not as it was written")
    return checker.at, record.get("closing") is True, torn


def _last_line(path: Path) -> tuple[bytes, bytes]:
    """The last whole line and what is behind it, read from the end."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        read = 1 << 16
        while True:
            start = max(0, size - read)
            file.seek(start)
            data = file.read(size - start)
            whole, feed, torn = data.rpartition(b"\n")
            _, other, line = whole.rpartition(b"\n")
            if start == 0 or (feed and other):
                return (line if feed else b""), torn
            read *= 4


def forget(folder: Path, *, run: str | None = None, agent: str | None = None) -> int:
    """Overwrite the salts of a run, an agent, or one agent's run; returns how many. The gateway may be running.

    Raises:
        OSError: the files cannot be changed.
        ValueError: neither is given.
    """
    if run is None and agent is None:
        raise ValueError("name a run or an agent")
    wiped = 0
    for path in sorted(folder.glob("salts-*.jsonl")):
        with path.open("r+b", buffering=0) as file:
            at = 0
            for line in file.readlines():
                if (place := _salt_at(line, run, agent)) >= 0:
                    os.pwrite(file.fileno(), NO_SALT.encode(), at + place)
                    wiped += 1
                at += len(line)
            os.fsync(file.fileno())
    return wiped


def _salt_at(line: bytes, run: str | None, agent: str | None) -> int:
    """Where the salt stands in its line; -1 where the line is not meant, or has none any more."""
    told = _salt(line)
    if told is None or told.salt == NO_SALT:
        return -1
    if (run is not None and told.run != run) or (agent is not None and told.agent != agent):
        return -1
    return line.index(b'"salt":"') + 8


def salts(folder: Path) -> dict[int, bytes]:
    """The salts that are left, by number of the record. Raises OSError."""
    found: dict[int, bytes] = {}
    for path in sorted(folder.glob("salts-*.jsonl")):
        for _, line, _ in lines_of(path):
            told = _salt(line)
            if told is not None and told.salt != NO_SALT:
                found[told.seq] = bytes.fromhex(told.salt)
    return found


def _salt(line: bytes) -> Salt | None:
    """A line of salts; None for one that is torn, or something else."""
    try:
        told = msgspec.json.decode(line, type=Salt)
        bytes.fromhex(told.salt)
    except ValueError:
        return None
    return told if len(told.salt) == len(NO_SALT) else None
