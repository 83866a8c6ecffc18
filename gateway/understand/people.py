"""What agents are told of what people decide: where an approval stands, and answers that a person gave."""

from __future__ import annotations

from typing import Any

from gateway.model import Fields, Reason, Refusal
from gateway.understand.members import load
from gateway.understand.reader import Phrased

STATUS_PATH = "/.well-known/toolgate/approvals/"
"""Below it agents ask how their approvals stand; a path of the gateway itself, at its own address (RFC 8615)."""
ANSWERED_BY = (b"X-Toolgate-Answered-By", b"person")
"""Says of an answer that it is not the tool's."""

_STATES = {
    "pending": "waiting",
    "running": "running",
    "deny": "denied",
    "expired": "expired",
    "answer": "answered",
    "withdrawn": "withdrawn",
}


def approval_of(refusal: Refusal) -> dict[str, str]:
    """What programs need to ask about the approval that a refused call waits for or was denied by; empty where there
    is none. ``status_url`` is relative to the address of the gateway."""
    ruling = refusal.ruling
    if ruling is None or not ruling.approval:
        return {}
    told = {"approval_id": ruling.approval, "status_url": f"{STATUS_PATH}{ruling.approval}"}
    state = _STATES.get(ruling.verb)
    return told if state is None else {**told, "approval_state": state}


def is_answer(refusal: Refusal) -> bool:
    """Whether this is no refusal, but what a person answered in the tool's place."""
    return refusal.reason is Reason.ANSWERED_BY_PERSON and refusal.status == 200


def answer_of(refusal: Refusal, ident: str) -> Phrased:
    """A person's answer over plain HTTP: JSON where the text is a JSON object or array, else text."""
    structured = structure_of(refusal.detail) is not None
    kind = b"application/json" if structured else b"text/plain; charset=utf-8"
    fields: Fields = ((b"Content-Type", kind), ANSWERED_BY, (b"X-Toolgate-Call", ident.encode()))
    return Phrased(200, (*fields, *refusal.fields), refusal.detail.encode("utf-8", "replace"))


def structure_of(text: str) -> Any:
    """The object or array that a text is the JSON of; None where it is none."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    value = load(text.encode("utf-8", "replace"))
    return value if isinstance(value, dict | list) else None
