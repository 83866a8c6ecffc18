"""Many patterns looked for in one pass (RE2: time grows with the text, whatever it is)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import re2


def options(*, latin: bool = False) -> Any:
    """Those of all patterns here: errors are raised, not logged. ``latin``: over bytes."""
    chosen = re2.Options()
    chosen.log_errors = False
    chosen.max_mem = 64 << 20
    if latin:
        chosen.encoding = re2.Options.Encoding.LATIN1
    return chosen


class Patterns:
    """Tells which of some patterns fit a text."""

    def __init__(self, patterns: Sequence[str], *, latin: bool = False) -> None:
        self._coding = "latin-1" if latin else "utf-8"
        self.each = [re2.compile(pattern.encode(self._coding), options(latin=latin)) for pattern in patterns]
        self._all = re2.Set.SearchSet(options(latin=latin))
        for pattern in patterns:
            self._all.Add(pattern.encode(self._coding))
        self._all.Compile()
        # The set tells which; whether any does is told faster by one expression.
        joined = "|".join(f"(?:{pattern})" for pattern in patterns)
        quick = options(latin=latin)
        quick.never_capture = True
        self._any = re2.compile(joined.encode(self._coding), quick)

    def which(self, data: bytes) -> Sequence[int]:
        """The numbers of those that fit somewhere, in order."""
        if self._any.search(data) is None:
            return ()
        # Nothing told, though something fits: the set had not enough memory for this text.
        return sorted(self._all.Match(data)) or range(len(self.each))

    def found(self, number: int, data: bytes, most: int) -> Iterator[Any]:
        """The first places where one of them fits."""
        for count, match in enumerate(self.each[number].finditer(data)):
            if count >= most:
                return
            yield match
