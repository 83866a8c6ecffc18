"""Tokens that the gateway has fetched: there may be many, and long ones, and each comes and goes. So they are known by
their ends, in every form of ``credentials.forms_of``; what is masked is all that stands around such an end."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any

import re2

from gateway.observe.credentials import LEAST, forms_of

MOST = 128
"""Tokens that are looked for: the newest. Others look like what they are (``shapes.SHAPES``), or have ended."""
_END = 24
"""Characters of a token's end: of a JSON Web Token, all of them signature."""
_AROUND = re.compile(rb"[A-Za-z0-9._~+/%=-]+")


class LentSecrets:
    """Those that were fetched last, with the tool that each is for."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, str] = OrderedDict()
        self._known: tuple[Any, dict[bytes, str]] = (None, {})
        """Exchanged as one: threads read it."""

    def learn(self, tool: str, secret: str) -> None:
        """Look for it from now on."""
        if len(secret) < LEAST:
            return
        end, known = secret[-_END:], secret[-_END:] in self._held
        self._held[end] = tool
        self._held.move_to_end(end)
        if known:
            return
        while len(self._held) > MOST:
            self._held.popitem(last=False)
        forms = {form: of for each, of in self._held.items() for form in forms_of(each)}
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.log_errors = False
        options.max_mem = 64 << 20
        literals = sorted(forms, key=len, reverse=True)
        self._known = re2.compile(b"|".join([re2.escape(form) for form in literals]), options), forms

    def finds(self, data: bytes) -> bool:
        """Whether one is in there."""
        pattern, _ = self._known
        return pattern is not None and pattern.search(data) is not None

    def masked(self, data: bytes) -> bytes:
        """Without them: the same bytes where there are none."""
        pattern, forms = self._known
        if pattern is None or pattern.search(data) is None:
            return data

        def mask(found: re.Match[bytes]) -> bytes:
            end = pattern.search(found[0])
            return found[0] if end is None else b"[redacted:credential:%b]" % forms[end[0]].encode()

        return _AROUND.sub(mask, data)


__all__ = ["LentSecrets"]
