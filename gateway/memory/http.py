"""The memory over HTTP: values under ``/NAMESPACE/KEY``, with the conditions of RFC 9110.

GET     /                           the namespaces that the agent may use
GET     /NS?prefix=&after=&limit=&at=&values    what there is
GET     /NS?watch&after=            changes, as they come (server-sent events)
POST    /NS:commit                  several keys at once, or none
GET     /NS/KEY[?at=VERSION]        a value; ?history: its versions
PUT, PATCH, DELETE  /NS/KEY         If-Match: "VERSION", or If-None-Match: *
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

from gateway.memory.book import Book, Want
from gateway.memory.caller import Caller, caller_in
from gateway.memory.commits import commit_in
from gateway.memory.patches import merged, patched
from gateway.memory.requests import (
    JSON_PATCH,
    MERGE_PATCH,
    Target,
    expected,
    json_body,
    json_bytes,
    limit_of,
    not_modified,
    target_of,
    ttl_of,
    value_in,
)
from gateway.memory.told import described, labelled, standing
from gateway.memory.watch import Watches
from gateway.memory.wrong import Wrong, wrong_of
from gateway.model.shelf import Committed, Item, Kind, version_of
from gateway.stores.shelf_told import told

LARGEST_COMMIT = 8 << 20
"""Bytes of a body that writes several keys."""
_TYPES = {"json": "application/json", "text": "text/plain"}

Handle = Callable[[web.Request, Caller, Target], Awaitable[web.StreamResponse]]


class HttpMemory:
    """The application. ``watches`` are the streams of changes."""

    def __init__(self, book: Book, watches: Watches) -> None:
        self._book, self._watches = book, watches
        self._keyed: Mapping[str, Handle] = {
            "GET": self._get,
            "HEAD": self._get,
            "PUT": self._put,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }

    def make_app(self) -> web.Application:
        """The application without a socket."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        return app

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        try:
            caller = caller_in(request.headers)
            target = target_of(request)
            return await self._handler(request, target)(request, caller, target)
        except Exception as error:
            wrong = wrong_of(error)
            if wrong is None:
                raise
            return problem(wrong)

    def _handler(self, request: web.Request, target: Target) -> Handle:
        method, reads = request.method, request.method in ("GET", "HEAD")
        handle = None
        if target.key and not target.verb:
            handle = self._keyed.get(method)
        elif target.verb == "commit" and not target.key:
            handle = self._commit if method == "POST" else None
        elif not target.verb and reads:
            handle = self._watch if "watch" in request.query else self._list
        if handle is None:
            advice = "GET, PUT, PATCH or DELETE /NAMESPACE/KEY; GET /NAMESPACE; POST /NAMESPACE:commit"
            raise Wrong(405, "no_such_thing", f"{method[:20]} cannot be done here", advice)
        return handle

    # -- reading ------------------------------------------------------------------------------------------------

    async def _get(self, request: web.Request, caller: Caller, target: Target) -> web.StreamResponse:
        if "history" in request.query:
            return await self._history(request, caller, target)
        page = await self._book.read(caller, target.namespace, target.key, request.query.get("at", ""))
        item = page.items[0]
        fields = described(page.epoch, item)
        if not_modified(request, version_of(page.epoch, item.revision)):
            return web.Response(status=304, headers=fields)
        response = web.Response(body=item.value, headers=fields, content_type=_TYPES[item.kind], charset="utf-8")
        response.last_modified = int(item.written)
        return response

    async def _history(self, request: web.Request, caller: Caller, target: Target) -> web.StreamResponse:
        page = await self._book.history(caller, target.namespace, target.key, limit_of(request))
        values = "values" in request.query
        versions = [told(page.epoch, item, value=values) for item in page.items]
        return answer({"key": target.key, "versions": versions, "more": page.more}, page.items)

    async def _list(self, request: web.Request, caller: Caller, target: Target) -> web.StreamResponse:
        if not target.namespace:
            mine = self._book.namespaces.for_agent(caller)
            return answer({"namespaces": [{"name": name, "may_write": writes} for name, writes in mine]})
        query = request.query
        page = await self._book.scan(
            caller,
            target.namespace,
            query.get("prefix", ""),
            query.get("after", ""),
            limit_of(request),
            query.get("at", ""),
        )
        shown = {
            "namespace": target.namespace,
            "version": version_of(page.epoch, page.revision),
            "items": [told(page.epoch, item, value="values" in query) for item in page.items],
            "next": page.items[-1].key if page.more else None,
        }
        return answer(shown, page.items)

    async def _watch(self, request: web.Request, caller: Caller, target: Target) -> web.StreamResponse:
        self._book.namespaces.readable(target.namespace, caller)
        after = request.headers.get("Last-Event-ID") or request.query.get("after", "")
        return await self._watches.stream(request, caller, target.namespace, after)

    # -- writing ------------------------------------------------------------------------------------------------

    async def _put(self, request: web.Request, caller: Caller, target: Target) -> web.StreamResponse:
        expect, ttl = expected(request), ttl_of(request)
        value, kind = await value_in(request, self._largest(caller, target))
        want = Want(target.key, value, kind, ttl, expect)
        return written(target, await self._book.commit(caller, target.namespace, [want]))

    async def _patch(self, request: web.Request, caller: Caller, target: Target) -> web.StreamResponse:
        expect, ttl, largest = expected(request), ttl_of(request), self._largest(caller, target)
        patch = await json_body(request, largest, (MERGE_PATCH, JSON_PATCH))
        merges = request.content_type == MERGE_PATCH

        def change(item: Item) -> tuple[bytes, Kind]:
            try:
                return changed(item)
            except Wrong as wrong:
                wrong.read = (item,)  # why a patch fails tells what stands there
                raise

        def changed(item: Item) -> tuple[bytes, Kind]:
            if item.value is not None and item.kind != "json":
                raise Wrong(422, "not_json", f"{target.key} is a text", "read it, and PUT the whole text anew")
            if item.value is None and not merges:
                raise Wrong(404, "no_value", f"nothing stands under {target.key}", "PUT a value first")
            before = None if item.value is None else orjson.loads(item.value)
            after = merged(before, patch) if merges else patched(before, patch, largest)
            return json_bytes(after, largest), "json"

        done = await self._book.change(caller, target.namespace, target.key, change, expect, ttl)
        return written(target, done)

    async def _delete(self, request: web.Request, caller: Caller, target: Target) -> web.StreamResponse:
        done = await self._book.remove(caller, target.namespace, target.key, expected(request))
        return written(target, done)

    async def _commit(self, request: web.Request, caller: Caller, target: Target) -> web.StreamResponse:
        largest = self._largest(caller, target)
        wants, compares = commit_in(await json_body(request, LARGEST_COMMIT), largest)
        done = await self._book.commit(caller, target.namespace, wants, compares)
        items = [told(done.epoch, item, value=False) for item in done.items]
        return answer({"version": version_of(done.epoch, done.revision), "items": items})

    def _largest(self, caller: Caller, target: Target) -> int:
        return self._book.namespaces.writable(target.namespace, caller).limits.value


