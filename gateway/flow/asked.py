"""Whether people asked for what a call does, by the words with which one asks for it.

What a stranger's text makes an agent do is mostly another kind of thing than what the user wants: a password is changed
in the middle of a summary. The words are few and written beside the tool, and no model has a say in it.
"""

from __future__ import annotations

from functools import lru_cache

from gateway.flow.forms import normal, tokens
from gateway.flow.looks import Look

ASKERS = frozenset({"user", "system"})


@lru_cache(1024)
def beginnings(stems: tuple[str, ...]) -> list[Look]:
    """Looks for words, or rows of words, that begin so."""
    return [Look(stem, needles=(tokens(normal(stem)).rstrip(b" "),)) for stem in stems]
