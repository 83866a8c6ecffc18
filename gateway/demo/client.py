"""The demo agent's hands: plain HTTP to the gateway, and an eye on its trace log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
from msgspec import Struct

from gateway.demo.table import Seen, Table

TREASURER_KEY = "demo-treasurer-key"
_IDENTITIES: dict[str, dict[str, str]] = {
    "researcher": {"x-agent-id": "researcher"},
    "assistant": {"x-agent-id": "assistant"},
    "treasurer": {"Authorization": f"Bearer {TREASURER_KEY}"},
    "intern-1": {"x-agent-id": "intern-1"},
    "intern-2": {"x-agent-id": "intern-2"},
    "(nobody)": {},
}
NO_FIELDS: Mapping[str, str] = {}
_PATIENCE = 2.0
"""Seconds to wait for a call's trace, which is written in batches."""


class Heard(Struct, frozen=True):
    """An answer. ``fields`` are looked up in any case; ``arrivals`` are the times of its pieces (``+150``, in ms)."""

    status: int
    fields: Mapping[str, str]
    media: str
    content: bytes
    arrivals: tuple[str, ...]
    warnings: tuple[str, ...]
    broken: bool = False
    """The answer ended before its end."""

    def seen(self, agent: str, call: str, problem: Mapping[str, Any] | None = None, note: str = "") -> Seen:
        """The call as a row of the table. ``problem``: a refusal that came in other words than problem+json."""
        if problem is None:
            problem = orjson.loads(self.content) if self.media == "application/problem+json" else {}
        ident, wait = self.fields.get("X-Toolgate-Call", ""), self.fields.get("Retry-After", "")
        return Seen(agent, call, self.status, ident, problem, self.warnings, note, wait)


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

    async def call(
        self,
        agent: str,
        call: str,
        body: Mapping[str, Any] | bytes | None = None,
        fields: Mapping[str, str] = NO_FIELDS,
    ) -> Seen:
        """Call ``METHOD /tool/path`` with a JSON body. ``body`` as bytes goes out as it is."""
        method, _, path = call.partition(" ")
        data = body if isinstance(body, bytes | None) else orjson.dumps(body)
        heard = await self.exchange(agent, method, path, data, fields)
        run = f" (run {fields['x-run-id']})" if "x-run-id" in fields else ""
        return heard.seen(agent, f"{call} {data.decode()}" if data else call + run)

    async def stream(self, agent: str, path: str, started: asyncio.Event | None = None) -> Seen:
        """GET an event stream; the note says when each event arrived. ``started`` is set at the first."""
        heard = await self.exchange(agent, "GET", path, started=started)
        events, when = heard.content.count(b"data:"), ", ".join(heard.arrivals)
        note = f"broken off after {events}" if heard.broken else f"{events} events, which arrived at {when} ms"
        return heard.seen(agent, f"GET {path}", note=note)

    async def exchange(
        self,
        agent: str,
        method: str,
        path: str,
        data: bytes | None = None,
        fields: Mapping[str, str] = NO_FIELDS,
        started: asyncio.Event | None = None,
    ) -> Heard:
        """One request as ``agent``; ``data`` is sent as JSON, ``fields`` besides the agent's own. ``started`` is set at
        the first piece of the answer."""
        headers = {**_IDENTITIES[agent], **fields}
        if data is not None:
            headers["Content-Type"] = "application/json"
        async with self._session.request(method, path, data=data, headers=headers) as answer:
            began, arrivals, content, broken = monotonic(), [], b"", False
            try:
                async for chunk in answer.content.iter_any():
                    arrivals.append(f"+{(monotonic() - began) * 1e3:.0f}")
                    content += chunk
                    if started is not None:
                        started.set()
            except aiohttp.ClientPayloadError:
                broken = True
            warnings = tuple(answer.headers.getall("X-Toolgate-Warning", ()))
            return Heard(answer.status, answer.headers, answer.content_type, content, tuple(arrivals), warnings, broken)

    async def show(self, *calls: Seen) -> list[str]:
        """Print the calls with their traces; returns what became of each."""
        return [self.table.row(seen, await self._traces.find(seen.ident)) for seen in calls]

    async def direct(self, url: str, body: Mapping[str, Any]) -> None:
        """POST straight to a tool, past the gateway, as its operator would."""
        async with self._session.post(url, json=body) as answer:
            answer.raise_for_status()

    async def operate(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> None:
        """Ask the admin API, as the gateway's operator would."""
        fields = {"X-Toolgate-Admin": "1"}
        async with self._session.request(method, f"{self.admin}{path}", json=body, headers=fields) as answer:
            answer.raise_for_status()

    async def readiness(self) -> Mapping[str, Any]:
        """What /readyz says."""
        async with self._session.get(f"{self.admin}/readyz") as answer:
            told: Mapping[str, Any] = await answer.json()
            return told
