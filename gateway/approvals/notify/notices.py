"""What is told of an approval, whatever the channel: texts for people, and the call itself, without secrets. Quiet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import msgspec
import orjson
from msgspec import Struct

from gateway.approvals.notify.links import Link, Links
from gateway.approvals.notify.texts import cut, line
from gateway.approvals.states import FOR_TIMEOUT
from gateway.approvals.verdicts import edit_of
from gateway.model import DEFAULT_TERMS, RESULT, Approval, ApprovalState
from gateway.policy.visible import visible

OPENED, ESCALATED, DECIDED, EXPIRED = "opened", "escalated", "decided", "expired"
LONGEST_NAME = 128
LONGEST_VALUE = 300
LONGEST_CALL = 1500
"""Characters of the call that a message shows; the console shows all of it."""
MOST_RULES = 5
MOST_CALL = 256 * 1024
"""Bytes of the call that a program is sent."""

_WORDS = {
    ApprovalState.DENIED: "Denied",
    ApprovalState.ANSWERED: "Answered",
    ApprovalState.EXPIRED: "Expired",
    ApprovalState.WITHDRAWN: "Withdrawn",
}


class Masks(Struct, frozen=True):
    """What takes secrets out."""

    text: Callable[[str], str]
    """Out of a text: credentials, and what looks like one."""
    named: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    """Values whose names say that they are secret."""


class Addresses(Struct, frozen=True):
    """Where messages of one channel lead to. ``base`` is where people reach the console."""

    base: str
    links: Links
    channel: str

    def page(self, approval: Approval) -> str:
        """Where everything of it is seen, after logging in."""
        return f"{self.base}/approvals/{approval.id}"

    def token(self, approval: Approval, verb: str, recipient: str = "") -> str:
        """What a button is good for. Without a recipient whoever uses it must say who they are."""
        return self.links.sign(
            Link(approval.id, edit_of(approval), verb, self.channel, recipient, int(approval.expires))
        )

    def decide(self, approval: Approval, verb: str, recipient: str) -> str:
        """The page that asks once more, and gives this verdict then, without a login."""
        return f"{self.base}/decide?token={self.token(approval, verb, recipient)}"


class Notice(Struct, frozen=True):
    """One message. Texts are one line each but for ``call``, of bounded length, with nothing hidden in them; what is
    markup in a medium is still markup."""

    ident: str
    """The same each time that this is told: of the approval, the event and the step."""
    event: str
    at: float
    """Seconds since the epoch."""
    approval: Approval
    title: str
    facts: tuple[tuple[str, str], ...]
    call: str
    """What would be done, in some lines."""
    whole: bool
    """``call`` tells all of it: else nobody can say yes to it here, since what matters may stand behind the cut."""
    payload: Mapping[str, Any]
    """The same for programs."""
    to: Addresses

    @property
    def asks(self) -> bool:
        """Whether there is something to decide."""
        return self.approval.state is ApprovalState.WAITING

    @property
    def verbs(self) -> tuple[str, ...]:
        """The verdicts that people are offered."""
        return () if not self.asks else ("approve", "deny") if self.whole else ("deny",)


def notice_of(
    ident: str, event: str, approval: Approval, payload: bytes | None, masks: Masks, to: Addresses, now: float
) -> Notice:
    """What is told of an approval as it stands. ``payload`` is the docket's; ``now`` in seconds since the epoch."""
    call = _call(payload, masks)
    what = _short(f"{approval.agent}: {approval.tool} {approval.operation}", masks, 2 * LONGEST_NAME)
    title = cut(f"{_word(approval, event)}: {what}", LONGEST_VALUE)
    facts = tuple(_facts(approval, call, masks))
    shown = _shown(call)
    told, whole = cut(shown, LONGEST_CALL), bool(call) and len(shown) <= LONGEST_CALL
    return Notice(ident, event, now, approval, title, facts, told, whole, _bounded(call), to)


