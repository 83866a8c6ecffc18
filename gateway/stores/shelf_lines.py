"""A namespace of the shared memory as lines of JSON, for backups: a head, its items, and how many those were.

What is missing its last line is no backup. The past is not in it; what is written back begins a new one, so that no
version of before is ever taken for one of after.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import orjson
from msgspec import Raw, Struct

from gateway.model.shelf import Item, Kind, Provenance, check_key
from gateway.ports import Shelf

FORMAT = "toolgate-memory/1"
LONGEST_LINE = 8 << 20
"""Bytes of a line: a value of 1 MiB, each character of it escaped."""
_PAGE = 200


class _Line(Struct, forbid_unknown_fields=True):
    key: str
    kind: Kind
    created: float
    written: float
    ends: float
    agent: str
    value: Raw
    run: str = ""
    call: str = ""
    labels: tuple[str, ...] = ()


class _Mark(Struct, forbid_unknown_fields=True):
    """The first line has a ``format``, the last one ``items``."""

    format: str = ""
    namespace: str = ""
    epoch: str = ""
    revision: int = 0
    items: int = -1


async def exported(shelf: Shelf, namespace: str) -> AsyncIterator[bytes]:
    """Its lines, all as of one revision. Raises Forgotten where that has been forgotten meanwhile."""
    page = await shelf.scan(namespace, limit=_PAGE)
    yield _line({"format": FORMAT, "namespace": namespace, "epoch": page.epoch, "revision": page.revision})
    count = 0
    while True:
        for item in page.items:
            yield _line(_written(item))
        count += len(page.items)
        if not page.more:
            break
        page = await shelf.scan(namespace, after=page.items[-1].key, limit=_PAGE, at=page.revision)
    yield _line({"items": count})


async def items_in(lines: AsyncIterator[bytes], namespace: str, now: float) -> AsyncIterator[Item]:
    """The items of an export, for this namespace. What has ended by ``now`` is left out.

    Raises:
        ValueError: it is none, or not whole; the place is told.
    """
    number, count, ended = 0, 0, False
    async for line in lines:
        number += 1
        if ended:
            raise ValueError(f"line {number}: the export has ended before")
        if number == 1:
            if _mark(line, number).format != FORMAT:
                raise ValueError(f"line 1: this is no export of a memory ({FORMAT})")
        elif line.startswith(b'{"items":'):
            ended = True
            if _mark(line, number).items != count:
                raise ValueError(f"line {number}: {count} items have come, and there were others")
        else:
            count += 1
            item = _item(line, number, namespace)
            if not item.ends or item.ends > now:
                yield item
    if not ended:
        raise ValueError("the export is not whole: its last line is missing")


def _line(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def _written(item: Item) -> dict[str, Any]:
    value = item.value or b""
    return {
        "key": item.key,
        "kind": item.kind,
        "created": item.created,
        "written": item.written,
        "ends": item.ends,
        "agent": item.by.agent,
        "run": item.by.run,
        "call": item.by.call,
        "labels": item.by.labels,
        # JSON as it came may have line breaks; what it says is the same without them.
        "value": orjson.loads(value) if item.kind == "json" else value.decode(),
    }


def _mark(line: bytes, number: int) -> _Mark:
    try:
        return msgspec.json.decode(line, type=_Mark)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"line {number}: {error}") from None


def _item(line: bytes, number: int, namespace: str) -> Item:
    try:
        read = msgspec.json.decode(line, type=_Line)
        check_key(read.key)
        value = bytes(read.value)
        if read.kind == "text":
            value = msgspec.json.decode(value, type=str).encode()
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"line {number}: {error}") from None
    by = Provenance(read.agent, read.run, read.call, read.labels)
    return Item(namespace, read.key, 0, value, read.kind, read.created, read.written, read.ends, by)
