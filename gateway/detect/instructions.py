"""Instructions to a model in a text that should hold none: signals, together with those near them, make a score.

A heuristic: it finds what is written as injections are, also where that is hidden or encoded. An instruction in the
words of an honest text (``please send the report to bob@example.com``) it cannot tell from one: what a call may do
after reading such a text is the matter of labels and of origins, not of this.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from gateway.detect.encoded import decoded
from gateway.detect.finding import Finding, listed, snippet
from gateway.detect.hidden import hidden_in
from gateway.detect.patterns import Patterns
from gateway.detect.signals import SIGNALS
from gateway.detect.texts import texts_of
from gateway.detect.unseen import SCORES, folded, unseen_in, unselected, untagged

SHORTEST = 8
NEAR = 1500
"""Characters within which signals support each other: a few sentences. Long texts have some of everything."""
SUPPORT = 0.6
"""How much of its weight a signal of another kind lends to one near it."""
HIDING, ENCODING = 0.5, 0.55
"""What it counts that instructions are not shown, or encoded: honest ones seldom are."""
LEAST = 0.2
"""Findings with less are not told."""
_DEEPEST = 2
_MOST_EACH = 8
_REMEMBERED = 4096
_UNSEEN = {kind: score * 0.7 for kind, score in SCORES.items() if score >= 0.5}


class _Sign(NamedTuple):
    kind: str
    weight: float
    place: int
    evidence: str


def injection(value: Any) -> list[dict[str, Any]]:
    """Texts in a value that are written as instructions to a model: one finding for each kind of signal in each text.

    Raises:
        TooMuchError: the value is larger than what is looked through.
    """
    return listed(
        Finding(sign.kind, sign.weight, sign.evidence, path)
        for path, text in texts_of(value)
        if len(text) >= SHORTEST
        for sign in _scored(text)
    )


def _scored(text: str) -> tuple[_Sign, ...]:
    """What was found in a text. Conversations bring the same texts again and again, so that short ones are kept."""
    return _kept(text) if len(text) <= _REMEMBERED else _score(text)


def _score(text: str) -> tuple[_Sign, ...]:
    return tuple(sign for sign in _strongest(_signs(text, 0)) if sign.weight >= LEAST)


_kept = lru_cache(maxsize=512)(_score)


def _strongest(signs: list[_Sign]) -> list[_Sign]:
    """The best of each kind, by its own weight and what stands near it."""
    best: dict[str, _Sign] = {}
    for sign in signs:
        near: dict[str, float] = {}
        for other in signs:
            if other.kind != sign.kind and abs(other.place - sign.place) <= NEAR:
                near[other.kind] = max(near.get(other.kind, 0.0), other.weight)
        doubt = 1.0 - sign.weight
        for weight in near.values():
            doubt *= 1.0 - SUPPORT * weight
        if sign.kind not in best or 1.0 - doubt > best[sign.kind].weight:
            best[sign.kind] = sign._replace(weight=1.0 - doubt)
    return list(best.values())


def _signs(text: str, depth: int) -> list[_Sign]:
    plain = _unescaped(folded(text))
    signs = [*_told(plain), *_unseen(text, depth)]
    if depth < _DEEPEST:
        place, inner = hidden_in(plain)
        signs += _within("hidden", HIDING, place, inner, depth)
        for coding, at, inner in decoded(plain):
            signs += _within("encoded", ENCODING, at, inner, depth, f"{coding}: ")
    return signs


def _unescaped(text: str) -> str:
    """JSON within a text has line feeds as escapes, whose letter would stand before the next word."""
    return text.replace("\\n", " \n").replace("\\t", "  ") if "\\" in text else text


def _told(text: str) -> Iterator[_Sign]:
    data = text.encode("utf-8", "replace")
    for number in _patterns().which(data):
        kind, weight, _ = SIGNALS[number]
        for found in _patterns().found(number, data, _MOST_EACH):
            start = len(data[: found.start()].decode("utf-8", "replace"))
            end = start + len(found[0].decode("utf-8", "replace"))
            yield _Sign(kind, weight, start, snippet(text, start, end))


def _unseen(text: str, depth: int) -> Iterator[_Sign]:
    """Characters that nobody sees, and what they spell."""
    for kind, place, evidence in unseen_in(text):
        if kind not in _UNSEEN:
            continue
        yield _Sign("invisible", _UNSEEN[kind], place, evidence)
        if depth < _DEEPEST and kind in ("tags", "selectors"):
            spelt = untagged(text) if kind == "tags" else unselected(text)
            yield from _within("hidden", HIDING, place, spelt, depth)


def _within(kind: str, weight: float, place: int, part: str, depth: int, what: str = "") -> Iterator[_Sign]:
    """A part that holds instructions: as much as these, and more for where they stand."""
    inner = _strongest(_signs(part, depth + 1)) if len(part) >= SHORTEST else ()
    if inner:
        best = max(inner, key=lambda sign: sign.weight)
        yield _Sign(kind, 1.0 - (1.0 - weight) * (1.0 - best.weight), place, f"{what}{best.evidence}"[:96])


@lru_cache(maxsize=1)
def _patterns() -> Patterns:
    return Patterns([signal.pattern for signal in SIGNALS])
