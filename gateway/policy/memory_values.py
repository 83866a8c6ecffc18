"""What expressions read of the memories that a call touches: of several keys, what holds for any of them."""

from __future__ import annotations

from gateway.model import Call, Glance

NEVER = 1e12
"""Seconds since a run has seen what it has not seen at all."""


def name(call: Call) -> str:
    """The memory; empty where the call touches none."""
    return call.glances[0].touch.memory if call.glances else ""


def key(call: Call) -> str:
    """The first key that it writes, else the first that it reads."""
    found = _first(call)
    return "" if found is None else found.touch.key


def writes(call: Call) -> bool:
    """Whether it writes."""
    return any(glance.touch.writes for glance in call.glances)


def read(call: Call) -> bool:
    """Whether its run has seen what stands at all of its keys; not where it touches none."""
    return bool(call.glances) and not any(glance.unread for glance in call.glances)


def stale(call: Call) -> bool:
    """Whether one of its keys has changed since its run saw it."""
    return any(glance.stale for glance in call.glances)


def old(call: Call) -> bool:
    """Whether its run saw one of them longer ago than ``max_age``."""
    return any(glance.old(call.at) for glance in call.glances)


def age(call: Call) -> float:
    """Seconds since its run saw the one that it has not seen for longest."""
    return max([_age(call, glance) for glance in call.glances], default=0.0)


def changed_by(call: Call) -> str:
    """Who has changed the first stale key last, else the first key; empty where nobody knows."""
    found = next((glance for glance in call.glances if glance.stale), _first(call))
    return "" if found is None or found.standing is None else found.standing.newest.agent


def drift(call: Call) -> list[str]:
    """``memory/key`` of all that the run has seen and that has changed since."""
    return list(call.drift or ())


def unverified(call: Call) -> list[str]:
    """``memory/key`` of what the run has seen, and nobody can tell whether it has changed past the gateway."""
    return list(call.unverified)


def _age(call: Call, glance: Glance) -> float:
    return NEVER if glance.seen is None else max(0.0, call.at - glance.seen.at)


def _first(call: Call) -> Glance | None:
    first = call.glances[0] if call.glances else None
    return next((glance for glance in call.glances if glance.touch.writes), first)
