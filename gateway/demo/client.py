"""The demo agent's hands: plain HTTP to the gateway, and an eye on its trace log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from gateway.demo.table import Seen, Table

TREASURER_KEY = "demo-treasurer-key"
_IDENTITIES: dict[str, dict[str, str]] = {
    "researcher": {"x-agent-id": "researcher"},
    "treasurer": {"Authorization": f"Bearer {TREASURER_KEY}"},
    "(nobody)": {},
}
_PATIENCE = 2.0
"""Seconds to wait for a call's trace, which is written in batches."""


class TraceReader:
    """Reads the lines that are added to a trace log from now on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = path.stat().st_size if path.exists() else 0
        self._records: dict[str, Mapping[str, Any]] = {}

    async def find(self, ident: str) -> Mapping[str, Any]:
        """The trace of the call ``ident``, or nothing where it does not come in time."""
        end = monotonic() + _PATIENCE
        while ident not in self._records and monotonic() < end:
            self._read()
            if ident not in self._records:
                await asyncio.sleep(0.02)
        return self._records.get(ident, {})

    def _read(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._at)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        for line in whole.splitlines():
            record = orjson.loads(line)
            self._records[record["call"]] = record


class Client:
    """Makes calls as one agent or another. An async context manager."""

    def __init__(self, gateway: str, admin: str, traces: TraceReader, table: Table) -> None:
        """``gateway`` and ``admin`` are base URLs."""
        self.admin = admin
        self.table = table
        self._traces = traces
        self._session = aiohttp.ClientSession(gateway, timeout=aiohttp.ClientTimeout(total=30))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(self, agent: str, call: str, body: Mapping[str, Any] | bytes | None = None) -> Seen:
        """Call ``METHOD /tool/path`` with a JSON body. ``body`` as bytes goes out as it is."""
        method, _, path = call.partition(" ")
        data = body if isinstance(body, bytes | None) else orjson.dumps(body)
        headers = dict(_IDENTITIES[agent])
        if data is not None:
            headers["Content-Type"] = "application/json"
        async with self._session.request(method, path, data=data, headers=headers) as answer:
            content = await answer.read()
            return self._seen(agent, f"{call} {data.decode()}" if data else call, answer, content)

    async def stream(self, agent: str, path: str) -> Seen:
        """GET an event stream; the note says when each event arrived."""
        async with self._session.get(path, headers=_IDENTITIES[agent]) as answer:
            began, arrivals, content = monotonic(), [], b""
            async for chunk in answer.content.iter_any():
                arrivals.append(f"+{(monotonic() - began) * 1e3:.0f}")
                content += chunk
            note = f"{content.count(b'data:')} events, which arrived at {', '.join(arrivals)} ms"
            return self._seen(agent, f"GET {path}", answer, content, note)

    async def show(self, *calls: Seen) -> list[str]:
        """Print the calls with their traces; returns what became of each."""
        return [self.table.row(seen, await self._traces.find(seen.ident)) for seen in calls]

    async def direct(self, url: str, body: Mapping[str, Any]) -> None:
        """POST straight to a tool, past the gateway, as its operator would."""
        async with self._session.post(url, json=body) as answer:
            answer.raise_for_status()

    async def readiness(self) -> Mapping[str, Any]:
        """What /readyz says."""
        async with self._session.get(f"{self.admin}/readyz") as answer:
            told: Mapping[str, Any] = await answer.json()
            return told

    @staticmethod
    def _seen(agent: str, call: str, answer: aiohttp.ClientResponse, content: bytes, note: str = "") -> Seen:
        problem = orjson.loads(content) if answer.content_type == "application/problem+json" else {}
        warnings: Sequence[str] = answer.headers.getall("X-Toolgate-Warning", ())
        ident = answer.headers.get("X-Toolgate-Call", "")
        wait = answer.headers.get("Retry-After", "")
        return Seen(agent, call, answer.status, ident, problem, tuple(warnings), note, wait)
