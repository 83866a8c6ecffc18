"""Lines of the trace log as a replay reads them: only the keys that it needs, typed, and lenient to what is missing.

A key that the line does not have (logs of older versions) is None, as one that does not apply: a replay then says that
it does not know, and guesses nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class Timings(Struct, frozen=True, gc=False):
    """Milliseconds."""

    queue_ms: float = 0.0
    asked_ms: float = 0.0
    decide_ms: float = 0.0
    upstream_first_byte_ms: float | None = None
    total_ms: float = 0.0


class Head(Struct, frozen=True, gc=False):
    """What puts a record in its place in time."""

    call: str
    ts: str
    timings: Timings = Timings()
    clock: float | None = None


class RecordedFlaw(Struct, frozen=True):
    """What schema, pins or a cap said against the call."""

    reason: str
    status: int = 403
    rule: str | None = None
    detail: str = ""


class RecordedSpoke(Struct, frozen=True):
    """A rule that spoke."""

    policy: str
    rule: str
    verdict: str
    mode: str
    message: str | None = None
    error: str | None = None
    outside_rollout: bool = False


class RecordedPart(Struct, frozen=True):
    """A call of a batch."""

    operation: str
    implied: bool = False
    flaw: RecordedFlaw | None = None
    facts: dict[str, Any] = {}
    args: dict[str, Any] | None = None
    masked: tuple[str, ...] = ()


class RecordedKey(Struct, frozen=True):
    """A key of a memory that the call touched."""

    memory: str
    key: str
    does: str = "read"
    found: str | None = None
    seen_s: float | None = None
    changed_by: str | None = None
    came_of: str | None = None


class RecordedRun(Struct, frozen=True):
    """Agent and run above a call."""

    agent: str
    run: str | None = None


class Record(Struct, frozen=True):
    """One call; the keys are those of ``docs/trace.md``."""

    call: str
    ts: str
    method: str
    path: str
    run: str | None = None
    agent: str | None = None
    roles: tuple[str, ...] = ()
    tool: str | None = None
    operation: str | None = None
    decision: str | None = None
    reason: str | None = None
    rule: str | None = None
    detail: str | None = None
    facts: dict[str, Any] = {}
    amendments: tuple[str, ...] = ()
    status: int = 0
    upstream_status: int | None = None
    fault: str | None = None
    is_error: bool | None = None
    cost_usd: float | None = None
    timings: Timings = Timings()
    policy_version: str | None = None
    size: int | None = None
    host: str | None = None
    implied: bool = False
    flaw: RecordedFlaw | None = None
    args: dict[str, Any] | None = None
    query: str | None = None
    headers: dict[str, str | None] = {}
    parts: tuple[RecordedPart, ...] = ()
    masked: tuple[str, ...] = ()
    root: RecordedRun | None = None
    led_by: RecordedRun | None = None
    depth: int | None = None
    memory: tuple[RecordedKey, ...] | None = None
    drift: tuple[str, ...] | None = None


class Said(Struct, frozen=True):
    """The keys of a record that a shadow report reads."""

    call: str
    ts: str
    agent: str | None = None
    run: str | None = None
    tool: str | None = None
    operation: str | None = None
    decision: str | None = None
    rules: tuple[RecordedSpoke, ...] = ()


HEADS = msgspec.json.Decoder(Head)
RECORDS = msgspec.json.Decoder(Record)
SAID = msgspec.json.Decoder(Said)
