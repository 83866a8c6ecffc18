"""A recorded day of calls under changed policies: a replay names exactly the calls that the pipeline decides otherwise
under them, since here it is asked: the same day is performed once under each."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from gateway.config.case_schema import AnswerPart
from gateway.config.described import Described
from gateway.config.load import Loaded, load
from gateway.config.schema_record import SECRETS
from gateway.model import Permit, Trace
from gateway.observe.keeping import Keeping, keeping
from gateway.observe.trace import line_of
from gateway.rehearse.perform import Performance
from gateway.rehearse.replay import Replay
from gateway.rehearse.stage import Stage
from gateway.rehearse.timeline import Timeline
from gateway.stores.circuits import SPREAD
from tests.rehearse.support import document

CONFIG = """
identify: [{header: x-agent-id}]
tools:
  bank: {url: "http://bank.test", operations: ["POST /transfers", "GET /accounts/{id}"]}
  flaky: {url: "http://flaky.test"}
  maps: {url: "http://maps.test", cost: 0.05}
  queue: {url: "http://queue.test"}
  narrow: {url: "http://narrow.test", limits: {concurrency: 2}}
"""
POLICIES = """
apiVersion: toolgate/v1
kind: Grant
metadata: {name: everyone}
spec: {agents: ["*"], tools: [flaky, maps, queue, narrow]}
---
apiVersion: toolgate/v1
kind: Grant
metadata: {name: clerks}
spec: {agents: ["clerk-*"], tools: [bank]}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: payments}
spec:
  match: {tools: [bank], operations: ["POST /transfers"]}
  rules:
    - {name: large, when: "double(args.amount) > 900.0", then: deny, message: too large}
    - {name: ask, when: "double(args.amount) > 700.0", then: approve}
    - {name: night, when: "request.time.getHours() < 2", then: deny}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: budget}
