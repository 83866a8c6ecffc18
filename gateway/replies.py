"""What an agent is told beside the tool's answer: refusals in its protocol's words, and the lines added to answers."""

from __future__ import annotations

from collections.abc import Callable

from gateway.decide.budgets_text import told as left_of
from gateway.decide.results import UNCHECKED
from gateway.effects import Reply
from gateway.errors import Refused, UpstreamError
from gateway.model import Answered, Mode, Outcome, Quarantine, Reason, Refusal, Spoke, Verdict
from gateway.story import Story
from gateway.understand.http import LONGEST_RETRY_AFTER, phrase
from gateway.understand.keeping import phrase_kept

Hide = Callable[[bytes], bytes]
"""Takes credentials out of what an agent is told; gives the same bytes where there are none."""

_ADVICE = {
    502: "the tool cannot be reached or broke off; try again later, or go on without it",
    504: "the tool did not answer in time; whether it did the work is not known",
}


def reply_to(refusal: Refusal, story: Story) -> Reply:
    """The refusal in the words of the protocol that was spoken; before that is known, plain HTTP's."""
    if story.reader is not None:
        try:
            if refusal.kept is not None and story.call is not None:
                phrased = phrase_kept(refusal.kept, story.call, story.ident, story.body or b"")
                return Reply(phrased.status, phrased.fields, phrased.body)
            phrased = story.reader.phrase(refusal, story.ident, story.request, story.body)
            return Reply(phrased.status, phrased.fields, phrased.body)
        except Exception:  # noqa: BLE001, S110 - a refusal is given in any case, and plain HTTP always can
            pass
    fields, body = phrase(refusal, story.ident)
    return Reply(refusal.status, fields, body)


def hidden(reply: Reply, hide: Hide) -> Reply:
    """The reply without what ``hide`` knows to be secret."""
    fields = tuple([(name, hide(value)) for name, value in reply.fields])
    return Reply(reply.status, fields, hide(reply.body))


def timed(reply: Reply, story: Story) -> Reply:
    """The reply to a refusal, with how long it took to decide (W3C Server-Timing)."""
    return Reply(reply.status, (*reply.fields, (b"Server-Timing", _spent(story).encode())), reply.body)


def _spent(story: Story) -> str:
    """How long it took to decide, and to wait for a person, who is no part of that."""
    spent = f"decide;dur={(story.decided - story.began - story.asked) * 1e3:.3f}"
    return f"{spent}, person;dur={story.asked * 1e3:.3f}" if story.asked else spent


def told(
    story: Story, answered: Answered, spoke: tuple[Spoke, ...], counted: bool = False, hide: Hide | None = None
) -> bytes:
    """The field lines added to a tool's answer: timings (W3C Server-Timing), the call's id, warnings (without what
    ``hide`` takes out), and what is left of budgets, where some may have ``counted`` the call."""
    lines = (
        f"Server-Timing: {_spent(story)}, "
        f"upstream;dur={answered.first_byte * 1e3:.3f}\r\nX-Toolgate-Call: {story.ident}\r\n"
    ).encode()
    if counted:
        lines += left_of(story.holds)
    if not spoke:
        return lines
    warnings = [
        f"{said.policy}/{said.rule}: {said.message}"
        for said in spoke
        if said.mode is Mode.WARN or (said.mode is Mode.ENFORCE and said.verdict is Verdict.WARN)
    ]
    said = b"".join([b"X-Toolgate-Warning: %b\r\n" % _one_line(warning) for warning in warnings])
    return lines + (said if hide is None else hide(said))


def _one_line(text: str) -> bytes:
    """Text fit for a field value: visible ASCII, the rest as ``?``."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:500]).encode("ascii")


_OVER = "make no more calls; an operator decides how it goes on"
_ELSEWHERE = "go on without this tool; an operator has to look at where its name leads"


def quarantined(found: Quarantine, now: float) -> Refused:
    """What keeps a call from being made now. A wait is only spoken of where it is short enough to be waited for."""
    what = "everything" if found.scope == "all" else f"this {found.scope}"
    left = max(1.0, found.until - now) if found.until else 0.0
    if 0 < left <= LONGEST_RETRY_AFTER:
        advice = f"make no calls for {left:.0f} s"
    elif found.scope == "tool":
        advice = "go on without this tool; an operator decides when it may be used again"
    else:
        advice, left = _OVER, 0.0
    left = left if left <= LONGEST_RETRY_AFTER else 0.0
    detail = f"{what} is quarantined: {found.reason}"
    return Refused(Reason.QUARANTINED, 429 if left else 403, detail, advice, rule=_rule_of(found), retry_after=left)


def _rule_of(found: Quarantine) -> str:
    """The rule or guard that imposed it. A person is nobody's business but the operator's."""
    return found.by if found.by_rule else ""


def broken(error: UpstreamError) -> Refusal:
    if error.reason is Reason.QUARANTINED:
        return Refusal(error.reason, error.status, error.detail, advice=_OVER)
    if error.reason is Reason.EGRESS_DENIED:
        return Refusal(error.reason, error.status, error.detail, advice=_ELSEWHERE)
    if error.reason is Reason.RESULT_UNREADABLE:
        return Refusal(error.reason, error.status, error.detail, advice=UNCHECKED)
    return Refusal(
        error.reason,
        error.status,
        error.detail,
        retryable=error.status in (502, 504),
        advice=_ADVICE.get(error.status, ""),
    )


def broken_off(outcome: Outcome, error: UpstreamError, answered: Answered | None) -> Outcome:
    """The outcome of a call that broke off, before (None) or after the head of the tool's answer was here."""
    status, first_byte = (0, 0.0) if answered is None else (answered.status, answered.first_byte)
    return Outcome(
        outcome.status,
        status,
        blame(error),
        error.detail,
        outcome.received,
        outcome.sent,
        first_byte,
        unsent=error.unsent and answered is None,
        reason=error.reason,
    )


_OURS = frozenset(
    {Reason.DRAINING, Reason.RESULT_UNREADABLE, Reason.QUARANTINED, Reason.EGRESS_DENIED, Reason.CREDENTIAL_UNAVAILABLE}
)


def blame(error: UpstreamError) -> str:
    """Who broke a call that was under way: agent, tool or gateway (which ends, cuts it, or cannot read its answer)."""
    if error.reason in _OURS:
        return "gateway"
    return "agent" if error.status < 500 else "tool"
