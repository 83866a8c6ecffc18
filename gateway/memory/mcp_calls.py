"""What calls of the memory's MCP tools do. Each gives what the model is told, and the items that are in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gateway.memory.book import Book, Want
from gateway.memory.caller import Caller
from gateway.memory.commits import Put, expect_of, want_of
from gateway.memory.seen import Expect
from gateway.memory.wrong import Wrong
from gateway.model.shelf import Committed, Item, version_of
from gateway.stores.shelf_told import told

Told = tuple[dict[str, Any], Sequence[Item]]
T = TypeVar("T")


class _Read(Struct, forbid_unknown_fields=True):
    namespace: str
    key: str
    at: str = ""


class _List(Struct, forbid_unknown_fields=True):
    namespace: str = ""
    prefix: str = ""
    after: str = ""
    limit: int = 100
    at: str = ""


class _Write(Struct, forbid_unknown_fields=True):
    namespace: str
    key: str
    value: Any
    expected_version: str | UnsetType | None = UNSET
    ttl: str | float | None = None


class _Delete(Struct, forbid_unknown_fields=True):
    namespace: str
    key: str
    expected_version: str


class _History(Struct, forbid_unknown_fields=True):
    namespace: str
    key: str
    limit: int = 20
    values: bool = False


class _Put(Struct, forbid_unknown_fields=True):
    key: str
    value: Any = UNSET
    delete: bool = False
    expected_version: str | UnsetType | None = UNSET
    ttl: str | float | None = None


class _Compare(Struct, forbid_unknown_fields=True):
    key: str
    expected_version: str | None


class _Commit(Struct, forbid_unknown_fields=True):
    namespace: str
    puts: list[_Put]
    compares: list[_Compare] = []


class Calls:
    """The tools, by name. They raise Wrong, and what the store raises."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._tools: Mapping[str, Callable[[Caller, Any], Awaitable[Told]]] = {
            "memory_read": self._read,
            "memory_list": self._list,
            "memory_write": self._write,
            "memory_delete": self._delete,
            "memory_history": self._history,
            "memory_commit": self._commit,
        }

    async def make(self, caller: Caller, name: str, args: Any) -> Told:
        """Make one call. Raises KeyError for a tool that is not there."""
        return await self._tools[name](caller, args)

    async def _read(self, caller: Caller, args: Any) -> Told:
        asked = _as(_Read, args)
        page = await self._book.read(caller, asked.namespace, asked.key, asked.at)
        return told(page.epoch, page.items[0], value=True), page.items

    async def _list(self, caller: Caller, args: Any) -> Told:
        asked = _as(_List, args)
        if not asked.namespace:
            mine = self._book.namespaces.for_agent(caller)
            return {"namespaces": [{"name": name, "may_write": writes} for name, writes in mine]}, ()
        limit = _limit(asked.limit)
        page = await self._book.scan(caller, asked.namespace, asked.prefix, asked.after, limit, asked.at)
        return {
            "version": version_of(page.epoch, page.revision),
            "items": [told(page.epoch, item, value=False) for item in page.items],
            "next": page.items[-1].key if page.more else None,
        }, page.items

    async def _write(self, caller: Caller, args: Any) -> Told:
        asked = _as(_Write, args)
        put = _Put(asked.key, asked.value, False, asked.expected_version, asked.ttl)
        return _one(await self._commit_all(caller, asked.namespace, [put]), asked.key)

    async def _delete(self, caller: Caller, args: Any) -> Told:
        asked = _as(_Delete, args)
        return _one(await self._book.remove(caller, asked.namespace, asked.key, (asked.expected_version,)), asked.key)

    async def _history(self, caller: Caller, args: Any) -> Told:
        asked = _as(_History, args)
        page = await self._book.history(caller, asked.namespace, asked.key, _limit(asked.limit))
        versions = [told(page.epoch, item, value=asked.values) for item in page.items]
        return {"key": asked.key, "versions": versions, "more": page.more}, page.items

    async def _commit(self, caller: Caller, args: Any) -> Told:
        asked = _as(_Commit, args)
        compares = [(one.key, expect_of(one.expected_version)) for one in asked.compares]
        done = await self._commit_all(caller, asked.namespace, asked.puts, compares)
        items = [told(done.epoch, item, value=False) for item in done.items]
        return {"version": version_of(done.epoch, done.revision), "items": items}, ()

    async def _commit_all(
        self, caller: Caller, namespace: str, puts: Sequence[_Put], compares: Sequence[tuple[str, Expect]] = ()
    ) -> Committed:
        largest = self._book.namespaces.writable(namespace, caller).limits.value
        return await self._book.commit(caller, namespace, [_want(put, largest) for put in puts], compares)


def _want(put: _Put, largest: int) -> Want:
    """What is to stand: a text where the value is one."""
    is_text = isinstance(put.value, str)
    text, value = (put.value, UNSET) if is_text else (UNSET, put.value)
    return want_of(Put(put.key, value, text, put.delete, put.expected_version, put.ttl), largest)


def _one(done: Committed, key: str) -> Told:
    item = done.items[0] if done.items else Item("", key, done.revision, None)
    return told(done.epoch, item, value=False), ()


def _limit(limit: int) -> int:
    return max(1, min(limit, 1_000))


def _as(kind: type[T], args: Any) -> T:
    try:
        return msgspec.convert(args, kind)
    except msgspec.ValidationError as error:
        raise Wrong(400, "unusable", f"the arguments cannot be used: {error}", "see the tool's inputSchema") from None
