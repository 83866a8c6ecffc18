"""What a run has read is asked for again before it acts on that: changes past the gateway are found, by the real
process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.stores.redis_server import RedisServer

from .harness.gateway import ALL, Gateway, call, problem_of
from .harness.http1 import Message
from .harness.notes import Notes
from .harness.upstream import Upstream

MEMORY = {
    "reads": [
        {"operations": ["GET /notes/{id}"], "key": "args.id", "value": "result.text"},
        {"operations": ["GET /notes"], "entries": "result.items", "key": "entry.id", "value": "entry.text"},
    ],
    "writes": [{"operations": ["PUT /notes/{id}", "DELETE /notes/{id}"], "key": "args.id"}],
    "revalidate": True,
}
POLICIES = f"""{ALL}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {{name: current-facts}}
spec:
  match: {{tools: [bank], operations: ["POST /transfers"]}}
  rules:
    - name: nothing-has-changed
      when: size(run.drift) > 0
      then: deny
      messageExpression: '"changed since this run read it: " + run.drift[0]'
    - name: all-of-it-is-known
      when: size(run.unverified) > 0
      then: deny
      messageExpression: '"not known: " + run.unverified[0]'
"""


@pytest.fixture(scope="module", params=["one gateway", "two that share Redis"])
def state(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where it is kept what runs have seen."""
    if request.param == "one gateway":
        yield "memory:"
        return
    server = RedisServer()
    yield server.url
    server.stop()


@pytest.fixture(scope="module")
def accounts(state: str) -> Iterator[Notes]:
    """A store with ETags, which others change past the gateway."""
    notes = Notes(tags=True)
    yield notes
    notes.close()


@pytest.fixture(scope="module")
def plain(state: str) -> Iterator[Notes]:
    """One without."""
    notes = Notes()
    yield notes
    notes.close()


@pytest.fixture(scope="module")
def gateways(
    tmp_path_factory: pytest.TempPathFactory, state: str, accounts: Notes, plain: Notes, upstream: Upstream
) -> Iterator[tuple[Gateway, Gateway]]:
    """Where is read, and where is paid."""
    store = {"url": f"http://127.0.0.1:{accounts.port}", "memory": MEMORY}
    tools = {
        "accounts": {**store, "credential": {"header": "X-Store-Key", "value": "store-key-1"}},
        "plain": {"url": f"http://127.0.0.1:{plain.port}", "memory": MEMORY},
        "bank": {"url": f"http://127.0.0.1:{upstream.port}"},
    }
    started = [
        Gateway(
            tmp_path_factory.mktemp(name), tools, POLICIES, state=state, identify=[{"header": "x-agent-id"}]
        ).start()
        for name in ("one", "other")[: 1 if state == "memory:" else 2]
    ]
    yield started[0], started[-1]
    for process in started:
        process.stop()
        assert "Traceback" not in process.output, process.output


@pytest.fixture(scope="module")
def gateway(gateways: tuple[Gateway, Gateway]) -> Gateway:
    """Where is paid."""
    return gateways[1]


class Agent:
    """One run."""

    def __init__(self, gateways: tuple[Gateway, Gateway], run: str) -> None:
        self.gateway, self.pays_at = gateways
        self.fields = [("x-agent-id", f"payer-{run}"), ("x-run-id", run)]

    def read(self, tool: str, key: str, *more: tuple[str, str]) -> Message:
        answer = call(self.gateway, "GET", f"/{tool}/notes{key}", [*self.fields, *more])
        assert answer.status in (200, 404), answer.body
        return answer

    def pay(self) -> Message:
        return call(self.pays_at, "POST", "/bank/transfers", self.fields, b"{}")


def readings(accounts: Notes, plain: Notes) -> dict[str, Callable[[Agent], object]]:
    """What each run does first, and what then happens past the gateway."""

    def credential(agent: Agent) -> None:
        agent.read("plain", "/own", ("Authorization", "Bearer of-the-agent"))

    def written(agent: Agent) -> None:
        agent.read("accounts", "/mine")
        fields = [*agent.fields, ("content-type", "application/json")]
        assert call(agent.gateway, "PUT", "/accounts/notes/mine", fields, b'{"text": "my own"}').status == 200

    return {
        "still": lambda agent: agent.read("accounts", "/still"),
        "changed": lambda agent: (agent.read("accounts", "/balance"), accounts.put("balance", "3")),
        "gone": lambda agent: (agent.read("accounts", "/gone"), accounts.texts.pop("gone")),
        "appeared": lambda agent: (agent.read("accounts", "/new"), accounts.put("new", "1")),
        "by digest": lambda agent: (agent.read("plain", "/text"), plain.put("text", "other")),
        "same digest": lambda agent: agent.read("plain", "/same"),
        "listed": lambda agent: (agent.read("plain", "?of=list"), plain.put("same", "same")),
        "own credential": credential,
        "written": written,
        "broken": lambda agent: agent.read("accounts", "/broken"),
        "many": lambda agent: [agent.read("accounts", f"/many-{number}") for number in range(18)],
    }


