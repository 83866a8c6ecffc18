"""The answer of a plain HTTP tool as a JSON object, where a rule or a price reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from gateway.model import Answered, Findings, Refusal
from gateway.policy.redaction import told
from gateway.understand import strict_json
from gateway.understand.digests import Digester, compared
from gateway.understand.masking import masked_result
from gateway.understand.members import dump
from gateway.understand.reader import Judge

PARTIAL = 206
"""A part of an answer, cut as the agent asked: it may read as another object than the whole."""


class JsonAnswer:
    """Gathers an answer: held back until it is judged where a rule reads it, else only looked at in passing.

    Implements ``reader.Answer``. Over ``limit`` bytes an answer that is passed on is no longer looked at.
    """

    def __init__(self, answered: Answered, judge: Judge, limit: int) -> None:
        self._answered, self._judge, self._limit = answered, judge, limit
        self.whole = self.rewrites = judge.reads_result
        self._parts: list[bytes] = []
        self._size = 0
        self._found = Findings()
        self._refusal: Refusal | None = None

    def feed(self, data: bytes) -> bytes:
        """Keep what may be read at the end."""
        self._size += len(data)
        if self.whole or self._size <= self._limit:
            self._parts.append(data)
        return b"" if self.whole else data

    def end(self) -> bytes:
        """Read the body, and judge it where a rule does."""
        body = b"".join(self._parts)
        result, note = self._result(body)
        self._found = Findings(is_error=self._answered.status >= 400, result=result, notes=(note,) if note else ())
        if not self.whole:
            self._compare(body, kept=False)
            return b""
        self._refusal = self._judge.result(self._answered.status, self._found)
        self._compare(body, kept=self._refusal is not None or bool(self._judge.fields))
        if self._refusal is not None:
            self._found = structs.replace(self._found, refusal=self._refusal)
        elif self._judge.fields and result is not None:
            masked, led = masked_result(result, self._judge.fields)
            self._found = structs.replace(self._found, notes=self._found.notes + told(led))
            return dump(masked) if led else body
        return body

    def _compare(self, body: bytes, *, kept: bool) -> None:
        """Note the answer's digest, where a guard compares it and all of it was read."""
        if self._judge.compares and self._size == len(body):
            digester = Digester(self._answered)
            digester.feed(body)
            self._found = compared(self._found, digester, kept=kept)

    def _result(self, body: bytes) -> tuple[Mapping[str, Any] | None, str]:
        """The JSON object, or why there is none."""
        if self._size == 0:
            return {}, ""
        if self._size > self._limit:
            return None, f"the answer was not read: it is over {self._limit} bytes"
        if self._answered.status == PARTIAL:
            return None, "the answer was not read: it is only a part (206), chosen by the agent's Range"
        if self._answered.content_encoding.strip().lower() not in ("", "identity"):
            return None, f"the answer was not read: it is compressed ({self._answered.content_encoding[:40]})"
        kind = self._answered.content_type.partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            return None, f"the answer was not read: it is {kind[:80] or 'of no type'}, not JSON"
        try:
            value = strict_json.parse(body)
        except ValueError as error:
            return None, f"the answer was not read: {error}"
        return (value, "") if isinstance(value, dict) else (None, "the answer was not read: it is no JSON object")

    def found(self) -> Findings:
        """What was read; nothing before the end."""
        return self._found

    def refusal(self) -> Refusal | None:
        """What the agent gets instead, where a rule refused the answer."""
        return self._refusal