spec: {match: {tools: [maps]}, rules: [{name: dear, when: "run.cost_usd > 0.5", then: deny}]}
---
apiVersion: toolgate/v1
kind: Limit
metadata: {name: each}
spec: {match: {tools: [bank]}, per: [agent], rate: 10/h, burst: 4}
---
apiVersion: toolgate/v1
kind: Limit
metadata: {name: turn}
spec: {match: {tools: [queue]}, per: [tool], rate: 2/m, burst: 1, mode: wait, max_wait: 50s}
---
apiVersion: toolgate/v1
kind: Breaker
metadata: {name: flaky}
spec: {match: {tools: [flaky]}, failures: 3, rate: 60%, window: 10m, minimum: 8, open: 5m, slow: 2s, slow_rate: 50%}
"""
CALLS = 4_000
DAY = 86_400.0
EPOCH = 1_767_571_200.0
"""Midnight, UTC."""
ALL = keeping(True, SECRETS, (), 16 * 1024)


def version(folder: Path, policies: str = POLICIES, config: str = CONFIG) -> Loaded:
    folder.mkdir(exist_ok=True)
    (folder / "policies").mkdir(exist_ok=True)
    (folder / "policies" / "all.yaml").write_text(policies)
    (folder / "toolgate.yaml").write_text(config)
    return load(folder / "toolgate.yaml")


def day() -> list[tuple[float, Described, AnswerPart]]:
    """What four agents ask for in a day, and what the tools would answer."""
    chance = random.Random(4)
    calls = []
    for at in sorted(chance.uniform(0, DAY) for _ in range(CALLS)):
        agent = f"clerk-{chance.randrange(4)}"
        tool = chance.choice(["bank", "bank", "flaky", "maps", "queue", "narrow", "narrow"])
        more: dict[str, Any] = {"path": f"/{chance.choice('abc')}"}
        if tool == "bank" and chance.random() < 0.8:
            more = {"method": "POST", "path": "/transfers", "args": {"amount": chance.randrange(1, 1000), "iban": "x"}}
        answer = AnswerPart(after=chance.choice([0.05, 0.5, 30.0 if tool == "narrow" else 3.0]))
        if tool == "flaky" and chance.random() < 0.5:
            answer = AnswerPart(status=503) if chance.random() < 0.6 else AnswerPart(fault="unreachable")
        run = f"task-{int(at // 7200)}" if chance.random() < 0.8 else ""
        calls.append((at, Described(agent=agent, tool=tool, run=run, **more), answer))
    return calls


def performed(loaded: Loaded) -> list[Trace]:
    """The day under one version of the policies, as the pipeline itself decides it."""
    play = Performance(Stage(loaded, EPOCH, spread=SPREAD))
    acts = [play.begin(described, answer, at) for at, described, answer in day()]
    play.until()
    traces = [act.trace for act in acts if act.trace is not None]
    assert len(traces) == CALLS
    return traces


def log_of(traces: list[Trace], settings: Keeping = ALL) -> bytes:
    """The log that the process would have written: in the order in which the calls ended."""
    return b"".join(line_of(trace, settings) for trace in sorted(traces, key=lambda one: one.ended))


def replayed(log: bytes, after: Loaded, **options: Any) -> dict[str, Any]:
    timeline = Timeline([log])
    run = Replay(after, timeline.epoch, examples=CALLS, **options)
    for at, line in timeline:
        run.feed(at, line)
    run.finish()
    return run.report()


def named(report: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """What each changed call comes to, and by which rule."""
    return {one["call"]: (group["before"], group["change"]) for group in report["changes"] for one in group["examples"]}


def kind(trace: Trace) -> str:
    if isinstance(trace.decision, Permit):
        return "allow"
    assert trace.decision is not None
    return "approve" if trace.decision.reason == "approval_required" else "deny"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Loaded, list[Trace]]:
    loaded = version(tmp_path_factory.mktemp("old"))
    return loaded, performed(loaded)


def test_the_same_policies_change_nothing(recorded: tuple[Loaded, list[Trace]]) -> None:
    loaded, traces = recorded
    report = replayed(log_of(traces), loaded)
    assert (report["same"], report["changed"], report["unknown"]) == (CALLS, 0, 0)
    assert report["refused_by_another_rule"] == 0
    rules = {trace.decision.rule for trace in traces if not isinstance(trace.decision, Permit)}
    assert rules >= {
        "payments/large", "payments/ask", "payments/night", "budget/dear", "limit/each", "limit/turn",
        "breaker/flaky", "concurrency",
    }  # fmt: skip
    assert any(trace.queued for trace in traces)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("> 900.0", "> 300.0"),
        ("> 700.0", "> 500.0"),
        ("> 700.0", "> 2000.0"),
        ("rate: 10/h, burst: 4", "rate: 5/h, burst: 2"),
        ("rate: 10/h, burst: 4", "rate: 100/h, burst: 80"),
        ('agents: ["clerk-*"]', 'agents: ["clerk-0", "clerk-1", "clerk-2"]'),
        ("max_wait: 50s", "max_wait: 20s"),
        ("getHours() < 2", "getHours() >= 22"),
        ("then: approve", "then: warn"),
    ],
)
def test_a_planted_change_is_named_exactly(
    recorded: tuple[Loaded, list[Trace]], tmp_path: Path, old: str, new: str
) -> None:
    assert POLICIES.count(old) == 1
    changed = version(tmp_path / "new", POLICIES.replace(old, new))
    before, after = recorded[1], performed(changed)
    truth = {was.id: (kind(was), kind(now)) for was, now in zip(before, after, strict=True) if kind(was) != kind(now)}
    assert truth
    log = log_of(before)
    assert named(replayed(log, changed)) == truth
    assert named(replayed(log, changed, before=recorded[0])) == truth


def test_what_is_refused_now_saves_its_cost(recorded: tuple[Loaded, list[Trace]], tmp_path: Path) -> None:
    loaded = version(tmp_path / "new", POLICIES.replace("run.cost_usd > 0.5", "run.cost_usd > 0.2"))
    report = replayed(log_of(recorded[1]), loaded)
    (group,) = report["changes"]
    assert (group["change"], group["rule"]) == ("deny", "budget/dear")
    assert report["saved_usd"] == pytest.approx(group["calls"] * 0.05)


def test_new_approvals_are_told_in_a_persons_minutes(recorded: tuple[Loaded, list[Trace]], tmp_path: Path) -> None:
    loaded = version(tmp_path / "new", POLICIES.replace("> 700.0", "> 500.0"))
    timeline = Timeline([log_of(recorded[1])])
    run = Replay(loaded, timeline.epoch)
    for at, line in timeline:
        run.feed(at, line)
    run.finish()
    report = run.report(minutes=1.5)
    assert report["newly_asked"] > 100
    assert report["approval_minutes"] == report["newly_asked"] * 1.5


def test_calls_before_a_window_fill_counters_but_are_not_told(
    recorded: tuple[Loaded, list[Trace]], tmp_path: Path
) -> None:
    loaded = version(tmp_path / "new", POLICIES.replace("burst: 4", "burst: 2"))
    log = log_of(recorded[1])
    whole, noon = replayed(log, loaded), Timeline([log]).epoch
    late = replayed(log, loaded, since=EPOCH + DAY / 2 - noon)
    times = {json.loads(line)["call"]: json.loads(line)["ts"] for line in log.splitlines()}
    assert named(late) == {call: what for call, what in named(whole).items() if times[call] >= "2026-01-05T12"}
    assert late["log"]["calls"] + late["log"]["outside"] == CALLS


def test_a_run_whose_cost_is_not_known_any_more_makes_its_calls_unknown(
    recorded: tuple[Loaded, list[Trace]], tmp_path: Path
) -> None:
    loaded = version(tmp_path / "new", POLICIES.replace("run.cost_usd > 0.5", "run.cost_usd > 0.7"))
    report = replayed(log_of(recorded[1]), loaded)
    assert {unknown["why"] for unknown in report["unknowns"]} == {"not in the record: run.cost_usd"}
    assert report["newly_allowed"] > 0
    assert any("are allowed now" in note for note in report["notes"])


def test_a_budget_without_prices_is_renewed_with_its_window(tmp_path: Path) -> None:
    policies = document("Grant", "all", "{agents: ['*'], tools: ['*']}") + document(
        "Budget", "two", "{per: [], window: hour, calls: 2}"
    )
    loaded = version(tmp_path, policies)
    play = Performance(Stage(loaded, EPOCH))
    acts = [play.begin(Described(agent="clerk-1", tool="queue"), AnswerPart(), 1000.0 * number) for number in range(10)]
    play.until()
    assert [act.trace and kind(act.trace) for act in acts].count("deny") == 4
    report = replayed(log_of([act.trace for act in acts if act.trace is not None]), loaded)
    assert named(report) == {}
