"""``/api/quarantines``: what may make no calls, imposed and lifted by people."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

from aiohttp import web
from msgspec import Struct

from gateway.admin.api import Said, answer, body_of, changed
from gateway.admin.principals import author
from gateway.admin.problems import Failure
from gateway.model import Quarantine
from gateway.policy.guards import short
from gateway.stores.quarantines import SCOPES, Register

KEYS = {"all": (), "agent": ("agent",), "tool": ("tool",), "run": ("agent", "run")}
"""What a key consists of, by scope."""

LONGEST = 500
"""Characters of a reason, a name or a part of a key."""


class Wanted(Struct, forbid_unknown_fields=True):
    """A quarantine to impose. ``seconds`` 0 is until it is lifted; ``cut`` ends calls under way."""

    scope: str
    key: tuple[str, ...] = ()
    reason: str = ""
    by: str = "operator"
    seconds: float = 0.0
    cut: bool = False


def add(app: web.Application, register: Register, tools: Callable[[], Collection[str]], said: Said) -> None:
    """Add the routes. ``tools`` gives the names of the tools there are. A change is answered when it is stored, or when
    that takes too long (``stored`` false: it holds on this replica only, for now)."""

    async def listing(_: web.Request) -> web.Response:
        now = time.time()
        return answer({"quarantines": [shown(each, now) for each in register]})

    async def impose(request: web.Request) -> web.Response:
        wanted = await body_of(request, Wanted)
        key = _key(wanted.scope, wanted.key, tools())
        if not 0 <= wanted.seconds <= 10 * 365 * 86400:
            raise Failure(400, "$.seconds must be from 0 (until it is lifted) to ten years")
        for name, text in (("reason", wanted.reason), ("by", wanted.by)):
            if len(text) > LONGEST:
                raise Failure(400, f"$.{name} is longer than {LONGEST} characters")
        if "/" in wanted.by:
            raise Failure(400, "$.by is a person's name; one with '/' is a rule's")
        now = time.time()
        until = now + wanted.seconds if wanted.seconds else 0.0
        reason = wanted.reason or "by an operator"
        quarantine = Quarantine(wanted.scope, key, reason, author(request, wanted.by), now, until, wanted.cut)
        end = f"for {wanted.seconds:g} s" if wanted.seconds else "until it is lifted"
        what = f"quarantine {' '.join((wanted.scope, *key))} {end}{', cut' if wanted.cut else ''}"
        changed(request, wanted.by, what, wanted.reason)
        register.put(quarantine)
        return answer({**shown(quarantine, now), "stored": await said()}, 201)

    async def lift(request: web.Request) -> web.Response:
        query = request.query
        scope = query.get("scope", "")
        key = _key(scope, tuple(query.getall("key", [])), None)
        by, reason = query.get("by", "operator")[:LONGEST], query.get("reason", "")[:LONGEST]
        what = " ".join((scope, *key))
        if not register.lift(scope, key):
            raise Failure(404, f"{what or 'nothing'} is not quarantined", "see GET /api/quarantines for what is")
        changed(request, by, f"lift the quarantine of {what}", reason)
        return answer({"lifted": {"scope": scope, "key": key}, "stored": await said()})

    app.router.add_get("/quarantines", listing)
    app.router.add_post("/quarantines", impose)
    app.router.add_delete("/quarantines", lift)


def shown(quarantine: Quarantine, now: float) -> dict[str, Any]:
    """A quarantine for machines. Times are seconds since the epoch; ``until`` and ``seconds_left`` are null where it
    stands until it is lifted."""
    return {
        "scope": quarantine.scope,
        "key": quarantine.key,
        "reason": quarantine.reason,
        "by": quarantine.by,
        "since": round(quarantine.since, 3),
        "until": round(quarantine.until, 3) if quarantine.until else None,
        "seconds_left": round(max(0.0, quarantine.until - now), 3) if quarantine.until else None,
        "cut": quarantine.cut,
    }


def _key(scope: str, given: tuple[str, ...], tools: Collection[str] | None) -> tuple[str, ...]:
    """The key as the register has it. ``tools``: a tool must be one of these."""
    if scope not in SCOPES:
        raise Failure(400, f"no scope is called {scope[:100]!r}", f"one of {', '.join(SCOPES)}")
    parts = KEYS[scope]
    if len(given) != len(parts):
        raise Failure(400, f"the key of {scope} is {' and '.join(parts) or 'nothing'}, not {len(given)} texts")
    if not all(given):
        raise Failure(400, f"the key of {scope} must not be empty")
    if scope != "run" and any(len(part) > LONGEST for part in given):
        raise Failure(400, f"a part of the key has at most {LONGEST} characters")
    if scope == "tool" and tools is not None and given[0] not in tools:
        raise Failure(400, f"no tool is called {given[0][:100]!r}", f"there are {', '.join(sorted(tools))}")
    return (given[0], short(given[1])) if scope == "run" else given
