"""``/api/breakers``: how circuits stand, and operators' words on them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any, Protocol

from aiohttp import web
from msgspec import Struct

from gateway.admin.api import Said, answer, body_of, changed
from gateway.admin.principals import author
from gateway.admin.problems import Failure
from gateway.policy.guards import short
from gateway.stores.circuit import CLOSED
from gateway.stores.circuits import HELD, CircuitLine, Circuits, Key, Word

LONGEST = 500
"""Characters of a reason, a name or a part of a key."""

MOST = 1000
"""Circuits that are listed, those first that are not closed."""


class Wanted(Struct, forbid_unknown_fields=True):
    """A word on a breaker. ``state`` is open, closed, or auto, which takes the word back. ``key`` is the tool, or the
    tool and the operation; nothing is every circuit of the breaker. ``seconds`` 0 is until it is taken back."""

    name: str
    state: str
    key: tuple[str, ...] = ()
    seconds: float = 0.0
    reason: str = ""
    by: str = "operator"


class Says(Protocol):
    """Lets a word stand for all replicas, or takes it back (None)."""

    def __call__(self, key: Key, word: Word | None) -> None: ...


def add(app: web.Application, circuits: Circuits, say: Says, names: Callable[[], Collection[str]], said: Said) -> None:
    """Add the routes. ``names`` gives the names of the breakers there are; ``stored`` is as of quarantines."""

    async def listing(_: web.Request) -> web.Response:
        return answer({"breakers": shown(circuits, names())})

    async def change(request: web.Request) -> web.Response:
        wanted = await body_of(request, Wanted)
        _check(wanted, names())
        key = (wanted.name, *[short(part) for part in wanted.key])
        now = time.time()
        what = f"breaker {' '.join(key)} {wanted.state}" + (f" for {wanted.seconds:g} s" if wanted.seconds else "")
        changed(request, wanted.by, what, wanted.reason)
        if wanted.state == "auto":
            say(key, None)
        else:
            until = now + wanted.seconds if wanted.seconds else 0.0
            say(key, Word(wanted.state, wanted.reason or "by an operator", author(request, wanted.by), now, until))
        stored = await said()
        found = [one for one in shown(circuits, names()) if one["name"] == wanted.name]
        return answer({"breakers": found, "stored": stored})

    app.router.add_get("/breakers", listing)
    app.router.add_post("/breakers", change)


def shown(circuits: Circuits, names: Collection[str]) -> list[dict[str, Any]]:
    """Every circuit that calls have asked for, every word, and breakers without either, for machines. ``probe_in`` is
    in seconds; times are seconds since the epoch."""
    now = time.monotonic()
    words = dict(circuits.words(now))
    lines = sorted(circuits.lines(now), key=lambda line: (line.state == CLOSED, line.key))[:MOST]
    asked = {line.key for line in lines}
    known = {key[0] for key in (*asked, *words)}
    others = [*[key for key in words if key not in asked], *[(name,) for name in sorted(names) if name not in known]]
    lines += [CircuitLine(key, CLOSED, 0.0, 0) for key in others]
    return [_shown(line, _word(words, line.key)) for line in lines]


def _shown(line: CircuitLine, word: Word | None) -> dict[str, Any]:
    return {
        "name": line.key[0],
        "key": line.key[1:],
        "state": line.state if word is None else HELD[word.state],
        "by_itself": line.state,
        "failures": line.failures,
        "probe_in": round(line.probe_in, 3),
        "word": _told(word),
    }


def _word(words: dict[Key, Word], key: Key) -> Word | None:
    return next((words[key[:length]] for length in range(len(key), 0, -1) if key[:length] in words), None)


def _told(word: Word | None) -> dict[str, Any] | None:
    if word is None:
        return None
    return {
        "state": word.state,
        "reason": word.reason,
        "by": word.by,
        "since": round(word.since, 3),
        "until": round(word.until, 3) if word.until else None,
    }


def _check(wanted: Wanted, names: Collection[str]) -> None:
    if wanted.name not in names:
        there = ", ".join(sorted(names)) or "none"
        raise Failure(400, f"no breaker is called {wanted.name[:100]!r}", f"there are: {there}")
    if wanted.state not in ("open", "closed", "auto"):
        raise Failure(400, "$.state must be open, closed or auto")
    if len(wanted.key) > 2 or not all(wanted.key):
        raise Failure(400, "$.key is nothing, a tool, or a tool and an operation")
    if not 0 <= wanted.seconds <= 10 * 365 * 86400:
        raise Failure(400, "$.seconds must be from 0 (until it is taken back) to ten years")
    if len(wanted.reason) > LONGEST or len(wanted.by) > LONGEST:
        raise Failure(400, f"$.reason and $.by have at most {LONGEST} characters")