def moment(at: float) -> str:
    """Seconds since the epoch as RFC 3339."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _word(approval: Approval, event: str) -> str:
    by = next((vote.by for vote in reversed(approval.votes) if vote.verb != "ask"), "")
    if event == OPENED:
        return "Approval of a result asked" if approval.about == RESULT else "Approval asked"
    if event == ESCALATED:
        return "Still waiting for approval"
    if event == EXPIRED:
        return "Nobody decided in time"
    if by == FOR_TIMEOUT:
        return "Let through, since nobody decided"
    word = _WORDS.get(approval.state, "Approved with other arguments" if approval.edited else "Approved")
    return f"{word} by {line(by, LONGEST_NAME)}" if by else word


def _facts(approval: Approval, call: Mapping[str, Any], masks: Masks) -> list[tuple[str, str]]:
    terms = approval.terms
    facts = [("Agent", _short(approval.agent, masks)), ("Run", _short(approval.run or "none", masks))]
    for held in approval.held[:MOST_RULES]:
        facts.append(("Held by", _short(f"{held.rule}: {held.text}" if held.text else held.rule, masks, LONGEST_VALUE)))
        read = masks.named(dict(held.read))
        if read:
            values = ", ".join(f"{name} = {orjson.dumps(value, default=str).decode()}" for name, value in read.items())
            facts.append(("It read", _short(values, masks, LONGEST_VALUE)))
    if len(approval.held) > MOST_RULES:
        facts.append(("Held by", f"{len(approval.held) - MOST_RULES} more rules"))
    why = call.get("why")
    if isinstance(why, Mapping) and why:
        said = ", ".join(f"{name}: {value}" for name, value in why.items())
        facts.append(("The agent says", _short(said, masks, LONGEST_VALUE)))
    if terms.impact != DEFAULT_TERMS.impact:
        facts.append(("At stake", f"{terms.impact:g}"))
    if approval.state is ApprovalState.WAITING:
        if terms.approvers > 1:
            facts.append(("Needs", f"{terms.approvers} people; {approval.approvals} so far"))
        facts.append(("Until", moment(approval.expires)))
    elif approval.message:
        facts.append(("Message", _short(approval.message, masks, LONGEST_VALUE)))
    return facts


def _short(text: str, masks: Masks, longest: int = LONGEST_NAME) -> str:
    return line(masks.text(text), longest)


def _call(payload: bytes | None, masks: Masks) -> dict[str, Any]:
    """The call without values whose names say that they are secret."""
    call: dict[str, Any] = msgspec.json.decode(payload, type=dict) if payload else {}
    if isinstance(target := call.get("target"), str):
        call["target"] = _target(target, masks)
    for name in ("args", "fields"):
        if isinstance(values := call.get(name), dict):
            call[name] = masks.named(values)
    if isinstance(parts := call.get("parts"), list):
        call["parts"] = [{**part, "args": masks.named(part["args"])} for part in parts]
    if isinstance(result := call.get("result"), dict) and isinstance(value := result.get("value"), dict):
        call["result"] = {**result, "value": masks.named(value)}
    return {masks.text(name): _masked(value, masks.text) for name, value in call.items()}


def _target(target: str, masks: Masks) -> str:
    path, mark, query = target.partition("?")
    if not mark:
        return target
    pairs = [part.partition("=") for part in query.split("&")]
    shown = [f"{name}{sign}{masks.named({unquote(name): value})[unquote(name)]}" for name, sign, value in pairs]
    return f"{path}?{'&'.join(shown)}"


def _masked(value: Any, mask: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {mask(name): _masked(inner, mask) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(inner, mask) for inner in value]
    return value


def _shown(call: Mapping[str, Any]) -> str:
    """Method, target, arguments as JSON or the text that is sent, and header fields; enough of it to be cut."""
    if not call:
        return "the call is not there any more"
    rows = [line(f"{call.get('method', '')} {call.get('target', '')}", LONGEST_CALL + 1)]
    if isinstance(result := call.get("result"), Mapping):
        rows = [*_result_rows(result), "to this call, which has been made:", *rows]
    if (args := call.get("parts") or call.get("args")) is not None:
        rows.append(orjson.dumps(args, option=orjson.OPT_INDENT_2, default=str).decode())
    if body := call.get("body"):
        rows.append(str(body))
    if isinstance(fields := call.get("fields"), Mapping):
        rows += [f"{name}: {value}" for name, value in fields.items()]
    return visible("\n".join(rows)[: 8 * LONGEST_CALL]).strip()


def _result_rows(result: Mapping[str, Any]) -> list[str]:
    """What the tool has answered, which the agent does not have yet."""
    value = result.get("value")
    text = result.get("body", "") if value is None else orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return [f"the tool has answered with status {result.get('status')}:", str(text)]


def _bounded(call: Mapping[str, Any]) -> Mapping[str, Any]:
    if len(orjson.dumps(call, default=str)) <= MOST_CALL:
        return call
    return {**call, "args": None, "parts": None, "body": None, "fields": None, "result": None, "cut": True}
