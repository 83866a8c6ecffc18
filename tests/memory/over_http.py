"""The shared memory over HTTP, by the methods of a shelf that ``tests/stores/sharers.py`` asks."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import httpx

from gateway.errors import StoreUnavailable
from gateway.model.shelf import (
    Committed,
    Item,
    Mismatch,
    Page,
    Provenance,
    Put,
    ShelfLimits,
    read_version,
    version_of,
)


class HttpShelf:
    """One agent. It asks the gateways by turns, and goes on to the next where one is not there."""

    def __init__(self, agent: str, urls: Sequence[str]) -> None:
        # Certificates are not asked for, and take long to read.
        self._http = httpx.AsyncClient(headers={"x-agent-id": agent, "x-run-id": agent}, timeout=20, verify=False)
        self._urls, self._turn = urls, itertools.count()
        self._epoch = ""

    async def get(self, namespace: str, key: str, at: int | None = None) -> Page:
        """One item or none."""
        assert at is None
        answer = await self._ask("GET", f"{namespace}/{key}", expected=(200, 404))
        if answer.status_code == 404:
            assert answer.json()["reason"] == "no_value"
            return Page(await self._life(namespace), 0)
        epoch, revision = _version(answer.headers["etag"].strip('"'))
        return Page(epoch, revision, (Item(namespace, key, revision, answer.content),))

    async def scan(
        self, namespace: str, prefix: str = "", after: str = "", limit: int = 100, at: int | None = None
    ) -> Page:
        """A page with values."""
        query: dict[str, Any] = {"prefix": prefix, "after": after, "limit": limit, "values": ""}
        if at is not None:
            query["at"] = version_of(await self._life(namespace), at)
        told = (await self._ask("GET", namespace, params=query)).json()
        items = [_item(namespace, each) for each in told["items"]]
        return Page(*_version(told["version"]), tuple(items), told["next"] is not None)

    async def commit(
        self,
        namespace: str,
        puts: Sequence[Put],
        by: Provenance,
        limits: ShelfLimits,
        *,
        epoch: str | None = None,
        compares: Sequence[tuple[str, int]] = (),
    ) -> Committed | Mismatch:
        """All of it or nothing."""
        del by, limits  # the gateway says who it is, and how much there may be
        assert not compares
        body = {"puts": [_put(put, epoch) for put in puts]}
        answer = await self._ask("POST", f"{namespace}:commit", json=body, expected=(200, 412))
        told = answer.json()
        if answer.status_code == 200:
            return Committed(*_version(told["version"]))
        standing = [_item(namespace, each) for each in told["standing"]]
        return Mismatch(await self._life(namespace), 0, tuple(standing))

    async def close(self) -> None:
        """Hang up."""
        await self._http.aclose()

    async def _life(self, namespace: str) -> str:
        """The epoch, which a store that loses nothing has but one of."""
        if not self._epoch:
            told = (await self._ask("GET", namespace)).json()
            self._epoch, _ = _version(told["version"])
        return self._epoch

    async def _ask(self, method: str, path: str, *, expected: Sequence[int] = (200,), **rest: Any) -> httpx.Response:
        """Raises StoreUnavailable where nobody knows what came of it."""
        for _ in self._urls:
            url = self._urls[next(self._turn) % len(self._urls)]
            try:
                answer = await self._http.request(method, f"{url}/memory/{path}", **rest)
            except httpx.ConnectError:
                continue
            except httpx.TransportError as error:
                raise StoreUnavailable(str(error)) from None
            assert answer.status_code in expected, (answer.status_code, answer.text)
            return answer
        raise StoreUnavailable("no gateway is there")


def _version(text: str) -> tuple[str, int]:
    found = read_version(text)
    assert found is not None, text
    return found


def _item(namespace: str, told: dict[str, Any]) -> Item:
    """As lists and conflicts show it."""
    revision = 0 if told["version"] is None else _version(told["version"])[1]
    if told.get("deleted"):
        return Item(namespace, told["key"], revision, None)
    value = json.dumps(told["value"]) if told["kind"] == "json" else told["value"]
    return Item(namespace, told["key"], revision, value.encode(), told["kind"])


def _put(put: Put, epoch: str | None) -> dict[str, Any]:
    said: dict[str, Any] = {"key": put.key}
    if put.value is None:
        said["delete"] = True
    elif put.kind == "text":
        said["text"] = put.value.decode()
    else:
        said["value"] = json.loads(put.value)
    if put.expect is not None:
        said["version"] = version_of(epoch, put.expect) if put.expect and epoch else None
    return said
