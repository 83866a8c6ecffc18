"""Where a call stands in its trace and in its tree of runs, for its record."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.model import Fields, Trace
from gateway.model.trace_context import trace_context

NOWHERE: dict[str, Any] = {
    "trace_id": None,
    "span_id": None,
    "parent_span_id": None,
    "root": None,
    "led_by": None,
    "depth": 0,
    "lineage": None,
}
"""Of a call without a trace context that nothing led to."""

_NOWHERE = orjson.dumps(NOWHERE)[1:-1]


def placed(trace: Trace) -> dict[str, Any]:
    """The ids of W3C Trace Context (``span_id`` only where the tool was told of it), and the runs above."""
    run = trace.run
    onward = () if trace.call is None else trace.call.onward
    if not (run.parent or run.lineage or onward):
        return NOWHERE
    came = trace_context(run.parent.encode("latin-1", "replace")) if run.parent else None
    own = _own(onward)
    return {
        "trace_id": own[0] if own is not None else None if came is None else came.trace,
        "span_id": None if own is None else own[1],
        "parent_span_id": run.span or None if came is None else came.span,
        "root": {"agent": run.root[0], "run": run.root[1] or None} if run.root else None,
        "led_by": {"agent": run.led[0], "run": run.led[1] or None, "span_id": run.span or None} if run.led else None,
        "depth": run.depth,
        "lineage": run.lineage or None,
    }


def _own(onward: Fields) -> tuple[str, str] | None:
    """Trace and span that the tool was told of, out of a field that was written here."""
    for name, value in onward:
        if name == b"traceparent":
            _, trace, span, _ = value.decode().split("-")
            return trace, span
    return None


def placed_text(trace: Trace) -> bytes:
    """The same as members of a JSON object. Raises orjson.JSONEncodeError where a name is not Unicode."""
    found = placed(trace)
    return _NOWHERE if found is NOWHERE else orjson.dumps(found)[1:-1]
