"""Calls to MCP servers and LLM APIs, performed by the pipeline, are decided again as they were."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from gateway.config.case_schema import AnswerPart, Tokens
from gateway.config.described import Described
from gateway.config.load import Loaded
from gateway.model import Trace
from gateway.rehearse.perform import Performance
from gateway.rehearse.stage import Stage
from gateway.stores.circuits import SPREAD
from tests.rehearse.test_replay import EPOCH, kind, log_of, named, replayed, version

CONFIG = """
tools:
  notes: {url: "http://notes.test", protocol: mcp, limits: {concurrency: 1}}
  gpt: {url: "http://gpt.test", protocol: openai, prices: {models: {"small*": {input: 100000, output: 0}}}}
"""
POLICIES = """
apiVersion: toolgate/v1
kind: Grant
metadata: {name: reading}
spec: {agents: ["*"], tools: [notes], operations: [read, "resources/read *"]}
---
apiVersion: toolgate/v1
kind: Grant
metadata: {name: writing}
spec: {agents: [writer], tools: ["*"]}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: notes}
spec:
  match: {tools: [notes]}
  rules:
    - {name: long, when: "mcp.name == 'write' && size(args.text) > 15", then: deny}
    - {name: secret, when: "mcp.uri.startsWith('notes://secret')", then: deny}
    - {name: often, when: "tool.destructive && args.all == true", then: approve}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: models}
spec:
  match: {tools: [gpt]}
  rules:
    - {name: many, when: "args.n > 2", then: deny}
    - {name: dear, when: "run.cost_usd > 1.0", then: deny}
---
apiVersion: toolgate/v1
kind: Cap
metadata: {name: small}
spec: {match: {tools: [gpt]}, models: ["small*"]}
---
apiVersion: toolgate/v1
kind: Breaker
metadata: {name: notes}
spec: {match: {tools: [notes]}, failures: 3, rate: 0, open: 10s, result_errors: true}
"""


def performed(loaded: Loaded) -> list[Trace]:
    chance = random.Random(7)
    play = Performance(Stage(loaded, EPOCH, spread=SPREAD))
    acts = []
    for at in range(600):
        agent = chance.choice(["reader", "writer", "writer"])
        more: dict[str, Any] = {"agent": agent, "run": f"r-{at // 40}"}
        if chance.random() < 0.6:
            operation = chance.choice(["read", "write", "resources/read notes://secret/1", "tools/list", "initialize"])
            args = {"text": "x" * chance.randrange(30), "all": chance.random() < 0.2}
            described = Described(tool="notes", path="/mcp", operation=operation, args=args, **more)
            answer = AnswerPart(result={"content": []}, isError=chance.random() < 0.6, after=chance.choice([0.1, 6.0]))
        else:
            model = chance.choice(["small-1", "small-2", "large"])
            args = {"model": model, "messages": [{"role": "user", "content": "s3cret"}], "n": chance.randrange(4)}
            path = "/v1/chat/completions"
            described = Described(tool="gpt", method="POST", path=path, args=args, **more)
            answer = AnswerPart(usage=Tokens(input_tokens=2, output_tokens=1), after=0.5)
        acts.append(play.begin(described, answer, float(at)))
    play.until()
    return [act.trace for act in acts if act.trace is not None]


def test_the_same_policies_change_nothing(tmp_path: Path) -> None:
    loaded = version(tmp_path / "old", POLICIES, CONFIG)
    traces = performed(loaded)
    log = log_of(traces)
    assert b"s3cret" not in log
    report = replayed(log, loaded)
    assert (report["same"], report["changes"], report["unknowns"]) == (600, [], [])
    reasons = {json.loads(line)["rule"] for line in log.splitlines()}
    assert reasons >= {
        "notes/long", "notes/secret", "notes/often", "models/many", "models/dear", "cap/small", "breaker/notes",
        "grants", "concurrency",
    }  # fmt: skip


def test_a_planted_change_is_named_exactly(tmp_path: Path) -> None:
    old = version(tmp_path / "old", POLICIES, CONFIG)
    new = version(
        tmp_path / "new", POLICIES.replace("args.n > 2", "args.n > 1").replace('["small*"]', '["small-1"]'), CONFIG
    )
    before, after = performed(old), performed(new)
    truth = {was.id: (kind(was), kind(now)) for was, now in zip(before, after, strict=True) if kind(was) != kind(now)}
    assert ("allow", "deny") in truth.values()
    found = replayed(log_of(before), new)
    # A run that costs less than it did stops later: what those calls would have cost, nobody knows.
    assert {group["why"] for group in found["unknowns"]} <= {"not in the record: run.cost_usd"}
    unknown = {one["call"] for group in found["unknowns"] for one in group["examples"]}
    assert named(found) == {call: what for call, what in truth.items() if call not in unknown}