def written(target: Target, done: Committed) -> web.Response:
    """The answer to a write of one key."""
    item = done.items[0] if done.items else Item(target.namespace, target.key, done.revision, None)
    status = 201 if item.value is not None and item.created == item.written else 200
    response = answer(told(done.epoch, item, value=False), status=status)
    if item.value is not None:
        response.headers["ETag"] = f'"{version_of(done.epoch, item.revision)}"'
    return response


def answer(value: Any, items: Iterable[Item] = (), status: int = 200) -> web.Response:
    """JSON, with the labels of the items that are in it."""
    return web.Response(
        body=orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE),
        status=status,
        headers=labelled(items),
        content_type="application/json",
    )


def problem(wrong: Wrong) -> web.Response:
    """Problem details (RFC 9457): what a model needs to do better. SDKs are told not to repeat it."""
    found = standing(wrong)
    body = {
        "type": f"urn:toolgate:memory:{wrong.reason}",
        "title": HTTPStatus(wrong.status).phrase,
        "status": wrong.status,
        "detail": wrong.detail,
        "reason": wrong.reason,
        "retryable": wrong.retryable,
        "advice": wrong.advice or _advice(found),
    }
    if found:
        body |= {"standing": found} | ({"changes": wrong.diff} if wrong.diff else {})
    fields = {**labelled([*wrong.standing, *wrong.read]), "x-should-retry": "true" if wrong.retryable else "false"}
    if wrong.status == 405:
        fields["Allow"] = "GET, HEAD, PUT, PATCH, DELETE, POST"
    if len(found) == 1 and not found[0].get("deleted"):
        fields["ETag"] = f'"{found[0]["version"]}"'
    data = orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE)
    return web.Response(body=data, status=wrong.status, headers=fields, content_type="application/problem+json")


def _advice(found: list[dict[str, Any]]) -> str:
    if len(found) != 1:
        return "take what stands (standing), put your changes into that, and commit with those versions"
    if found[0].get("deleted"):
        return "look whether it should be there at all; to make it anew, send If-None-Match: *"
    whole = "what stands (standing)" if "value" in found[0] else "it again"
    return f'read {whole}, put your change into that, and send it with If-Match: "{found[0]["version"]}"'


__all__ = ["HttpMemory", "answer", "problem"]
