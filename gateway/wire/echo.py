"""Masks the gateway's credentials in what a tool answers: some repeat what they were sent.

A mask is as long as what it hides, so that neither lengths nor framing change. What may be the beginning of a
credential at the end of a piece waits for the next one.
"""

from __future__ import annotations

from functools import lru_cache

import re2

from gateway.model import Lent, Tool
from gateway.observe.credentials import LEAST, forms_of, secrets_of

_FEW = 8
"""Bytes of a form's beginning by which it is looked for: tokens are long, and seldom there."""


class Echo:
    """The forms of some secrets."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        every = {form for secret in secrets for form in forms_of(secret)}
        # Where another form is in one, that is found there too; what is left around it is padding.
        forms = [form for form in every if not any(other in form for other in every - {form})]
        self._forms = sorted(forms, key=len, reverse=True)
        self._cut = tuple({form[:length] for form in forms for length in range(1, min(_FEW, len(form)))})
        """What may stand at the end of a piece, of a form that goes on in the next, too short to be looked for."""
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.never_capture = True
        starts = sorted({form[:_FEW] for form in forms})
        self._starts = re2.compile(b"|".join([re2.escape(start) for start in starts]), options) if starts else None

    def masked(self, data: bytes) -> bytes:
        """The same bytes where there is nothing to mask."""
        return self._masked(data) if self._starts is not None and self._starts.search(data) is not None else data

    def divided(self, data: bytes) -> tuple[bytes, bytes]:
        """What may be passed on, masked, and what may be the beginning of a secret."""
        if self._starts is None:
            return data, b""
        held = 0
        if self._starts.search(data) is not None:
            data = self._masked(data)
            held = self._begun(data)
        if not held and data.endswith(self._cut):
            held = max([len(cut) for cut in self._cut if data.endswith(cut)])
        return (data[:-held], data[-held:]) if held else (data, b"")

    def _masked(self, data: bytes) -> bytes:
        for form in self._forms:
            if form in data:
                data = data.replace(form, b"*" * len(form))
        return data

    def _begun(self, data: bytes) -> int:
        """How many bytes at the end, of those that are looked for, may be the beginning of a secret."""
        most = 0
        for form in self._forms:
            at = max(0, len(data) - len(form) + 1)
            while (at := data.find(form[:_FEW], at)) >= 0:
                if form.startswith(data[at:]):
                    most = max(most, len(data) - at)
                    break
                at += 1
        return most


class EchoStream:
    """Masks in a body that comes in pieces."""

    __slots__ = ("_echo", "_held", "whole")

    def __init__(self, echo: Echo) -> None:
        self.whole = echo.masked
        """For what comes at once."""
        self._echo, self._held = echo, b""

    def again(self) -> EchoStream:
        """The same for another stream."""
        return EchoStream(self._echo)

    def feed(self, data: bytes) -> bytes:
        """What may be passed on."""
        told, self._held = self._echo.divided(self._held + data if self._held else data)
        return told

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
    secrets = {secret for value in values for secret in secrets_of(value) if len(secret) >= LEAST}
    # What holds another is masked where that is: ``Bearer TOKEN`` where TOKEN is.
    return Echo(tuple([one for one in secrets if not any(other in one for other in secrets - {one})]))


__all__ = ["Echo", "EchoStream", "echo_of"]
