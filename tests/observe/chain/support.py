"""A small audit, written as a gateway writes it."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs

from gateway.model import Permit, Run
from gateway.observe.chain.writer import AuditLog
from gateway.observe.trace import line_of
from tests.builders import call
from tests.observe.support import refusal, trace, until

KEY = b"k" * 32


def made(number: int, run: str = "r1", **changes):
    decision = refusal() if number % 3 == 0 else Permit(call(), "payers")
    return structs.replace(trace(decision, ident=f"c{number}"), run=Run(run), **changes)


def written(folder: Path, calls: int = 6, key: bytes | None = KEY, run: str = "r1", segment: int = 1500) -> AuditLog:
    """An audit with these calls, closed; more than one segment where there are several."""
    log = AuditLog(str(folder), key, segment, 0.02, about={"version": "1"})
    for number in range(calls):
        one = made(number, run)
        log.put([(one, line_of(one))])
        until(lambda: log.unwritten == 0)
    log.note("change", by="ann", what="quarantine agent x", why="odd")
    assert log.close() == 0
    return log
