"""Items of the shared memory as agents and people read them, in JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.model.shelf import Item, version_of


def told(epoch: str, item: Item, *, value: bool) -> dict[str, Any]:
    """An item, for JSON by ``orjson``: its version, who wrote it, its labels; with its value or without."""
    shown: dict[str, Any] = {"key": item.key, "version": version_of(epoch, item.revision)}
    if item.value is None:
        shown["deleted"] = True
    else:
        shown |= {"kind": item.kind, "size": len(item.value)}
        if value:
            shown["value"] = orjson.Fragment(item.value) if item.kind == "json" else item.value.decode()
        shown |= {"created": moment(item.created), "ends": moment(item.ends) if item.ends else None}
    by = {"agent": item.by.agent, "run": item.by.run, "call": item.by.call}
    return shown | {"written": moment(item.written), "by": by, "labels": item.by.labels}


def moment(seconds: float) -> str:
    """A time in seconds since the epoch, as RFC 3339 writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
