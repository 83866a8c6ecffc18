"""What came of a call, in the words in which a file of cases expects it, and how the two differ."""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose
from typing import Any

from msgspec import Struct

from gateway.config.case_schema import Expect
from gateway.model import Mode, Permit, Reason, Refusal, Spoke, Trace
from gateway.policy.treatments import DONE

INTERNAL = 500
"""The status of a call during which the gateway itself broke."""


class Verdict(Struct, frozen=True):
    """What came of one call; the names are those of ``Expect``. Texts are empty where there is nothing to say."""

    decision: str
    reason: str
    rule: str
    rules: tuple[str, ...]
    grant: str
    message: str
    status: int
    withheld: tuple[str, ...]
    labels: tuple[str, ...]
    redacted: tuple[str, ...]
    amended: tuple[str, ...]
    waited: float
    cost_usd: float
    spoke: tuple[Spoke, ...]
    """Every rule that spoke, of the call and of its answer."""


class Difference(Struct, frozen=True):
    """Something that was expected and is not so. ``name`` is the key of the expectation."""

    name: str
    expected: Any
    got: Any


def verdict_of(trace: Trace) -> Verdict:
    """The verdict on a call, from its record."""
    found, decision = trace.outcome.found, trace.decision
    spoke = (decision.spoke if decision is not None else ()) + found.spoke
    refusal = decision if isinstance(decision, Refusal) else found.refusal or _broken(trace)
    changes = (*trace.amendments, *found.notes)
    asks = refusal is not None and refusal.reason is Reason.APPROVAL_REQUIRED
    return Verdict(
        decision="allow" if refusal is None else "approve" if asks else "refuse",
        reason="" if refusal is None else refusal.reason.value,
        rule="" if refusal is None else refusal.rule,
        rules=tuple(dict.fromkeys(f"{said.policy}/{said.rule}" for said in spoke)),
        grant=decision.grant if isinstance(decision, Permit) else "",
        message=_message(refusal, spoke),
        status=trace.outcome.status,
        withheld=tuple(sorted(proposal.name for proposal in found.proposed if proposal.refused)),
        labels=tuple([said.label for said in spoke if said.label and said.mode is Mode.ENFORCE]),
        redacted=tuple([said.removeprefix(_REDACTED) for said in changes if said.startswith(_REDACTED)]),
        amended=(
            *[said for said in trace.amendments if not said.startswith(_REDACTED)],
            *[said for said in found.notes if said.startswith(_TREATED)],
        ),
        waited=trace.queued,
        cost_usd=trace.outcome.cost_usd or 0.0,
        spoke=spoke,
    )


def _broken(trace: Trace) -> Refusal | None:
    """What the agent got instead of an answer that the gateway could not read, or broke over."""
    outcome = trace.outcome
    if outcome.fault != "gateway":
        return None
    reason = Reason.INTERNAL_ERROR if outcome.status == INTERNAL else Reason.RESULT_UNREADABLE
    return Refusal(reason, outcome.status, outcome.error)


def _message(refusal: Refusal | None, spoke: tuple[Spoke, ...]) -> str:
    """What the agent is told: of a refusal its words, else the warnings."""
    if refusal is None:
        return "\n".join(said.message for said in spoke if said.message)
    return f"{refusal.detail}; {refusal.advice}" if refusal.advice else refusal.detail


_REDACTED = "redacted "
"""How the record says that a field was masked (``policy.redaction.told``)."""
_TREATED = tuple([f"{word} " for word in DONE.values()])
"""How it says that something else was done to a result."""
_SAME = ("decision", "reason", "rule", "grant", "status")
_SETS = ("rules", "withheld", "labels", "redacted")
_NUMBERS = ("waited", "cost_usd")


def differences(expect: Expect, got: Verdict) -> Iterator[Difference]:
    """Everything that is expected and is not so, in the order of the keys."""
    for name in type(expect).model_fields:
        wanted = getattr(expect, name)
        if wanted is None:
            continue
        here = getattr(got, name)
        if not _fits(name, wanted, here):
            yield Difference(name, _plain(wanted), _plain(here))


def _fits(name: str, wanted: Any, here: Any) -> bool:
    if name in _SAME:
        return bool(wanted == here)
    if name in _SETS:
        return sorted(set(wanted)) == sorted(set(here))
    if name in _NUMBERS:
        return isclose(wanted, here, rel_tol=1e-6, abs_tol=1e-9)
    if name == "message":
        return wanted in here
    return _parts(wanted, here)


def _parts(wanted: tuple[str, ...], here: tuple[str, ...]) -> bool:
    """Whether each of ``wanted`` is a part of something here; nothing is wanted where nothing is here."""
    return bool(wanted) == bool(here) and all(any(part in whole for whole in here) for part in wanted)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
