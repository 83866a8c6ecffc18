"""A namespace of the shared memory as lines of JSON, for backups: a head, its items, and how many lines those were.

Of lines about the same key the last counts, and one without a value removes it. What was written while others were
read comes after them, so that the whole is of one revision, the one that the last line names: nobody who writes can
keep a backup from being made. What is missing its last line is no backup. The past is not in it; what is written back
begins a new one, so that no version of before is ever taken for one of after.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import orjson
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import replace

from gateway.model.shelf import Item, Kind, Page, Provenance, check_key
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
    value: Raw | UnsetType = UNSET
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
    """Its lines.

    Raises:
        ValueError: it was removed or loaded anew meanwhile, or lost what it had.
        Forgotten: removals since it was begun are not known any more.
    """
    before = await shelf.usage(namespace)
    yield _line({"format": FORMAT, "namespace": namespace, "epoch": before.epoch})
    count, after, page = 0, "", Page("", 0, more=True)
    while page.more:
        page = _of(before.epoch, await shelf.scan(namespace, after=after, limit=_PAGE))
        for item in page.items:
            yield _line(_written(item))
            after = item.key
        count += len(page.items)
    since, page = before.revision, Page("", 0, more=True)
    while page.more:
        page = _of(before.epoch, await shelf.changes(namespace, since, _PAGE))
        for item in page.items:
            yield _line(_written(item))
            since = item.revision
        count += len(page.items)
    yield _line({"items": count, "revision": page.revision})


def _of(epoch: str, page: Page) -> Page:
    if page.epoch != epoch:
        raise ValueError("the namespace was removed or loaded anew while it was exported; export it again")
    return page


async def items_in(lines: AsyncIterator[bytes], namespace: str, now: float) -> AsyncIterator[Item]:
    """The items of an export, for this namespace, in its order; the last of a key counts. What has ended by ``now`` has
    no value.

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
            yield replace(item, value=None) if 0 < item.ends <= now else item
    if not ended:
        raise ValueError("the export is not whole: its last line is missing")


def _line(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE)


def _written(item: Item) -> dict[str, Any]:
    written: dict[str, Any] = {
        "key": item.key,
        "kind": item.kind,
        "created": item.created,
        "written": item.written,
        "ends": item.ends,
        "agent": item.by.agent,
        "run": item.by.run,
        "call": item.by.call,
        "labels": item.by.labels,
    }
    if item.value is None:
        return written
    if item.kind == "text":
        return written | {"value": item.value.decode()}
    # JSON as it came may have line breaks, all of them between its tokens; numbers stay as they were written.
    return written | {"value": orjson.Fragment(item.value.replace(b"\r", b" ").replace(b"\n", b" "))}


def _mark(line: bytes, number: int) -> _Mark:
    try:
        return msgspec.json.decode(line, type=_Mark)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"line {number}: {error}") from None


def _item(line: bytes, number: int, namespace: str) -> Item:
    try:
        read = msgspec.json.decode(line, type=_Line)
        check_key(read.key)
        value = None if read.value is UNSET else bytes(read.value)
        if value is not None and read.kind == "text":
            value = msgspec.json.decode(value, type=str).encode()
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"line {number}: {error}") from None
    by = Provenance(read.agent, read.run, read.call, read.labels)
    return Item(namespace, read.key, 0, value, read.kind, read.created, read.written, read.ends, by)
