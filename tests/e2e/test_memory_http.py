"""A plain HTTP tool that is a memory: nobody overwrites what he has not seen, through the real process."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .harness.gateway import ALL, Gateway, call, problem_of
from .harness.http1 import Message
from .harness.net import PATIENCE, eventually
from .harness.notes import Notes

NOTES = {
    "reads": [
        {"operations": ["GET /notes/{id}"], "key": "args.id", "value": "result.text"},
        {"operations": ["GET /notes"], "entries": "result.items", "key": "entry.id", "partial": True},
    ],
    "writes": [
        {"operations": ["PUT /notes/{id}", "DELETE /notes/{id}"], "key": "args.id"},
        {"operations": ["POST /notes"], "key": "result.id"},
    ],
}
HEEDED = {**NOTES, "writes": [{**NOTES["writes"][0], "condition": "if-match"}, NOTES["writes"][1]]}


@pytest.fixture(scope="module")
def naive() -> Iterator[Notes]:
    notes = Notes()
    yield notes
    notes.close()


@pytest.fixture(scope="module")
def heeding() -> Iterator[Notes]:
    notes = Notes(tags=True)
    yield notes
    notes.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, naive: Notes, heeding: Notes) -> Iterator[Gateway]:
    """The naive tool as a memory and as it is, and one that heeds conditions."""
    url = f"http://127.0.0.1:{naive.port}"
    process = Gateway(
        tmp_path_factory.mktemp("memory"),
        {
            "notes": {"url": url, "memory": NOTES},
            "plain": {"url": url},
            "heeding": {"url": f"http://127.0.0.1:{heeding.port}", "memory": HEEDED},
        },
        identify=[{"header": "x-agent-id"}],
    ).start()
    yield process
    process.stop()
    assert "Traceback" not in process.output, process.output


class Agent:
    """One agent with one run."""

    def __init__(self, gateway: Gateway, name: str, tool: str = "notes", run: str = "") -> None:
        self.gateway, self.tool = gateway, tool
        self.fields = [("x-agent-id", name), ("x-run-id", run or f"run-{name}")]

    def read(self, key: str, *more: tuple[str, str], method: str = "GET") -> Message:
        return call(self.gateway, method, f"/{self.tool}/notes/{key}", [*self.fields, *more])

    def text(self, key: str) -> str:
        answer = self.read(key)
        assert answer.status == 200, answer.body
        found: str = answer.json()["text"]
        return found

    def write(self, key: str, text: str, *more: tuple[str, str]) -> Message:
        body = json.dumps({"text": text}).encode()
        kind = ("content-type", "application/json")
        return call(self.gateway, "PUT", f"/{self.tool}/notes/{key}", [*self.fields, kind, *more], body)

    def delete(self, key: str) -> Message:
        return call(self.gateway, "DELETE", f"/{self.tool}/notes/{key}", self.fields)


@pytest.fixture
def agents(gateway: Gateway, request: pytest.FixtureRequest) -> Callable[..., Agent]:
    """Agents of this test, with names and runs of their own."""

    def make(name: str, tool: str = "notes") -> Agent:
        return Agent(gateway, f"{name}-{request.node.name}"[:60], tool)

    return make


def count_up(agent: Agent, times: int) -> None:
    """Add one, so often; what is refused is read again. On one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", agent.gateway.port, timeout=PATIENCE)

    def ask(method: str, body: bytes | None = None) -> tuple[int, Any]:
        fields = {**dict(agent.fields), "content-type": "application/json"}
        connection.request(method, f"/{agent.tool}/notes/counter", body, fields)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    for _ in range(times):
        for _ in range(500):
            seen = int(ask("GET")[1]["text"])
            status, told = ask("PUT", json.dumps({"text": str(seen + 1)}).encode())
            if status == 200:
                break
            assert status == 412, told
        else:
            raise AssertionError("it never came to its turn")
    connection.close()


def together(agents: list[Agent], times: int) -> None:
    """All of them at once; what fails in one fails here."""
    failed: list[BaseException] = []

    def count(agent: Agent) -> None:
        try:
            count_up(agent, times)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=count, args=(agent,)) for agent in agents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed


def test_six_agents_that_count_through_a_naive_tool_come_to_the_right_sum(
    agents: Callable[..., Agent], naive: Notes
) -> None:
    naive.put("counter", "0")
    together([agents(f"counts{number}") for number in range(6)], 20)
    assert naive.texts["counter"] == "120"


