"""Agents that change one text at the same time, through real gateways: ``benchmarks.coherence`` prints what is lost.

Each agent reads the text, thinks for a moment, and writes it with one more: a single number that all count up, or a
number in a line of its own. It reads again where it is refused. The tool takes a moment for each request.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.harness.gateway import Gateway
from tests.e2e.harness.notes import Notes
from tests.stores.redis_server import RedisServer

AGENTS, TIMES = 8, 25
THINKS = 0.002
"""Seconds that an agent thinks, and that the tool takes for a request."""
OFTEN = 400
"""Times that an agent is refused before something must be wrong."""


@dataclass(frozen=True)
class Race:
    """``memory`` is what the tool's section says beside reads and writes; None: it has none. ``lines``: each agent has
    a line of its own. ``replicas`` share a Redis where ``shared``."""

    name: str
    memory: dict[str, str] | None = None
    lines: bool = False
    tags: bool = False
    replicas: int = 1
    shared: bool = False

    @property
    def text(self) -> str:
        """What all begin with."""
        return "\n\n".join(f"agent {number} has done 0" for number in range(AGENTS)) if self.lines else "0"

    def tool(self, port: int) -> dict[str, Any]:
        """Its configuration."""
        tool: dict[str, Any] = {"url": f"http://127.0.0.1:{port}"}
        if self.memory is None:
            return tool
        write = {"operations": ["PUT /notes/{id}"], "key": "args.id", "value": "args.text"}
        if self.tags:
            write["condition"] = "if-match"
        read = {"operations": ["GET /notes/{id}"], "key": "args.id", "value": "result.text"}
        return {**tool, "memory": {"reads": [read], "writes": [write], **self.memory}}


@dataclass(frozen=True)
class Finish:
    """How it ended. ``counted``: what the text says; ``refused``: writes that had to be made again."""

    acknowledged: int
    counted: int
    refused: int
    seconds: float


class Agent(threading.Thread):
    """One agent with one run, on one connection."""

    def __init__(self, number: int, gateway: Gateway, race: Race, begin: threading.Barrier) -> None:
        super().__init__(daemon=True)
        self._http = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
        self._mark = f"agent {number} has done " if race.lines else ""
        self._fields = {"x-agent-id": f"agent-{number}", "x-run-id": f"run-{number}"}
        self._begin, self._chance = begin, random.Random(number)
        self.acknowledged = self.refused = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Change it so often."""
        try:
            self._begin.wait()
            for _ in range(TIMES):
                self._change()
            self.acknowledged = TIMES
        except BaseException as error:
            self.failure = error
        finally:
            self._http.close()

    def _change(self) -> None:
        for _ in range(OFTEN):
            text = self._ask("GET")[1]["text"]
            time.sleep(self._chance.uniform(0, 2 * THINKS))
            status, told = self._ask("PUT", self._one_more(text))
            if status == 200:
                return
            if status not in (412, 428):
                raise SystemExit(f"an agent was told {status}: {told}")
            self.refused += 1
        raise SystemExit(f"an agent was refused {OFTEN} times one after the other: {told}")

    def _one_more(self, text: str) -> str:
        return re.sub(f"(?m)^{self._mark}(\\d+)$", lambda found: f"{self._mark}{int(found[1]) + 1}", text)

    def _ask(self, method: str, text: str | None = None) -> tuple[int, Any]:
        body = None if text is None else json.dumps({"text": text})
        self._http.request(method, "/notes/notes/all", body, {**self._fields, "content-type": "application/json"})
        answer = self._http.getresponse()
        return answer.status, json.loads(answer.read())


def run(race: Race, folder: Path) -> Finish:
    """The race, from the first read to the last write.

    Raises:
        SystemExit: an agent was told what it should not be told, or never got its turn.
    """
    with ExitStack() as stack:
        notes = Notes(tags=race.tags)
        stack.callback(notes.close)
        notes.before = lambda method, path: time.sleep(THINKS)
        notes.put("all", race.text)
        state = "memory:"
        if race.shared:
            server = RedisServer()
            stack.callback(server.stop)
            state = server.url
        gateways = []
        for number in range(race.replicas):
            identify = [{"header": "x-agent-id"}]
            gateway = Gateway(folder / f"{number}", {"notes": race.tool(notes.port)}, state=state, identify=identify)
            stack.callback(gateway.stop)
            gateways.append(gateway.start())
        return _finished(race, notes, gateways)


def _finished(race: Race, notes: Notes, gateways: Sequence[Gateway]) -> Finish:
    begin = threading.Barrier(AGENTS + 1)
    agents = [Agent(number, gateways[number % len(gateways)], race, begin) for number in range(AGENTS)]
    for agent in agents:
        agent.start()
    begin.wait()
    began = time.monotonic()
    for agent in agents:
        agent.join()
    seconds = time.monotonic() - began
    for agent in agents:
        if agent.failure is not None:
            raise agent.failure
    counted = sum(int(number) for number in re.findall(r"(?m)(\d+)$", notes.texts["all"]))
    acknowledged, refused = sum(agent.acknowledged for agent in agents), sum(agent.refused for agent in agents)
    return Finish(acknowledged, counted, refused, seconds)
