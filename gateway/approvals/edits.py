"""Arguments that people have put in the place of a call's."""

from __future__ import annotations

import orjson

from gateway.approvals.docket import Docket
from gateway.model import Approval


def edit_of(approval: Approval) -> str:
    """The name of the edit that stands (``Docket.edit``); empty where the arguments are the call's own."""
    return next((vote.edit for vote in reversed(approval.votes) if vote.verb == "edit"), "") if approval.edited else ""


async def payload_now(docket: Docket, approval: Approval) -> bytes | None:
    """The payload with the arguments that stand; None where it is not there any more.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    payload = await docket.payload(approval.id)
    edit = edit_of(approval)
    if payload is None or not edit:
        return payload
    args = await docket.edit(approval.id, edit)
    return None if args is None else orjson.dumps({**orjson.loads(payload), "args": orjson.loads(args)})
