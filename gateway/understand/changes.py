"""What an agent is told of others' changes to a memory, beside the words of a refusal."""

from __future__ import annotations

from typing import Any

from gateway.model import Refusal


def changes_of(refusal: Refusal) -> dict[str, Any]:
    """For programs; empty where nothing has changed."""
    return {"changes": refusal.changes} if refusal.changes else {}


def changes_text(refusal: Refusal) -> str:
    """For models: how what they had read differs from what stands now; empty where that is not known."""
    shown = [text for change in refusal.changes for text in _shown(change)]
    return "\n".join(["", *shown, ""]) if shown else ""


def _shown(change: Any) -> list[str]:
    named = f"{change['memory']}/{change['key']}"
    found = []
    if change.get("difference"):
        found.append(f"What has changed in {named} (- before, + now):\n{change['difference']}")
    if change.get("clash"):
        found.append(f"What could not be merged in {named}:\n{change['clash']}")
    return found
