"""What a read touches, and what its answer tells of keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from msgspec import Struct

from gateway.coherence.answers import MISSING, Hears, Said
from gateway.coherence.conditions import asked_for
from gateway.coherence.declared import DeclaredRead
from gateway.coherence.evidence import Digest, digest_by, field, nothing, versions_of
from gateway.coherence.selectors import About, Selector
from gateway.coherence.values import MOST_ENTRIES, digest_of_bytes, kept, keys_of, text_of
from gateway.model import Answered, Learnt

_SHOWN = frozenset({200, 203, 204})
_GONE = frozenset({404, 410})
_PART = 206
_NOT_MODIFIED = 304


class Reading(Struct, frozen=True):
    """One call that reads."""

    memory: str
    declared: DeclaredRead
    about: About

    def named(self) -> tuple[str, ...]:
        """Those that the call itself names."""
        return () if self.declared.of_answer else keys_of(self.declared.key.of(self.about))

    def learnt(self, answered: Answered, body: bytes | None, hears: Hears) -> tuple[Learnt, ...]:
        """What the answer tells; nothing where it says that the call has failed."""
        call = self.about.call
        said = Said() if body is None and call.tool.protocol == "http" else None
        if body is not None:
            said = hears(call, answered, body)
        return () if said is None else tuple(Told(self, answered, said, body).learnt())


class Told(Struct, frozen=True):
    """Its answer."""

    reading: Reading
    answered: Answered
    said: Said
    body: bytes | None

    @property
    def about(self) -> About:
        """What its expressions are evaluated on."""
        about = self.reading.about
        return About(about.call, about.path, self.answered, self.said)

    def learnt(self) -> Iterator[Learnt]:
        """What it tells of each key."""
        status, keys = self.answered.status, self.reading.named()
        if keys and self._gone():
            yield from (Learnt((self.reading.memory, key), gone=True) for key in keys)
        elif status == _NOT_MODIFIED:
            yield from self._unchanged(keys)
        elif self.said.failed or status not in (*_SHOWN, _PART):
            return
        elif self.reading.declared.entries is not None:
            yield from self._entries()
        else:
            yield from self._result(keys or keys_of(self.reading.declared.key.of(self.about)))

    def _gone(self) -> bool:
        gone = self.reading.declared.gone
        if gone is not None:
            return gone.of(self.about) is True
        return self.answered.status in _GONE and self.about.call.tool.protocol == "http"

    def _unchanged(self, keys: Sequence[str]) -> Iterator[Learnt]:
        """The agent has it already, and that is still what stands."""
        versions = asked_for(self.about.call)
        if len(keys) == 1 and versions:
            yield Learnt((self.reading.memory, keys[0]), versions, whole=self._whole())

    def _whole(self) -> bool:
        part = self.reading.declared.partial
        if isinstance(part, Selector):
            part = part.of(self.about) is not False
        return not part and self.about.call.request.method != "HEAD"

    def _result(self, keys: Sequence[str]) -> Iterator[Learnt]:
        """The answer is about one key; or about several, and nobody can tell which of it is about which."""
        declared, about = self.reading.declared, self.about
        part = self.answered.status == _PART or field(self.answered, b"content-range") != ""
        text: str | None = None
        digest: Digest = nothing
        if len(keys) == 1 and not part and about.call.request.method != "HEAD":
            text = text_of(self.said.value if declared.value is None else declared.value.of(about))
            if isinstance(declared.partial, bool) or self._whole():
                digest = partial(self._digest, text)
        versions = versions_of(declared.versions, about, self.answered, digest) if len(keys) == 1 else {}
        whole = self._whole() and not part
        for key in keys:
            yield Learnt((self.reading.memory, key), versions, kept(text) if whole else None, whole)

    def _digest(self, text: str | None) -> dict[str, str]:
        declared = self.reading.declared
        if text is not None or declared.value is not None or self.body is None:
            return digest_by(declared.label, text)
        plain = self.answered.content_encoding.strip().lower() in ("", "identity")
        return {f"digest of {declared.label}": digest_of_bytes(self.body)} if plain else {}

    def _entries(self) -> Iterator[Learnt]:
        """The answer is about many keys, each in an entry of its own."""
        declared, about = self.reading.declared, self.about
        entries = MISSING if declared.entries is None else declared.entries.of(about)
        whole = self._whole()
        for entry in entries[:MOST_ENTRIES] if isinstance(entries, list) else ():
            one = About(about.call, about.path, self.answered, self.said, entry)
            text = text_of(entry if declared.value is None else declared.value.of(one))
            digest = partial(digest_by, declared.label, text)
            if declared.value is None:  # an entry is not written as what stands there by itself
                text = None
            versions = versions_of(declared.versions or ("digest",), one, self.answered, digest)
            for key in keys_of(declared.key.of(one)):
                yield Learnt((self.reading.memory, key), versions, kept(text) if whole else None, whole)
