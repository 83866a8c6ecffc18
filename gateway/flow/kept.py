"""What is remembered of one kind, within a bound."""

from __future__ import annotations

import hashlib

from gateway.flow.heard import Heard


class Kept(dict[bytes, Heard]):
    """By digest, the oldest first; beyond ``most`` bytes, as they came, the oldest are forgotten."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._told = self._made = 0

    @property
    def size(self) -> int:
        """Bytes that it takes; what was made of it since ``weigh`` not counted."""
        return self._told + self._made

    def weigh(self) -> None:
        """Count what was made of it, so that it could be searched."""
        self._made = sum([heard.size for heard in self.values()]) - self._told

    def keep(self, heard: Heard, data: bytes, at: int) -> bool:
        """Whether it is new. Of what is told again the first time counts, unless now somebody better tells it; it is
        forgotten as if it had been told now."""
        if not data or len(data) > self._most:
            return False
        name = "\0".join([heard.source, *heard.labels, ""]).encode("utf-8", "surrogatepass")
        key = hashlib.blake2b(name + data, digest_size=16).digest()
        before = self.pop(key, None)
        if before is not None and (heard.relayed or not before.relayed):
            self[key] = before
            return False
        heard.at = at
        self[key] = heard
        self._told += heard.told - (0 if before is None else before.told)
        while self._told > self._most:
            self._told -= self.pop(next(iter(self))).told
        return True
