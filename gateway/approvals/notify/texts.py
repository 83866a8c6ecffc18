"""Texts of agents and tools, made fit for messages: nothing hidden, nothing that becomes a link, not too long. Quiet.

Whoever makes a call chooses its arguments, and chats and mail programs turn what looks like an address into a link.
Each medium has an escape for its own markup beside this; see the files of the channels.
"""

from __future__ import annotations

import re

from gateway.policy.visible import visible

CUT = " [...]"
_SCHEME = re.compile(r"(?<=[A-Za-z0-9+.-]):(?=//|\\/\\/)|(?<=mailto):|(?<=tel):", re.IGNORECASE)
_DOT = re.compile("(?<=[^\\W_])[.\u3002\uff0e\uff61](?=[^\\W\\d_]{2})")
"""A dot within a name, or what is taken for one in names of hosts (UTS 46)."""
_JOINER = "\u2060"
"""WORD JOINER: not seen, and ends what a program takes for a host's name."""


def line(text: str, longest: int) -> str:
    """The text as one line of at most so many characters, as people can see it."""
    return cut(" ".join(visible(text).split()), longest)


def cut(text: str, longest: int) -> str:
    """The text, or its beginning with a mark that there is more."""
    return text if len(text) <= longest else text[: max(0, longest - len(CUT))] + CUT


def unlinked(text: str) -> str:
    """The text so that no program makes links of what is in it: ``https[:]//evil.example``. The dots within names are
    followed by a character that is not seen."""
    return _DOT.sub(lambda dot: dot[0] + _JOINER, _SCHEME.sub("[:]", text))
