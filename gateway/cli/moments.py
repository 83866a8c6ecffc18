"""Points in time as people write them on a command line."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click


def moment(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """An option's callback: seconds since the epoch from ``2h`` or ``1d`` (so long ago), a date, or an RFC 3339 time;
    UTC where it says nothing else."""
    from gateway.policy.units import duration

    if value is None:
        return None
    try:
        if value[-1:] in ("s", "m", "h", "d"):
            return time.time() - duration(value)
        read = datetime.fromisoformat(value)
    except ValueError:
        message = f"{value!r} is no time; write 2h, 1d, 2026-01-31 or 2026-01-31T08:00:00Z"
        raise click.BadParameter(message) from None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
