"""``/search``: calls by what they did, with words, by name, or by a condition in CEL."""

from __future__ import annotations

from collections.abc import Mapping
from time import time

from aiohttp import web
from msgspec import Struct, structs

from gateway.console.desk import Desk
from gateway.console.windows import SPANS, window_of
from gateway.model import Reason
from gateway.observe.store.found import Filter, Row
from gateway.observe.store.reader import TraceReader
from gateway.observe.store.where import Where
from gateway.policy.engine import CelError
from gateway.policy.engines import load_engine

_PAGE = 50
_NAMES = ("agent", "run", "tool", "decision", "reason", "policy", "rule", "text")
_LONGEST = 2000
"""Characters of a condition."""


class Found(Struct, frozen=True):
    """A page of calls; ``unfit`` is why of some records the condition could not be told."""

    rows: list[Row]
    more: bool
    unfit: str = ""


async def search(desk: Desk, request: web.Request) -> web.StreamResponse:
    """The form, and what it finds."""
    query = request.query
    window = window_of(query, time(), "24h")
    where, mistake = _where(query.get("where", ""))
    wanted = _filter(query, window.since, where)
    before = query.get("before", "")
    found = Found([], False)
    if not mistake:
        found = await desk.records.ask(lambda reader: _found(reader, wanted, before))
    return await desk.page(
        request,
        "search.html",
        status=400 if mistake else 200,
        found=found,
        wanted=wanted,
        window=window,
        spans=SPANS,
        where=query.get("where", ""),
        mistake=mistake,
        before=before,
        tools=sorted(tool.name for tool in desk.sights.loaded().tools),
        reasons=sorted(Reason),
    )


def _where(source: str) -> tuple[Where | None, str]:
    """The condition, or what is wrong with it."""
    if not source.strip():
        return None, ""
    if len(source) > _LONGEST:
        return None, f"a condition has at most {_LONGEST} characters"
    try:
        return Where(source, load_engine()), ""
    except CelError as error:
        hint = f" ({error.hint})" if error.hint else ""
        return None, f"column {error.column}: {error.message}{hint}"


def _filter(query: Mapping[str, str], since: float, where: Where | None) -> Filter:
    given = {name: query.get(name, "").strip() for name in _NAMES}
    return structs.replace(Filter(since=since, where=where), **given)


def _found(reader: TraceReader, wanted: Filter, before: str) -> Found:
    rows = reader.calls(wanted, _PAGE + 1, reader.call(before) if before else None)
    where = wanted.where
    unfit = f"{where.failed} records could not be told: {where.reason}" if where is not None and where.failed else ""
    return Found(rows[:_PAGE], len(rows) > _PAGE, unfit)
