"""A person at the approvals desk who knows what the user's task takes, and nothing else."""

from __future__ import annotations

import json
from typing import Any

from .gate import Gate


class Person:
    """Approves what is letter by letter a call of the user's task, by what the desk shows; denies all else."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __call__(self, refusal: str, calls: list[tuple[str, dict[str, Any]]]) -> bool:
        """Decide on the approval that the refusal names."""
        ident = json.loads(refusal)["approval_id"]
        payload = self._gate.api("GET", f"/approvals/{ident}")["payload"]
        shown = (payload["target"].rpartition("/")[2], payload["args"])
        approved = shown in calls
        verdict = {"verb": "approve"} if approved else {"verb": "deny", "message": "not what the user asked for"}
        self._gate.api("POST", f"/approvals/{ident}/decide", {**verdict, "by": "ada"})
        return approved
