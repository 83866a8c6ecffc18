"""Masks the gateway's credentials in what a tool answers: some repeat what they were sent.

A mask is as long as what it hides, so that neither lengths nor framing change. What may be the beginning of a
credential at the end of a piece waits for the next one.
"""

from __future__ import annotations

from functools import lru_cache

from gateway.model import Lent, Tool
from gateway.observe.credentials import LEAST, forms_of, secrets_of

_FEW = 4
"""Bytes of a form's beginning by which its start is looked for."""


class Echo:
    """The forms of some secrets."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        forms = {form for secret in secrets for form in forms_of(secret)}
        self._forms = sorted(forms, key=len, reverse=True)
        self._longest = len(self._forms[0]) if self._forms else 0
        self._beginnings = tuple({form[:length] for form in forms for length in range(1, _FEW)})

    def masked(self, data: bytes) -> bytes:
        """The same bytes where there is nothing to mask."""
        for form in self._forms:
            if form in data:
                data = data.replace(form, b"*" * len(form))
        return data

    def begun(self, data: bytes) -> int:
        """How many bytes at the end may be the beginning of a secret."""
        most = 0
        for form in self._forms:
            at = max(0, len(data) - len(form) + 1)
            beginning = form[:_FEW]
            while (at := data.find(beginning, at)) >= 0:
                if form.startswith(data[at:]):
                    most = max(most, len(data) - at)
                    break
                at += 1
        if not most and data.endswith(self._beginnings):
            most = max(len(start) for start in self._beginnings if data.endswith(start))
        return most


class EchoStream:
    """Masks in a body that comes in pieces."""

    __slots__ = ("_echo", "_held", "whole")

    def __init__(self, echo: Echo) -> None:
        self.whole = echo.masked
        """For what comes at once."""
        self._echo, self._held = echo, b""

    def feed(self, data: bytes) -> bytes:
        """What may be passed on."""
        data = self._echo.masked(self._held + data if self._held else data)
        held = self._echo.begun(data)
        if not held:
            self._held = b""
            return data
        self._held = data[-held:]
        return data[:-held]

    def end(self) -> bytes:
        """What was held back: nothing more comes."""
        held, self._held = self._held, b""
        return held


def echo_of(tool: Tool, lent: Lent | None) -> EchoStream:
    """What masks the credentials that this tool gets with this call."""
    values = tuple([value.decode("latin-1") for _, value in tool.inject])
    if lent is not None:
        values += lent.secrets
    return EchoStream(_echo(values))


@lru_cache(maxsize=512)
def _echo(values: tuple[str, ...]) -> Echo:
    return Echo(tuple([secret for value in values for secret in secrets_of(value) if len(secret) >= LEAST]))


__all__ = ["Echo", "EchoStream", "echo_of"]
