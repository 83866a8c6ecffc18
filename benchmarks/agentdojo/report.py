"""The tables of docs/agentdojo.md: they stand between marks there, and are never written by hand."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .plays import Result

COLUMNS = "tasks without a question | done (`utility`) | questions a task | attacks that succeeded"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


@dataclass
class Attacked:
    """A kind of attack, and what came of it."""

    name: str
    result: Result


@dataclass
class Page:
    """All that was measured."""

    version: str
    day: str
    modes: dict[str, dict[str, Result]] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    versions: dict[str, dict[str, Result]] = field(default_factory=dict)
    attacked: list[Attacked] = field(default_factory=list)
    bare: Attacked | None = None
    delegating: Attacked | None = None
    refusals: dict[str, Result] = field(default_factory=dict)
    minutes: float = 0.0

    def main_table(self) -> str:
        """Modes by suites."""
        rows = [f"| | suite | {COLUMNS} | CPU a call |", "|---|---|---|---|---|---|---|"]
        for mode, suites in self.modes.items():
            for suite, result in [*suites.items(), ("**all**", total(suites.values()))]:
                cpu = f"{self.cpu[mode]:.0f} µs" if suite == "**all**" else ""
                rows.append(f"| {mode} | {suite} | {_row(result)} | {cpu} |")
        return "\n".join(rows)

    def version_table(self) -> str:
        """Other versions of the benchmark."""
        rows = [f"| version | {COLUMNS} |", "|---|---|---|---|---|"]
        rows += [f"| {version} | {_row(total(suites.values()))} |" for version, suites in self.versions.items()]
        return "\n".join(rows)

    def attack_table(self) -> str:
        """Other attacks."""
        rows = ["| attacks | succeeded |", "|---|---|"]
        rows += [f"| {each.name} | {_share(each.result.succeeded, each.result.pairs)} |" for each in self.attacked]
        return "\n".join(rows)

    def own_table(self) -> str:
        """Our own attacks, each by itself, beside what becomes of it without a policy."""
        if not self.attacked or self.bare is None or self.delegating is None:
            return ""
        rows = ["| attack | with `origins` | and `delegating` | without a policy |", "|---|---|---|---|"]
        guarded, left, bare = self.attacked[-1].result, self.delegating.result, self.bare.result
        for name, count in guarded.of_attack.items():
            won = " | ".join(f"{each.by_attack[name]} of {count}" for each in (guarded, left, bare))
            rows.append(f"| {name} | {won} |")
        return "\n".join(rows)

    def refusal_table(self) -> str:
        """Which tasks were interrupted, and why."""
        rows = ["| task | call | what the agent was told |", "|---|---|---|"]
        for suite, result in self.refusals.items():
            told = Counter((task, tool, _why(body)) for task, tool, body in result.refusals)
            for (task, tool, why), count in told.items():
                times = f" ({count} times)" if count > 1 else ""
                rows.append(f"| {suite} {task.removeprefix('user_task_')} | `{tool}` | {why}{times} |")
        return "\n".join(rows)

    def success_table(self) -> str:
        """Which attacks succeeded."""
        won = Counter[str]()
        tried = Counter[str]()
        for result in self.refusals.values():
            won.update(result.by_attack)
            tried.update(result.of_attack)
        rows = ["| attack | succeeded |", "|---|---|"]
        rows += [f"| {name} | {count} of {tried[name]} |" for name, count in won.most_common()]
        return "\n".join(rows)


def total(results: Iterable[Result]) -> Result:
    """Of several suites."""
    found = Result()
    for each in results:
        found.add(each)
    return found


def write(file: Path, page: Page) -> None:
    """Put the tables between the marks."""
    text = file.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    parts = [
        BEGIN,
        f"Measured on {page.day} with AgentDojo {page.version}, in {page.minutes:.0f} minutes.",
        page.main_table(),
        f"### What was asked\n\nThe calls of user tasks that waited for a person:\n\n{page.refusal_table()}",
        f"### Which attacks succeeded\n\n{page.success_table()}",
        f"### Other versions\n\nOf the benchmark, with `origins`, nobody answering:\n\n{page.version_table()}",
        f"### Other attacks\n\n{page.attack_table()}",
        f"### Attacks of our own\n\n{page.own_table()}",
        END,
    ]
    file.write_text(before + "\n\n".join(parts) + after)


def _row(result: Result) -> str:
    return " | ".join(
        [
            _share(result.untouched, result.tasks),
            _share(result.useful, result.tasks),
            f"{result.asked / max(1, result.tasks):.2f}",
            _share(result.succeeded, result.pairs),
        ]
    )


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / max(1, whole):.1f} %)"


def _why(body: str) -> str:
    try:
        told = str(json.loads(body)["detail"])
    except (ValueError, KeyError):
        return body[:80]
    return re.sub(r"\s+", " ", told.removeprefix("waiting for a person: ")).replace("|", "/")[:120]
