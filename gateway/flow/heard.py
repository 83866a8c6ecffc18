"""One thing that a run was told: by whom, with which labels, and when."""

from __future__ import annotations

import re
from collections.abc import Callable

from gateway.flow.bodies import read
from gateway.flow.forms import normal
from gateway.flow.index import Index
from gateway.flow.looks import Look

_MARKS = "\"'`\u2018\u2019\u201c\u201d\u00ab\u00bb"
_QUOTED = re.compile(rf"[{_MARKS}]([^{_MARKS}\n]{{2,100}})[{_MARKS}]")
OVERHEAD = 256
"""Bytes that each counts beside its texts, so that many small ones are bounded too."""


def _unheeded(count: int) -> None:
    """Nobody counts it."""


class Heard:
    """A whole result, or what somebody said. It is read when something is looked for: most is never asked about.

    ``at`` counts what the run was told, ``order`` also what it was told again; ``gone``: it was forgotten. ``grew`` is
    told of the bytes that it takes more. ``relayed``: the agent itself passed it on (to a model). ``asked``: with which
    arguments it was asked for.
    """

    __slots__ = (
        "_content_type",
        "_data",
        "_index",
        "_quoted",
        "asked",
        "at",
        "gone",
        "grew",
        "labels",
        "order",
        "relayed",
        "source",
        "told",
        "trusted",
    )

    def __init__(
        self,
        source: str,
        labels: tuple[str, ...],
        data: bytes,
        content_type: str,
        at: int,
        *,
        trusted: bool,
        relayed: bool = False,
        asked: tuple[str, ...] = (),
    ) -> None:
        self.asked = asked
        self.source, self.labels, self.trusted, self.at, self.relayed = source, labels, trusted, at, relayed
        self._data, self._content_type = data, content_type
        self.told = len(data) + OVERHEAD
        self.order = at
        self.gone = False
        self.grew: Callable[[int], object] = _unheeded
        self._index: Index | None = None
        self._quoted: frozenset[str] | None = None

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return self.told if self._index is None else self._index.size + OVERHEAD

    @property
    def index(self) -> Index:
        """In which to look for values."""
        if self._index is None:
            text, unread = read(self._data, self._content_type)
            index = Index(text, unread, self._grown)
            if self.source == "user":
                self._quoted = frozenset(normal(each).strip() for each in _QUOTED.findall(text))
            self._index, self._data = index, b""
            self.grew(self.size - self.told)
        return self._index

    def forget(self) -> None:
        """It is not remembered any more: what still holds it holds nothing of what it told."""
        self.gone, self.grew = True, _unheeded
        self._data, self._index, self._quoted, self.asked = b"", None, None, ()

    def _grown(self, count: int) -> None:
        self.grew(count)

    def vouches(self, look: Look) -> bool:
        """Whether it is trusted and means what is looked for: people in all that they say, tools with their fields."""
        return self.trusted and (self.source in ("user", "system") or self.index.wholly(look))

    def quotes(self, text: str) -> bool:
        """Whether the user has put this normal text in quotation marks."""
        return bool(self.index) and self._quoted is not None and text in self._quoted
