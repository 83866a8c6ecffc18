"""What the suite found, and how two runs differ.

Every check is compared with all it says of itself, since exit codes and counts hide what a proxy breaks: scenarios
that are not scored, and checks that stay green for another reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Check = Mapping[str, Any]
Results = dict[str, list[Check]]
"""Checks by scenario, in the order in which they were made."""

VOLATILE = frozenset({"date", "server", "connection", "keep-alive", "etag", "timestamp", "actualdelayms"})
"""Members (fields of a message's head mostly) that differ between two runs without a proxy too, in lower case."""
ABSENT = "(absent)"
"""Stands for a member that is not there, which is not the same as null."""
_STAMP = re.compile(r"-\d{4}-\d\d-\d\dT[\d-]+Z$")
_NOISE = (
    (re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\b(localhost|127\.0\.0\.1|\[::1\]):\d+(/everything)?"), "ORIGIN"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), "TIME"),
    (re.compile(r"(localhost|127\.0\.0\.1)%3A\d+"), "ORIGIN"),
    (re.compile(r"(?<!\d)[12]\d{12}(?!\d)"), "STAMP"),
    (re.compile(r"\bv1\.[\w-]{100,}"), "STATE"),  # the SDK seals what it lets a client keep; with a nonce
    (re.compile(r"(?<![\w.~-])([\w-]{43}|[\w.~-]{128})(?![\w.~-])"), "RANDOM"),  # OAuth's state, challenge, verifier
)
_MILLISECONDS = range(1_600_000_000_000, 2_500_000_000_000)
"""Times of day that the suite takes as ids of its requests."""


@dataclass(frozen=True)
class Difference:
    """One check that is not the same in both runs; ``ABSENT`` where it was not made at all."""

    scenario: str
    check: str
    place: str
    """Path of the member that differs, such as ``details.response.error.code``."""
    direct: Any
    through: Any

    def __str__(self) -> str:
        return f"{self.scenario} / {self.check}: {self.place}: {_short(self.direct)} -> {_short(self.through)}"


@dataclass(frozen=True)
class Explained:
    """A difference that is known, and why it is none of the protocol's. Patterns match whole names."""

    scenario: str
    check: str
    place: str
    why: str
    seen: list[Difference] = field(default_factory=list, compare=False)

    def covers(self, difference: Difference) -> bool:
        """Whether this is the difference; remembered if it is."""
        pairs = (
            (self.scenario, difference.scenario),
            (self.check, difference.check.partition("#")[0]),
            (self.place, difference.place),
        )
        if not all(re.fullmatch(pattern, text) for pattern, text in pairs):
            return False
        self.seen.append(difference)
        return True


def load(folder: Path) -> Results:
    """All ``checks.json`` under a folder that the suite wrote to."""
    found: Results = {}
    for file in sorted(folder.rglob("checks.json")):
        name = _STAMP.sub("", str(file.parent.relative_to(folder))).removeprefix("server-")
        found[name] = json.loads(file.read_text())
    return found


def count(results: Results) -> tuple[int, int]:
    """How many checks passed and failed, counted as the suite does."""
    statuses = [check["status"] for checks in results.values() for check in checks]
    return statuses.count("SUCCESS"), statuses.count("FAILURE")


def normal(value: Any) -> Any:
    """A value without what differs from run to run: ids, ports, times, and the fields named above."""
    if isinstance(value, Mapping):
        return {key: normal(item) for key, item in value.items() if key.lower() not in VOLATILE}
    if isinstance(value, list):
        return [normal(item) for item in value]
    if isinstance(value, str):
        for pattern, name in _NOISE:
            value = pattern.sub(name, value)
    if isinstance(value, int) and value in _MILLISECONDS:
        return "TIME"
    return value


def compare(direct: Results, through: Results) -> list[Difference]:
    """All members of all checks that differ; checks are paired by scenario and id."""
    differences = []
    for scenario in sorted(direct.keys() | through.keys()):
        one, other = _named(direct.get(scenario, ())), _named(through.get(scenario, ()))
        for name in [*one, *(name for name in other if name not in one)]:
            found = _differing(one.get(name, ABSENT), other.get(name, ABSENT), ())
            differences += [Difference(scenario, name, *parts) for parts in found]
    return differences


def _named(checks: Iterable[Check]) -> dict[str, Any]:
    """Checks by their id; further ones of the same id are ``id#2`` and so on.

    Those of one id are put in order by what they say: clients send some requests at the same time, so the order in
    which a server logs them is chance.
    """
    named: dict[str, Any] = {}
    for check in sorted(map(normal, checks), key=_said):
        name = base = str(check["id"])
        number = 1
        while name in named:
            number += 1
            name = f"{base}#{number}"
        named[name] = check
    return named


def _said(check: Check) -> tuple[str, str, str]:
    return str(check.get("name")), str(check.get("description")), json.dumps(check, sort_keys=True)


def _differing(one: Any, other: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any, Any]]:
    """The innermost members that differ between two values: path, and both values."""
    if one == other:
        return
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in [*one, *(key for key in other if key not in one)]:
            yield from _differing(one.get(key, ABSENT), other.get(key, ABSENT), (*path, key))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from _differing(*pair, (*path, str(number)))
    else:
        yield ".".join(path), one, other


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 160 else f"{text[:150]} ... ({len(text)})"
