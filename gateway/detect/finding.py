"""What a detector has found, and how much of it is shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

MOST_FINDINGS = 64
"""Findings that are told of one value, those with the highest scores: a rule has a loop over them."""
_EVIDENCE = 96


class Finding(Struct, frozen=True):
    """``score`` is from 0 to 1. ``evidence`` is short, and holds nothing that must not be read. ``path`` leads to the
    text within the value, as in ``items.0.note``; it is empty where the value itself is the text."""

    kind: str
    score: float
    evidence: str
    path: str = ""


def listed(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """The findings as rules read them, the highest score first."""
    ordered = sorted(findings, key=lambda finding: -finding.score)[:MOST_FINDINGS]
    return [
        {"kind": one.kind, "score": round(one.score, 3), "evidence": one.evidence, "path": one.path} for one in ordered
    ]


def snippet(text: str, start: int, end: int) -> str:
    """What stands at a place in a text, with a little of what is around it, in visible characters on one line."""
    start, end = max(0, start - 16), min(len(text), max(end, start) + 16)
    part = text[start : min(end, start + _EVIDENCE)]
    return " ".join("".join(letter if letter.isprintable() else " " for letter in part).split())


def masked(secret: str) -> str:
    """The first letters of a secret, which tell its kind, and how long it is."""
    return f"{secret[: min(4, len(secret) // 4)]}... ({len(secret)} characters)"
