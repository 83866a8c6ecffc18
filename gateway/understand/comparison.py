"""What is compared of the results in an answer of an MCP server, of which there may be several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from gateway.model import Findings
from gateway.policy.fingerprints import digest
from gateway.understand.digests import of_complaint, of_result, of_tool_result


class Comparison:
    """Gathers digest and complaint of the results of one answer."""

    def __init__(self) -> None:
        self._digest = self._complaint = ""

    def add(self, result: Mapping[str, Any], *, failed: bool, kept: bool = False) -> None:
        """A result, or ``{"error": ...}``. ``kept``: rules keep something of it from the agent, which must not have it
        by a complaint."""
        said = of_tool_result(result) if failed else ""
        told = of_complaint(said) if said else of_result(result)
        self._digest = digest(f"{self._digest} {told}".encode()) if self._digest else told
        if said and not kept:
            self._complaint = self._complaint or said

    def of_messages(self, value: Any, found: Findings) -> Findings:
        """Take in all responses of a message or an array of them; the findings with what was gathered so far."""
        for message in value if isinstance(value, list) else [value]:
            if not isinstance(message, dict) or not ("result" in message or "error" in message):
                continue
            result = message.get("result")
            failed = not isinstance(result, dict) or result.get("isError") is True
            self.add(result if isinstance(result, dict) else {"error": message.get("error")}, failed=failed)
        return self.told(found)

    def told(self, found: Findings) -> Findings:
        """The findings with what was gathered."""
        return structs.replace(found, digest=self._digest, complaint=self._complaint)