def test_without_a_memory_an_update_is_lost(agents: Callable[..., Agent], naive: Notes) -> None:
    """The same tool, undeclared: both read before either writes."""
    naive.put("counter", "0")
    one, other = agents("one", "plain"), agents("other", "plain")
    seen = [int(agent.text("counter")) for agent in (one, other)]
    assert [agent.write("counter", str(value + 1)).status for agent, value in zip((one, other), seen, strict=True)] == [
        200,
        200,
    ]
    assert naive.texts["counter"] == "1"


def test_a_stale_write_is_refused_with_what_changed_and_by_whom(agents: Callable[..., Agent], naive: Notes) -> None:
    naive.put("plan", "buy milk\n")
    first, second = agents("first"), agents("second")
    assert first.text("plan") == second.text("plan") == "buy milk\n"
    assert first.write("plan", "buy milk\nand bread\n").status == 200
    problem = problem_of(second.write("plan", "buy beer\n"), "memory_stale", 412)
    assert first.fields[0][1] in problem["detail"]
    assert naive.texts["plan"] == "buy milk\nand bread\n"
    assert second.text("plan") == "buy milk\nand bread\n"
    assert second.write("plan", "buy beer\n").status == 200


def test_a_run_writes_on_what_it_has_written_itself(agents: Callable[..., Agent], naive: Notes) -> None:
    naive.put("own", "1")
    agent = agents("writer")
    agent.text("own")
    assert [agent.write("own", str(number)).status for number in range(2, 5)] == [200, 200, 200]


def test_what_a_run_has_not_read_it_does_not_write(agents: Callable[..., Agent], naive: Notes) -> None:
    naive.put("unread", "old")
    agent = agents("blind")
    problem_of(agent.write("unread", "new"), "memory_unread", 428)
    problem_of(agent.delete("unread"), "memory_unread", 428)
    assert naive.texts["unread"] == "old"


def test_who_has_seen_that_there_is_nothing_creates_it_once(agents: Callable[..., Agent], naive: Notes) -> None:
    one, other = agents("one"), agents("other")
    assert (one.read("fresh").status, other.read("fresh").status) == (404, 404)
    assert one.write("fresh", "mine").status == 200
    problem_of(other.write("fresh", "mine, too"), "memory_stale", 412)
    assert naive.texts["fresh"] == "mine"


def test_what_a_run_has_created_it_may_write(agents: Callable[..., Agent], gateway: Gateway) -> None:
    """Only the answer tells the key."""
    agent = agents("author")
    fields = [*agent.fields, ("content-type", "application/json")]
    made = call(gateway, "POST", "/notes/notes", fields, b'{"text": "x"}')
    assert made.status == 201
    assert agent.write(made.json()["id"], "y").status == 200


def test_a_list_of_names_is_no_ground_for_a_write(agents: Callable[..., Agent], naive: Notes, gateway: Gateway) -> None:
    naive.put("listed", "text")
    agent = agents("lister")
    assert call(gateway, "GET", "/notes/notes", agent.fields).status == 200
    problem_of(agent.write("listed", "other"), "memory_unread", 428)


def test_a_change_past_the_gateway_is_found_by_the_next_read(agents: Callable[..., Agent], naive: Notes) -> None:
    naive.put("shared", "one")
    first, second = agents("first"), agents("second")
    first.text("shared")
    naive.put("shared", "two")
    assert second.text("shared") == "two"
    problem = problem_of(first.write("shared", "three"), "memory_stale", 412)
    assert "past the gateway" in problem["detail"]


def test_another_spelling_of_the_path_is_the_same_key(agents: Callable[..., Agent], naive: Notes) -> None:
    naive.put("spelt", "text")
    agent = agents("speller")
    problem_of(agent.write("sp%65lt", "other"), "memory_unread", 428)
    problem_of(agent.write("spelt/", "other"), "memory_unread", 428)
    problem_of(agent.write("/spelt", "other"), "ambiguous_path", 400)
    assert naive.texts["spelt"] == "text"


