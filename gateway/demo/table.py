"""What the demo prints: each call as the agent saw it, and why, from the refusal and from the call's trace."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections import Counter
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

ALLOWED, REFUSED, THROTTLED = "ALLOWED", "REFUSED", "THROTTLED"
SHORTED, HELD, FAILED, PARTLY = "SHORT-CIRCUITED", "HELD BACK", "TOOL FAILED", "ALLOWED IN PART"
CUT, WAITING = "CUT OFF", "WAITING"
"""What can become of a call."""

_COLOURS = {
    ALLOWED: "32",
    REFUSED: "31",
    THROTTLED: "33",
    SHORTED: "35",
    HELD: "36",
    FAILED: "31;1",
    PARTLY: "33",
    CUT: "31",
    WAITING: "36",
}
_REFUSALS = {"rate_limited": THROTTLED, "circuit_open": SHORTED, "approval_pending": WAITING}
"""Those that are no last word, by their reasons."""
_WIDTH = 100
_INDENT = 19


class Seen(Struct, frozen=True):
    """One call as the agent saw it. ``problem`` is the body of a refusal, else empty; ``text`` in it is what a model
    gets to read."""

    agent: str
    call: str
    status: int
    ident: str
    problem: Mapping[str, Any] = {}
    warnings: tuple[str, ...] = ()
    note: str = ""
    retry_after: str = ""
    """The Retry-After field, in seconds."""


def outcome_of(seen: Seen, record: Mapping[str, Any]) -> str:
    """What became of the call, in one of the words above. ``record`` is its trace, or empty."""
    if seen.problem:
        return _REFUSALS.get(seen.problem["reason"], REFUSED)
    if seen.status >= 500:
        return FAILED
    if record and record["fault"] == "gateway" and not record["withheld"]:
        return CUT
    if record and record["withheld"]:
        return PARTLY
    return HELD if record and record["timings"]["queue_ms"] >= 1 else ALLOWED


def why(seen: Seen, record: Mapping[str, Any]) -> list[str]:
    """The reasons, a line each."""
    lines = _refused(seen) if seen.problem else []
    if seen.note:
        lines.append(seen.note)
    if record:
        lines += [numbers] if (numbers := _numbers(record)) else []
        lines += [f"changed in the request: {change}" for change in record["amendments"]]
        lines += [f"taken out by {withheld['rule']}: {withheld['detail']}"] if (withheld := record["withheld"]) else []
        lines += [
            f"rule {rule['policy']}/{rule['rule']} ({rule['mode']}) would {rule['verdict']}: {rule['message']}"
            for rule in record["rules"]
            if rule["mode"] == "Audit"
        ]
    return lines + [f"warned by {warning}" for warning in seen.warnings]


def _refused(seen: Seen) -> list[str]:
    problem = seen.problem
    by = f" by {problem['rule']}" if problem["rule"] else ""
    if "text" in problem:
        return [f"{problem['reason']}{by}; the model reads: {problem['text']}"]
    field = f"(Retry-After: {seen.retry_after})" if seen.retry_after else ""
    told = " ".join(part for part in (problem["advice"], field) if part)
    return [f"{problem['reason']}{by}: {problem['detail']}", *([f"told: {told}"] if told else [])]


def _numbers(record: Mapping[str, Any]) -> str:
    """What the guards said, and how long things took where the call was made."""
    timings = record["timings"]
    parts = [f"grant {record['grant']}"] if record["grant"] else []
    telling = (guard for guard in record["guards"] if guard["state"] or guard["left"])
    parts += [f"{guard['guard']}: {guard['state'] or _left(guard)}" for guard in telling]
    if timings["queue_ms"] >= 1:
        parts.append(f"held back {timings['queue_ms']:.0f} ms")
    if record["decision"] == "allow":
        parts.append(f"decided in {timings['decide_ms']:.2f} ms")
    if timings["upstream_first_byte_ms"]:
        parts.append(f"tool took {timings['upstream_first_byte_ms']:.1f} ms")
    if usage := record["usage"]:
        parts.append(f"{usage['input']} tokens read, {usage['output']} written")
    if record["cost_usd"]:
        parts.append(f"cost ${record['cost_usd']:.3f}")
    return ", ".join(parts)


def _left(guard: Mapping[str, Any]) -> str:
    if budget := guard.get("budget"):
        return f"{guard['left']:g} {budget['unit'].replace('usd', 'USD')} left"
    return f"{guard['left']:.1f}".removesuffix(".0") + " left"


def _fill(text: str, first: str, other: str) -> str:
    """The text in lines that fit, the first with the indent ``first``."""
    return textwrap.fill(text, _WIDTH, initial_indent=first, subsequent_indent=other, break_on_hyphens=False)


class Table:
    """Prints scenes and counts outcomes. Colours only on a terminal, and not where NO_COLOR is set."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._last = ""

    def say(self, text: str = "", style: str = "") -> None:
        """A line of text; ``style`` is an ANSI SGR code."""
        print(self._paint(text, style) if style else text, flush=True)

    def scene(self, title: str, about: str) -> None:
        """The head of a scene."""
        self._last = ""
        self.say()
        self.say(title, "1")
        self.say(_fill(" ".join(about.split()), "  ", "  "), "2")

    def row(self, seen: Seen, record: Mapping[str, Any]) -> str:
        """One call and why; returns what became of it. A reason that the row above gave is not repeated."""
        outcome = outcome_of(seen, record)
        self.counts[outcome] += 1
        head = f"{seen.status}  {seen.agent:<12}{seen.call}"
        first, *rest = _fill(head, " " * _INDENT, " " * (_INDENT + 17))[_INDENT:].splitlines()
        self.say(f"  {self._paint(f'{outcome:<17}', _COLOURS[outcome])}{first}")
        for line in rest:
            self.say(line)
        reasons = why(seen, record)
        reason = reasons[0] if seen.problem else ""
        repeated, self._last = reason and reason == self._last, reason
        if not repeated:
            pad = " " * _INDENT
            for line in reasons:
                self.say(_fill(line, pad, pad + "  "), "2")
        return outcome

    def summary(self) -> None:
        """How often each outcome came."""
        parts = {f"{count} {outcome.lower()}": _COLOURS[outcome] for outcome, count in self.counts.items()}
        together = [part.replace(" ", "\xa0") for part in parts]  # a count is not broken off its outcome
        text = _fill("In all: " + ", ".join(together), "", "  ").replace("\xa0", " ")
        for part, colour in parts.items():
            text = re.sub(rf"\b{part}(?=,|$)", self._paint(part, colour), text, flags=re.MULTILINE)
        self.say()
        self.say(text)

    def _paint(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._coloured else text
