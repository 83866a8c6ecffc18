"""``/policies``: what each rule did, which ones never spoke, and what rules that only look would have refused."""

from __future__ import annotations

from collections.abc import Iterable
from time import time

from aiohttp import web
from msgspec import Struct

from gateway.config.load import Loaded
from gateway.console.desk import Desk
from gateway.console.windows import SPANS, window_of
from gateway.observe.store.found import Filter, RuleStats
from gateway.policy.schema import Policy


class Deeds(Struct):
    """One rule and what it did. ``when`` is empty where the policies in force do not have it any more."""

    policy: str
    rule: str
    when: str = ""
    then: str = ""
    mode: str = ""
    message: str = ""
    hits: int = 0
    shadowed: int = 0
    """Times that it spoke in the mode Audit: it would have done something, and did not."""
    last: float = 0.0
    by: list[RuleStats] = []


async def policies(desk: Desk, request: web.Request) -> web.StreamResponse:
    """The page."""
    window = window_of(request.query, time(), "24h")
    hits, refusals = await desk.records.ask(
        lambda reader: (reader.rules(window.since, window.until), reader.refusals(Filter(since=window.since)))
    )
    deeds = deeds_of(desk.sights.loaded(), hits)
    return await desk.page(
        request,
        "policies.html",
        deeds=deeds,
        dead=[one for one in deeds if one.when and not one.hits],
        shadowed=[one for one in deeds if one.shadowed],
        guards=[one for one in refusals if one.rule not in {f"{each.policy}/{each.rule}" for each in deeds}],
        window=window,
        spans=SPANS,
        loaded=desk.sights.loaded(),
    )


def deeds_of(loaded: Loaded, hits: Iterable[RuleStats]) -> list[Deeds]:
    """Every rule of the policies in force, and of those before that spoke."""
    found: dict[tuple[str, str], Deeds] = {}
    for document in loaded.documents:
        if not isinstance(document, Policy):
            continue
        for rule in document.spec.rules:
            name, spec = document.metadata.name, document.spec
            found[name, rule.name] = Deeds(
                name, rule.name, " ".join(rule.when.split()), rule.then, str(rule.mode or spec.mode), rule.message or ""
            )
    for one in hits:
        deed = found.setdefault((one.policy, one.rule), Deeds(one.policy, one.rule))
        deed.hits += one.hits
        deed.shadowed += one.hits if one.mode == "Audit" else 0
        deed.last = max(deed.last, one.last)
        deed.by = [*deed.by, one]
    return sorted(found.values(), key=lambda deed: (deed.policy, deed.rule))
