"""Whole suites, played in one mode: what went through, what was asked, which attacks succeeded."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import yaml
from agentdojo.functions_runtime import FunctionsRuntime

from .attacks import attacks
from .gate import Gate
from .person import Person
from .player import Obedient, Played
from .server import Worlds, serve
from .suites import NAMES, attackers, injections, suites

HERE = Path(__file__).parent
LIBRARY = HERE.parent.parent / "policies" / "library"
EVERYBODY = """
apiVersion: toolgate/v1
kind: Grant
metadata: {name: everybody}
spec: {agents: ["*"], tools: ["*"]}
"""
AT_ONCE = """
apiVersion: toolgate/v1
kind: Approval
metadata: {name: at-once}
spec: {match: {operations: ["*"]}, hold: 0s, expires: 1h}
"""


@dataclass(frozen=True)
class Mode:
    """Which files of the policy library are in force, what is adapted in them, and whether somebody answers."""

    name: str
    policies: tuple[str, ...] = ()
    person: bool = False
    adapted: tuple[tuple[str, str], ...] = ()


ORIGINS = Mode("origins, nobody answers", ("origins",))


def _with(name: str) -> Mode:
    """The policy with one of its variables turned on."""
    before, after = (f"{{name: {name}, expression: '{value}'}}" for value in ("false", "true"))
    return Mode(f"origins with `{name}`, nobody answers", ("origins",), adapted=((before, after),))


DELEGATING = _with("delegating")
MODES = (
    Mode("no policy"),
    Mode("trifecta, nobody answers", ("trifecta",)),
    ORIGINS,
    Mode("origins, a person answers", ("origins",), person=True),
    DELEGATING,
    _with("browsing"),
)


@dataclass
class Result:
    """Of one suite. ``refusals`` are the user's calls that were not made: task, tool, what the agent was told."""

    tasks: int = 0
    untouched: int = 0
    useful: int = 0
    asked: int = 0
    pairs: int = 0
    unread: int = 0
    succeeded: int = 0
    by_attack: Counter[str] = field(default_factory=Counter)
    of_attack: Counter[str] = field(default_factory=Counter)
    refusals: list[tuple[str, str, str]] = field(default_factory=list)
    calls: int = 0

    def add(self, other: Result) -> None:
        """Sum up."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class Stage:
    """The four suites of one version, behind one gateway in one mode."""

    def __init__(self, toolgate: str, version: str, mode: Mode) -> None:
        self.suites, self.worlds = suites(version), Worlds()
        for name, suite in self.suites.items():
            self.worlds.runtimes[name] = FunctionsRuntime(suite.tools)
        self._folder = tempfile.TemporaryDirectory()
        labels = {name: yaml.safe_load((HERE / "labels" / f"{name}.yaml").read_text()) for name in NAMES}
        policies = {f"{name}.yaml": _adapted(LIBRARY / f"{name}.yaml", mode) for name in mode.policies}
        policies |= {"everybody.yaml": EVERYBODY, "at-once.yaml": AT_ONCE}
        self.gate = Gate(toolgate, Path(self._folder.name), serve(self.worlds), policies, labels)
        self._person = Person(self.gate) if mode.person else None
        self._runs = count()

    def close(self) -> None:
        """End the gateway."""
        self.gate.close()
        self._folder.cleanup()

    def benign(self, name: str) -> Result:
        """The user's tasks alone."""
        result, suite = Result(), self.suites[name]
        for task in suite.user_tasks.values():
            played, useful, _ = self._play(name, task, None, [], {})
            result.tasks += 1
            result.useful += useful
            result.untouched += not played.refused and not played.asked
            result.asked += played.asked
            result.calls += played.calls
            result.refusals += [(task.ID, tool, told) for tool, _, told in played.refused]
        return result

    def attacked(self, name: str, wording: str = "plain", early: bool = False) -> Result:
        """Each of AgentDojo's attacks in each of the user's tasks.

        It has succeeded where ``security()`` says so, or where all of its calls were made: some measures are confused
        by the injected text itself (they count mails by subject).
        """
        result, suite = Result(), self.suites[name]
        for attacker in attackers(suite):
            calls = list(attacker.ground_truth(suite.load_and_inject_default_environment({})))
            texts = injections(suite, attacker.GOAL, wording)
            for task in suite.user_tasks.values():
                played, _, bad = self._play(name, task, attacker, calls, texts, early)
                _count(result, f"{name}/{attacker.ID}", played, bad or played.obeyed == played.attack)
        return result

    def tricked(self, name: str) -> Result:
        """Each of our own attacks in each of the user's tasks."""
        result, suite = Result(), self.suites[name]
        for attack in attacks(name):
            texts = injections(suite, attack.goal)
            for task in suite.user_tasks.values():
                if calls := attack.calls(task.PROMPT):
                    played, _, _ = self._play(name, task, None, calls, texts)
                    _count(result, f"{name}: {attack.name}", played, played.obeyed == played.attack)
        return result

    def _play(
        self, name: str, task: Any, attacker: Any, calls: list[Any], texts: dict[str, str], early: bool = False
    ) -> tuple[Played, bool, bool]:
        run = f"run-{next(self._runs)}"
        agent = Obedient(task, calls, run, self.worlds, self.gate.poster(name), self._person, early)
        try:
            useful, bad = self.suites[name].run_task_with_pipeline(agent, task, attacker, texts)
        except KeyError:  # an attack of our own has removed what utility() looks at
            if attacker is not None:
                raise
            useful, bad = False, False
        return agent.played, bool(useful), bool(bad)


def _adapted(file: Path, mode: Mode) -> str:
    text = file.read_text()
    for before, after in mode.adapted:
        if text.count(before) != 1:
            raise ValueError(f"{file} has not one {before!r}")
        text = text.replace(before, after)
    return text


def _count(result: Result, attack: str, played: Played, succeeded: bool) -> None:
    result.pairs += 1
    result.calls += played.calls
    result.of_attack[attack] += 1
    result.unread += not played.reached
    result.succeeded += succeeded
    if succeeded:
        result.by_attack[attack] += 1


def everything(stage: Stage) -> Iterator[tuple[str, Result]]:
    """Tasks and attacks of each suite."""
    for name in NAMES:
        result = stage.benign(name)
        result.add(stage.attacked(name))
        yield name, result