def test_a_write_that_failed_at_the_tool_must_be_looked_at(agents: Callable[..., Agent], naive: Notes) -> None:
    """It has been carried out all the same: its status is all that failed."""
    naive.put("unsure", "1")
    agent = agents("unsure")
    agent.text("unsure")
    naive.fail["PUT"] = 500
    assert agent.write("unsure", "2").status == 500
    assert agent.write("unsure", "2").status in (412, 428)
    assert agent.text("unsure") == "2"
    assert agent.write("unsure", "3").status == 200


def test_the_store_is_told_on_what_a_write_is_based(agents: Callable[..., Agent], heeding: Notes) -> None:
    heeding.put("tagged", "one")
    agent = agents("tags", "heeding")
    agent.text("tagged")
    assert agent.write("tagged", "two").status == 200
    _, _, fields = heeding.heard[-1]
    assert fields["if-match"] == '"1"'
    assert agent.write("tagged", "three").status == 200
    assert heeding.heard[-1][2]["if-match"] == '"2"'


def test_a_race_past_the_gateway_is_closed_by_the_store(agents: Callable[..., Agent], heeding: Notes) -> None:
    heeding.put("raced", "one")
    agent = agents("racer", "heeding")
    agent.text("raced")
    heeding.put("raced", "changed past the gateway")
    assert agent.write("raced", "two").status == 412  # the store's own word
    problem_of(agent.write("raced", "two"), "memory_stale", 412)
    assert heeding.texts["raced"] == "changed past the gateway"
    agent.text("raced")
    assert agent.write("raced", "two").status == 200


def test_what_nobody_has_read_is_only_created(agents: Callable[..., Agent], heeding: Notes) -> None:
    heeding.put("there", "old")
    agent = agents("creator", "heeding")
    assert agent.write("not-there", "new").status == 200
    assert heeding.heard[-1][2]["if-none-match"] == "*"
    assert agent.write("there", "new").status == 412
    assert heeding.texts["there"] == "old"
    problem_of(agents("deleter", "heeding").delete("there"), "memory_unread", 428)


def test_conditions_of_the_agent_stay_as_they_are(agents: Callable[..., Agent], heeding: Notes) -> None:
    heeding.put("own-words", "old")
    agent = agents("careful", "heeding")
    tag = agent.read("own-words").get("etag")
    assert agent.write("own-words", "new", ("If-Match", '"7"')).status == 412
    assert agent.write("own-words", "new", ("If-Match", tag.decode())).status == 200
    assert heeding.heard[-1][2]["if-match"] == tag.decode()


def test_who_is_told_that_nothing_has_changed_has_seen_what_stands(
    agents: Callable[..., Agent], heeding: Notes
) -> None:
    heeding.put("cached", "text")
    agent = agents("caching", "heeding")
    answer = agent.read("cached", ("If-None-Match", f'"{heeding.revisions["cached"]}"'))
    assert answer.status == 304
    assert agent.write("cached", "other").status == 200


def test_a_head_shows_the_version_and_not_what_stands(agents: Callable[..., Agent], naive: Notes) -> None:
    naive.put("headed", "text")
    agent = agents("header")
    assert agent.read("headed", method="HEAD").status == 200
    problem_of(agent.write("headed", "other"), "memory_unread", 428)


def test_runs_do_not_share_what_they_have_seen(gateway: Gateway, naive: Notes) -> None:
    naive.put("each", "text")
    Agent(gateway, "worker", run="a").text("each")
    problem_of(Agent(gateway, "worker", run="b").write("each", "other"), "memory_unread", 428)


def test_what_a_call_did_with_a_memory_is_in_its_record(
    agents: Callable[..., Agent], naive: Notes, gateway: Gateway
) -> None:
    naive.put("recorded", "text")
    agent = agents("recorded")
    answer = agent.read("recorded")
    record: dict[str, Any] = gateway.trace(answer.get("x-toolgate-call"))
    assert "recorded" in json.dumps(record["memory"])


def test_what_is_known_outlives_a_new_version(agents: Callable[..., Agent], naive: Notes, gateway: Gateway) -> None:
    naive.put("kept", "text")
    reader, other = agents("reader"), agents("other")
    reader.text("kept")
    other.text("kept")
    before = gateway.ready()["policy_version"]
    gateway.policy_file.write_text(ALL.replace("everyone", "all-the-same"))
    eventually(lambda: gateway.ready()["policy_version"] != before, what="the new version")
    assert reader.write("kept", "new").status == 200
    problem_of(other.write("kept", "newer"), "memory_stale", 412)
