"""Values that the operator vouches for, in all runs: as they are, or as patterns."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.flow.bodies import BETWEEN
from gateway.flow.forms import address, lowered
from gateway.flow.index import Index
from gateway.flow.looks import Look


class Vouched:
    """``*`` at the end of a value stands for anything without blanks, elsewhere for a part of a name: ``*@example.com``
    is every address of that domain and of no other, ``https://example.com/*`` every page there."""

    def __init__(self, values: Sequence[str]) -> None:
        self._patterns = [_pattern(value) for value in values if "*" in value]
        plain = [value for value in values if "*" not in value]
        self._domains = frozenset(address(value.removeprefix("@")) for value in plain if "@" not in value[1:])
        self._index = Index(BETWEEN.join(plain))

    def tells(self, look: Look) -> bool:
        """Whether the operator vouches for it."""
        if self._index.tells(look):
            return True
        return look.leads and any(
            pattern.fullmatch(lowered(look.value.strip()).removeprefix("mailto:")) for pattern in self._patterns
        )

    def owns(self, domain: str) -> bool:
        """Whether this domain is vouched for as such."""
        return domain in self._domains


def _pattern(value: str) -> re.Pattern[str]:
    text, trails = (value[:-1], True) if value.endswith("*") else (value, False)
    parts = [re.escape(lowered(part)) for part in text.split("*")]
    return re.compile(r"[^\s@/,;?#:]*".join(parts) + (r"\S*" if trails else ""))
