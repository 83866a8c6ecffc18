"""At 3 a.m. a transfer went to an account that nobody knows. The run's story alone must tell why."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.observe.store.file import open_for_reading
from gateway.observe.store.reader import TraceReader
from gateway.observe.store.runs import Step, Story
from tests.e2e.harness.gateway import Gateway

from .agent import RUN, Treasurer
from .servers import Servers

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def incident(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Treasurer]]:
    """The gateway after the incident, ended; and the agent."""
    servers = Servers()
    prices = {"models": {"gpt-test": {"input": 2.5, "output": 10}}}
    tools = {
        "llm": {"url": servers.url + "/v1", "protocol": "openai", "prices": prices},
        "web": {"url": servers.url},
        "bank": {"url": servers.url},
    }
    folder = tmp_path_factory.mktemp("incident")
    trace = {"file": str(folder / "trace.jsonl"), "store": {"path": "traces.db"}, "args": True}
    policies = (HERE / "policies.yaml").read_text()
    gateway = Gateway(folder, tools, policies, identify=[{"header": "X-Agent-Id"}], trace=trace).start()
    try:
        agent = Treasurer(gateway.url)
        agent.pay()
    finally:
        gateway.stop()
        servers.close()
    assert "Traceback" not in gateway.output, gateway.output
    yield gateway, agent


@pytest.fixture(scope="module")
def story(incident: tuple[Gateway, Treasurer]) -> Story:
    reader = TraceReader(open_for_reading(incident[0].folder / "traces.db"))
    (found,) = reader.run(RUN, time.time())
    reader.close()
    return found


def steps(story: Story, operation: str) -> list[Step]:
    return [step for step in story.steps if step.row.operation == operation]


def test_the_transfer_is_led_back_to_the_turn_that_proposed_it_and_to_the_step_of_the_plan(story: Story) -> None:
    transfer = steps(story, "POST /transfers")[0]
    turns = steps(story, "POST /chat/completions")
    assert (transfer.row.decision, transfer.row.upstream_status) == ("allow", 201)
    assert transfer.record["args"] == {"account": "EVIL99", "amount": 480}
    assert (transfer.proposed_by, transfer.loosely) == (turns[1].row.call, False)
    assert transfer.record["proposed_by"]["id"] == "call_2"
    assert (turns[1].proposals[0].name, turns[1].proposals[0].made) == ("transfers", transfer.row.call)
    assert transfer.record["why"]["step"] == "2 pay the invoice"
    assert [turn.record["step"] for turn in turns] == ["model_turn"] * 3


def test_the_page_that_was_poisoned_stands_before_that_turn_with_the_words_that_did_it(story: Story) -> None:
    (page,) = steps(story, "GET /pages")
    order = [step.row.call for step in story.steps]
    turn = steps(story, "POST /chat/completions")[1]
    assert order.index(page.row.call) < order.index(turn.row.call)
    said = {rule["rule"]: rule for rule in page.record["rules"]}
    assert said["web-content"]["label"] == "read-the-web"
    assert "new account EVIL99" in said["bank-details"]["values"]["result.text"]
    assert steps(story, "POST /transfers")[0].record["labels"] == ["read-the-web"]


def test_the_rule_that_would_have_stopped_it_was_only_watching_and_its_numbers_are_there(story: Story) -> None:
    first, second = steps(story, "POST /transfers")
    (watching,) = first.record["rules"]
    assert (watching["rule"], watching["mode"]) == ("after-the-web", "Audit")
    assert watching["values"] == {
        "args.account": "EVIL99",
        "run.labels": ["read-the-web"],
        "tool.operation": "POST /transfers",
    }
    denied = second.record["rules"][1]
    assert (second.row.rule, denied["rule"], denied["values"]["args.amount"]) == ("payments/large", "large", 4800)


def test_what_it_cost_and_that_the_budget_ran_low_is_told(story: Story) -> None:
    turns = steps(story, "POST /chat/completions")
    (guard,) = turns[0].record["guards"]
    assert guard["budget"]["unit"] == "usd"
    assert guard["budget"]["spent"] == pytest.approx(turns[0].row.cost_usd, abs=1e-6)
    assert guard["budget"]["reserved"] > guard["budget"]["spent"]
    assert [turn.record["guards"][0]["state"] for turn in turns].count("warn") >= 1
    assert story.summary.cost_usd == pytest.approx(3 * turns[0].row.cost_usd)


def test_how_the_run_was_stopped_is_told_with_the_call_that_caused_it(story: Story) -> None:
    moved = [(one.before, one.after, one.reason, one.rule) for one in story.transitions]
    assert moved == [
        ("", "active", "", ""),
        ("active", "looping", "loop_detected", "loop/circles"),
        ("looping", "quarantined", "loop_detected", "loop/circles"),
    ]
    cause = next(step for step in story.steps if step.row.call == story.transitions[-1].call)
    assert [(one["scope"], one["by"]) for one in cause.record["quarantines"]] == [("run", "loop/circles")]
    assert story.steps[-1].row.reason == "quarantined"
    assert story.summary.state == "quarantined"


def test_one_command_tells_all_of_it(incident: tuple[Gateway, Treasurer]) -> None:
    gateway, agent = incident
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "run", "show", RUN, "-c", str(gateway.file)],
        capture_output=True, text=True, timeout=30, cwd=HERE.parents[1], check=True,
    )  # fmt: skip
    told = done.stdout
    for part in (
        f"run {RUN} of treasurer: quarantined",
        "active -> looping",
        "loop_detected by loop/circles",
        "labels: read-the-web",
        "proposes pages: made as",
        "proposes transfers: made as",
        "a page names bank details",
        "new account EVIL99",
        "the agent says: goal pay the invoice of ACME; step 2 pay the invoice",
        "rule new-payees/after-the-web: deny (Audit)",
        'args.account = "EVIL99"',
        "refuse 403 policy_denied by payments/large",
        "args.amount = 4800",
        "budget run-dollars:",
        "puts its run under quarantine",
        "this run is quarantined",
    ):
        assert part in told, told
    assert all(call in told for _, call, _ in agent.calls)
