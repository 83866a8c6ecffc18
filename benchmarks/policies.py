"""What a decision costs with 1,000 policies loaded, and with the 10 that match: ``python -m benchmarks.policies``.

Both decide the same calls (understand, decide, reserve, settle; no sockets), in turns. The other 990 policies are about
other tools, other operations of the tool, and operations by globs, 330 of each. Prints medians of CPU time for a call,
and the median of the ratios of neighbouring turns.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.config.load import load
from gateway.model import Agent, Outcome, Permit, Run
from gateway.model import Request as Head
from gateway.rehearse.stage import Stage
from gateway.streets import Streets
from gateway.understand.kept import Kept
from gateway.understand.route import Router

CONFIG = """
tools:
  up: {url: "http://127.0.0.1:7001"}
  other: {url: "http://127.0.0.1:7002"}
"""
GRANT = """
apiVersion: toolgate/v1
kind: Grant
metadata: {name: everybody}
spec: {agents: ["*"], tools: ["*"]}
"""
MATCHING = 10
TURNS, CALLS = 60, 300


def policy(name: str, tool: str, operation: str, number: int) -> str:
    """A policy of one rule that is false of every call made here."""
    return f"""
apiVersion: toolgate/v1
kind: Policy
metadata: {{name: {name}}}
spec:
  match: {{tools: [{tool}], operations: ["{operation}"]}}
  rules: [{{name: it, when: 'has(args.n) && args.n == {number + 1000}', then: deny}}]
"""


def policies(others: int) -> str:
    """The ten that match, and so many more."""
    matching = [policy(f"m{number}", "up", "*", number) for number in range(MATCHING)]
    scopes = ("other", "*"), ("up", "GET /elsewhere/{}"), ("up", "POST /elsewhere/{}/*")
    more = [
        policy(f"o{number}", scopes[number % 3][0], scopes[number % 3][1].format(number), number)
        for number in range(others)
    ]
    return "---".join([GRANT, *matching, *more])


def decider(folder: Path, others: int) -> Callable[[], None]:
    """Decides ``CALLS`` calls over 50 paths under 10 + ``others`` policies."""
    (folder / "policies").mkdir(parents=True)
    (folder / "policies" / "all.yaml").write_text(policies(others), "utf-8")
    (folder / "config.yaml").write_text(CONFIG, "utf-8")
    loaded = load(folder / "config.yaml")
    stage, router = Stage(loaded), Router(loaded.tools)
    reader = Streets(loaded, Kept(), time.time).all()["up"].reader
    body = b'{"n": 1, "text": "hello"}'
    fields = ((b"Host", b"h"), (b"Content-Type", b"application/json"))
    lookup = {name.lower(): value for name, value in fields}
    heads = [Head("POST", f"/up/things/{n}", "1.1", fields, lookup, len(body), "127.0.0.1", True) for n in range(50)]
    agent, run = Agent("agent-1"), Run("r")

    def decide() -> None:
        for number in range(CALLS):
            head = heads[number % len(heads)]
            call = reader.read("c", head, router.route(head), agent, run, body)
            decision = stage.decide(call, float(number))
            if not isinstance(decision, Permit):
                raise SystemExit(f"a call that should pass was refused: {decision}")
            stage.settle(decision.call, decision, Outcome(200, 200), float(number))

    return decide


def main() -> None:
    """Measure and print."""
    with TemporaryDirectory() as folder:
        few, many = decider(Path(folder) / "few", 0), decider(Path(folder) / "many", 990)
        spent: dict[str, list[float]] = {"10": [], "1000": []}
        for turn in range(TURNS):
            pair = [("10", few), ("1000", many)]
            for name, decide in pair if turn % 2 else reversed(pair):
                began = time.process_time()
                decide()
                spent[name].append((time.process_time() - began) / CALLS * 1e6)
        ratio = statistics.median(many / few for few, many in zip(spent["10"], spent["1000"], strict=True))
        for name, times in spent.items():
            print(f"{name:>5} policies loaded: {statistics.median(times):.1f} us a call")
        print(f"ratio: {ratio:.3f}")


if __name__ == "__main__":
    main()
