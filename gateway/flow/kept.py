"""What is remembered of one kind, within a bound."""

from __future__ import annotations

import hashlib
from operator import attrgetter

from gateway.flow.heard import Heard
from gateway.flow.looks import Look

MOST_LOOKS = 128 * 1024
"""Bytes of what was looked for that are remembered, roughly; then all of them are forgotten."""
OF_A_LOOK, MOST_OF_A_LOOK = 512, 8192
"""Bytes that each counts beside its forms, and of the largest that is remembered."""
_Told = tuple[int, list[Heard], int]
"""Up to when something was looked for, what tells it, and the bytes of that."""
_UNSEEN: _Told = (0, [], 0)
_in_order = attrgetter("order")


class Kept(dict[bytes, Heard]):
    """By digest, the oldest first; beyond ``most`` bytes, as they came, the oldest are forgotten."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._told = self._made = self._at = 0
        self._looked: dict[Look, _Told] = {}
        self._looks = 0

    @property
    def size(self) -> int:
        """Bytes that it takes, with what was made of it so that it could be searched."""
        return self._told + self._made + self._looks

    def telling(self, look: Look) -> list[Heard]:
        """What of it tells this, the oldest first. What was looked at for it before is not looked at again."""
        seen, told, size = self._looked.get(look, _UNSEEN)
        if seen < self._at:
            told = sorted([one for one in told if not one.gone] + self._since(seen, look), key=_in_order)
            self._looks -= size
            self._remember(look, told)
        return told

    def _since(self, seen: int, look: Look) -> list[Heard]:
        found = []
        for one in reversed(self.values()):
            if one.order <= seen:
                break
            if one.at > seen and one.index.tells(look):
                found.append(one)
        return found

    def _remember(self, look: Look, told: list[Heard]) -> None:
        size = OF_A_LOOK + 4 * len(look.value) + 8 * len(told)
        if size > MOST_OF_A_LOOK:
            self._looked.pop(look, None)
            return
        if self._looks + size > MOST_LOOKS:
            self._looked.clear()
            self._looks = 0
        self._looks += size
        self._looked[look] = self._at, told, size

    def _grew(self, count: int) -> None:
        self._made += count

    def keep(self, heard: Heard, data: bytes, at: int) -> bool:
        """Whether it is new. Of what is told again the first time counts, unless now somebody better tells it; it is
        forgotten as if it had been told now."""
        if not data or len(data) > self._most:
            return False
        name = "\0".join([heard.source, *heard.labels, ""]).encode("utf-8", "surrogatepass")
        key = hashlib.blake2b(name + data, digest_size=16).digest()
        self._at = at
        before = self.pop(key, None)
        if before is not None:
            if heard.relayed or not before.relayed:
                before.order = at
                self[key] = before
                return False
            self._forget(before)
        heard.at = heard.order = at
        heard.grew = self._grew
        self[key] = heard
        self._told += heard.told
        while self._told > self._most:
            self._forget(self.pop(next(iter(self))))
        return True

    def _forget(self, heard: Heard) -> None:
        self._told -= heard.told
        self._made -= heard.size - heard.told
        heard.forget()
