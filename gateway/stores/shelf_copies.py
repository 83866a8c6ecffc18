"""Copies of a namespace as lines of JSON, made while it is in use.

First a line that says what it is, then items, and at the end a line that says so, without which it is not whole. Of
lines about the same key the last counts, and one without a value removes it: what was written while the copy was being
made follows after what was read, so that the copy is of one revision, the one that its end names.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator
from typing import Literal

import msgspec
from msgspec import Struct

from gateway.errors import BrokenCopy, Forgotten
from gateway.model.shelf import Item, Kind, Page, Provenance, check_key
from gateway.ports import Shelf

FORMAT = 1
_AT_ONCE = 500


class _Head(Struct, frozen=True, kw_only=True):
    toolgate_memory: int
    namespace: str
    epoch: str = ""


class _Line(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """``value`` is text where it is UTF-8, else ``base64``; neither where the key was removed."""

    key: str
    revision: int
    value: str | None = None
    base64: str | None = None
    kind: Kind = "json"
    created: float = 0.0
    written: float = 0.0
    ends: float = 0.0
    by: Provenance


class _End(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    end: Literal[True]
    revision: int
    lines: int


_encode = msgspec.json.Encoder().encode
_head = msgspec.json.Decoder(_Head)
_line = msgspec.json.Decoder(_Line)
_end = msgspec.json.Decoder(_End)


async def copy_of(shelf: Shelf, namespace: str) -> AsyncIterator[bytes]:
    """The lines of a copy, of a namespace that does not exist too.

    Raises:
        BrokenCopy: it was removed or loaded anew meanwhile, or more was forgotten than could be read.
        StoreUnavailable: the store cannot be reached.
    """
    before = await shelf.usage(namespace)
    yield _encode(_Head(toolgate_memory=FORMAT, namespace=namespace, epoch=before.epoch)) + b"\n"
    lines, after, page = 0, "", Page("", 0, more=True)
    while page.more:
        page = await shelf.scan(namespace, after=after, limit=_AT_ONCE)
        _same(before.epoch, page)
        for item in page.items:
            yield _line_of(item)
            after, lines = item.key, lines + 1
    since, page = before.revision, Page("", 0, more=True)
    while page.more:
        try:
            page = await shelf.changes(namespace, since, _AT_ONCE)
        except Forgotten:
            raise BrokenCopy(f"{namespace} changes faster than it can be copied; try again") from None
        _same(before.epoch, page)
        for item in page.items:
            yield _line_of(item)
            since, lines = item.revision, lines + 1
    yield _encode(_End(end=True, revision=page.revision, lines=lines)) + b"\n"


async def read_copy(lines: AsyncIterator[bytes]) -> AsyncIterator[Item]:
    """The items of a copy, in its order, for ``Shelf.load``; the last of a key counts.

    Raises:
        BrokenCopy: it is none, or not whole; names the line.
    """
    number, ended = 0, False
    async for line in lines:
        number += 1
        if ended:
            raise BrokenCopy(f"line {number}: there is more after the end")
        if number == 1:
            _check_head(line)
        elif line.startswith(b'{"end"'):
            ended = _ended(line, number)
        else:
            yield _item_of(line, number)
    if not ended:
        raise BrokenCopy(f"it ends in line {number} without saying so: a part is missing")


def _same(epoch: str, page: Page) -> None:
    if page.epoch != epoch:
        raise BrokenCopy("the namespace was removed, loaded anew, or lost what it had while it was copied; try again")


def _line_of(item: Item) -> bytes:
    text = raw = None
    if item.value is not None:
        try:
            text = item.value.decode()
        except UnicodeDecodeError:
            raw = base64.b64encode(item.value).decode()
    line = _Line(
        key=item.key,
        revision=item.revision,
        value=text,
        base64=raw,
        kind=item.kind,
        created=item.created,
        written=item.written,
        ends=item.ends,
        by=item.by,
    )
    return _encode(line) + b"\n"


def _check_head(line: bytes) -> None:
    try:
        head = _head.decode(line)
    except msgspec.MsgspecError as error:
        raise BrokenCopy(f"line 1: not a copy of a memory: {error}") from None
    if head.toolgate_memory != FORMAT:
        raise BrokenCopy(f"line 1: a copy of format {head.toolgate_memory}, and this Toolgate reads {FORMAT}")


def _item_of(line: bytes, number: int) -> Item:
    try:
        read = _line.decode(line)
        check_key(read.key)
        value = None if read.value is None else read.value.encode()
        if read.base64 is not None:
            value = base64.b64decode(read.base64, validate=True)
    except (msgspec.MsgspecError, ValueError, binascii.Error) as error:
        raise BrokenCopy(f"line {number}: {error}") from None
    times = (read.created, read.written, read.ends)
    return Item("", read.key, read.revision, value, read.kind, *times, read.by)


def _ended(line: bytes, number: int) -> bool:
    try:
        end = _end.decode(line)
    except msgspec.MsgspecError as error:
        raise BrokenCopy(f"line {number}: {error}") from None
    if end.lines != number - 2:
        raise BrokenCopy(f"line {number}: there should be {end.lines} items before it, and there are {number - 2}")
    return True
