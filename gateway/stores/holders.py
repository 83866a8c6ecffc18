"""Names of replicas, and whether the process behind a name still lives."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

DEAD_AFTER = 30.0
"""Seconds without a sign of life after which a replica is taken for dead: what it had leased is forfeited."""


class Holder(Struct, frozen=True):
    """A process: where process ids mean the same (``node``; "" where that cannot be told), its id, its start."""

    node: str
    pid: int
    started: str


def new_holder() -> str:
    """A name unlike any other replica's, and unlike that of any earlier process."""
    return f"{os.getpid():x}-{os.urandom(6).hex()}"


def this_process() -> Holder:
    """As other processes on this machine would find it."""
    pid = os.getpid()
    return Holder(_node(), pid, _started(pid))


def lives(holder: Holder) -> bool | None:
    """Whether the process lives; None where that cannot be told from here."""
    node = _node()
    if not node or holder.node != node or not holder.started:
        return None
    return _started(holder.pid) == holder.started


def _node() -> str:
    """The boot and the namespace that process ids belong to: containers that share a file have their own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When the process started, in ticks since boot; "" where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
