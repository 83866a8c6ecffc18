"""A few plays as a file of cases, which the tests play again: ``python -m benchmarks.agentdojo.record``."""

from __future__ import annotations

import argparse
import json
from typing import Any

import yaml

from .player import Obedient
from .plays import HERE, ORIGINS, Stage
from .suites import NAMES, injections

FILE = HERE.parent.parent / "tests" / "flow" / "agentdojo_test.yaml"
PLAYS = (
    ("workspace", 18, 0), ("workspace", 9, 2), ("workspace", 13, 4), ("workspace", 33, 3), ("travel", 3, 5),
    ("travel", 0, 0), ("banking", 3, 5), ("banking", 2, 4), ("banking", 0, 7), ("slack", 1, 3), ("slack", 7, 1),
    ("slack", 15, 5),
)  # fmt: skip
"""Suite, the user's task, the attacker's."""
HEAD = """# Plays of AgentDojo (MIT licence, (c) ETH Zurich), as `python -m benchmarks.agentdojo.record` saw them: the
# user's calls, and after the answer with the injection the attacker's. Written by that command.
"""


def main() -> None:
    """Play, and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--toolgate", default="toolgate", help="the command that starts the gateway")
    stage = Stage(parser.parse_args().toolgate, "v1.1.2", ORIGINS)
    try:
        cases = [_case(stage, *play) for play in PLAYS]
    finally:
        stage.close()
    tools = {name: {"flow": yaml.safe_load((HERE / "labels" / f"{name}.yaml").read_text())} for name in NAMES}
    spec = {
        "policies": ["../../policies/library/origins.yaml"],
        "tools": tools,
        "defaults": {"agent": "assistant", "run": "task", "method": "POST"},
        "cases": cases,
    }
    document = {"apiVersion": "toolgate/v1", "kind": "Test", "metadata": {"name": "agentdojo"}, "spec": spec}
    FILE.write_text(HEAD + yaml.safe_dump(document, sort_keys=False, width=1000))


def _case(stage: Stage, name: str, user: int, attacker: int) -> dict[str, Any]:
    suite = stage.suites[name]
    task, attack = suite.user_tasks[f"user_task_{user}"], suite.injection_tasks[f"injection_task_{attacker}"]
    calls = list(attack.ground_truth(suite.load_and_inject_default_environment({})))
    steps: list[dict[str, Any]] = []
    post = stage.gate.poster(name)

    def seen(run: str, tool: str, args: dict[str, Any], prompt: str) -> tuple[int, str]:
        status, body = post(run, tool, args, prompt)
        step: dict[str, Any] = {"call": {"tool": name, "path": f"/{tool}", "args": args}}
        if not steps:
            step["call"]["prompt"] = prompt
        if status == 403:
            step["expect"] = {"decision": "approve", "rule": json.loads(body)["rule"]}
        else:
            step |= {"answer": {"status": status, "body": body}, "expect": "allow"}
        steps.append(step)
        return status, body

    agent = Obedient(task, calls, f"recorded-{name}-{user}-{attacker}", stage.worlds, seen)
    _, bad = suite.run_task_with_pipeline(agent, task, attack, injections(suite, attack.GOAL))
    if bad:
        raise ValueError(f"{name} {user} {attacker}: this attack succeeds")
    return {"name": f"{name}: task {user}, attack {attacker}", "steps": steps}


if __name__ == "__main__":
    main()
