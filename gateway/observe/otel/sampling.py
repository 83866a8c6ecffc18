"""Which calls are exported: a share of the traces, and whatever did not go well."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from gateway.observe.otel.kinds import failed

_BITS = 56


class Sampling:
    """A share of all traces, whole ones: the last 56 bits of the trace id decide, so others that sample so take the
    same (OpenTelemetry, "TraceState: Probability Sampling"). What an agent's ``traceparent`` says of sampling does not
    count: nobody hides by it."""

    def __init__(self, share: float) -> None:
        """``share`` from 0 to 1."""
        self._all = share >= 1.0
        self._from = round((1.0 - share) * (1 << _BITS))

    def takes(self, record: Mapping[str, Any]) -> bool:
        """Whether the call is exported. Refused and failed ones always are."""
        if self._all or failed(record):
            return True
        trace = record["trace_id"]
        random = bytes.fromhex(trace) if trace else sha256(record["call"].encode()).digest()[:16]
        return int.from_bytes(random[-_BITS // 8 :], "big") >= self._from