@pytest.fixture(scope="module")
def runs(gateways: tuple[Gateway, Gateway], accounts: Notes, plain: Notes) -> dict[str, Agent]:
    """Runs that have read what has changed since, or has not. More than a second ago: what was read just now is not
    asked for again."""
    for key in ("still", "balance", "gone", "mine", "broken", *[f"many-{n}" for n in range(18)]):
        accounts.put(key, "1")
    for key in ("text", "same", "own"):
        plain.put(key, "1")
    runs = {}
    for name, does in readings(accounts, plain).items():
        runs[name] = Agent(gateways, name.replace(" ", "-"))
        does(runs[name])
    time.sleep(1.1)
    return runs


def changed(answer: Message, name: str) -> None:
    problem = problem_of(answer, "policy_denied", 403)
    assert problem["detail"] == f"changed since this run read it: {name}"


def again(gateway: Gateway, answer: Message) -> dict[str, str]:
    """What its record says was asked for again."""
    record: dict[str, Any] = gateway.trace(answer.get("x-toolgate-call"))
    assert record["step"] == "tool_call"
    assert all(one["does"] == "revalidate" for one in record["memory"])
    return {one["key"]: one["came_of"] for one in record["memory"]}


def test_what_still_stands_is_verified_by_a_conditional_get(
    runs: dict[str, Agent], gateway: Gateway, accounts: Notes
) -> None:
    paid = runs["still"].pay()
    assert paid.status == 200
    assert again(gateway, paid) == {"still": "verified"}
    method, _, fields = [each for each in accounts.heard if each[1].endswith("/still")][-1]
    assert (method, fields["if-none-match"], fields["x-store-key"]) == ("GET", '"1"', "store-key-1")


def test_nothing_is_paid_on_a_balance_that_was_changed_past_the_gateway(
    runs: dict[str, Agent], gateway: Gateway
) -> None:
    refused = runs["changed"].pay()
    changed(refused, "accounts/balance")
    assert again(gateway, refused) == {"balance": "changed"}
    assert gateway.trace(refused.get("x-toolgate-call"))["drift"] == ["accounts/balance"]
    changed(runs["changed"].pay(), "accounts/balance")
    assert runs["changed"].read("accounts", "/balance").json()["text"] == "3"
    assert runs["changed"].pay().status == 200


@pytest.mark.parametrize(
    ("run", "name"), [("gone", "accounts/gone"), ("appeared", "accounts/new"), ("by digest", "plain/text")]
)
def test_what_is_gone_or_has_come_or_has_no_versions_has_changed_too(
    runs: dict[str, Agent], run: str, name: str
) -> None:
    changed(runs[run].pay(), name)


def test_without_versions_all_of_it_is_read_again(runs: dict[str, Agent], gateway: Gateway, plain: Notes) -> None:
    changed(runs["same digest"].pay(), "plain/same")
    refused = runs["listed"].pay()
    assert "plain/same" in gateway.trace(refused.get("x-toolgate-call"))["drift"]
    assert [path for _, path, _ in plain.heard if "of=list" in path] == ["/notes?of=list"] * 2


def test_what_was_read_with_a_credential_of_the_agent_cannot_be_asked_for(
    runs: dict[str, Agent], gateway: Gateway, plain: Notes
) -> None:
    asked = len(plain.heard)
    refused = runs["own credential"].pay()
    assert problem_of(refused, "policy_denied", 403)["detail"] == "not known: plain/own"
    assert again(gateway, refused) == {"own": "unverified"}
    assert len(plain.heard) == asked


def test_what_the_run_has_written_itself_is_asked_for_too(
    runs: dict[str, Agent], gateway: Gateway, accounts: Notes
) -> None:
    paid = runs["written"].pay()
    assert paid.status == 200
    assert again(gateway, paid) == {"mine": "verified"}


def test_a_store_that_fails_leaves_it_to_the_rule(runs: dict[str, Agent], accounts: Notes) -> None:
    accounts.fail["GET"] = 503
    refused = runs["broken"].pay()
    assert problem_of(refused, "policy_denied", 403)["detail"] == "not known: accounts/broken"
    assert runs["broken"].pay().status == 200


def test_so_many_are_asked_for_at_once_and_the_rest_is_not_known(runs: dict[str, Agent], gateway: Gateway) -> None:
    refused = runs["many"].pay()
    problem_of(refused, "policy_denied", 403)
    assert list(again(gateway, refused).values()) == ["verified"] * 16 + ["unverified"] * 2


def test_other_calls_ask_for_nothing(runs: dict[str, Agent], gateway: Gateway, accounts: Notes) -> None:
    asked = len(accounts.heard)
    answer = call(gateway, "GET", "/bank/balance", runs["many"].fields)
    assert answer.status == 200
    assert len(accounts.heard) == asked
    assert gateway.trace(answer.get("x-toolgate-call"))["memory"] == []
