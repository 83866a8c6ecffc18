"""Records of calls, as traces make them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import structs

from gateway.model import Outcome, Run, Trace
from gateway.observe.store.file import open_for_reading, open_for_writing
from gateway.observe.store.reader import TraceReader
from gateway.observe.store.rows import Stored, stored
from gateway.observe.store.writing import insert
from gateway.observe.trace import line_of
from tests.observe.support import permit, trace

START = 1_700_000_000.0
"""When the first of the calls here arrives."""


def made(number: int = 0, decision: Any = None, outcome: Outcome | None = None, **changes: Any) -> Trace:
    """A trace of the ``number``-th call, a second after the one before."""
    usual = Outcome(201, 201, received=10, sent=20, first_byte=0.03)
    one = trace(permit() if decision is None else decision, outcome or usual, ident=f"c{number}")
    return structs.replace(one, **{"wall": START + number, "run": Run("r1"), **changes})


def kept(*traces: Trace) -> list[Stored]:
    """The traces as the gateway hands them to the store."""
    return [stored(one, line_of(one)) for one in traces]


def reader_of(path: Path, traces: Iterable[Trace]) -> TraceReader:
    """A reader of a new store that has these."""
    connection = open_for_writing(str(path))
    insert(connection, kept(*traces))
    connection.close()
    return TraceReader(open_for_reading(path))
