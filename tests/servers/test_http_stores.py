"""HTTP stores of others as memories: WsgiDAV, and S3 by moto. Configured as docs/memory-recipes.md says."""

from __future__ import annotations

import http.client
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.e2e.harness.gateway import Gateway, call, problem_of
from tests.e2e.harness.http1 import Message
from tests.e2e.harness.net import PATIENCE

from .support import HERE, gateway_before, needs_servers, python_server

CURRENT = """
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: current-facts}
spec:
  match: {operations: ["HEAD *"]}
  rules:
    - {name: all-of-it-stands, when: size(run.drift) > 0 || size(run.unverified) > 0, then: deny}
"""
"""Before it asks for a head, all that a run has read must be as it was."""


class Store:
    """A store, the gateway before it, and the way past the gateway."""

    def __init__(self, gateway: Gateway, tool: str, origin: str, base: str) -> None:
        self.gateway, self.tool, self.origin, self.base = gateway, tool, origin, base

    def past(self, method: str, name: str, text: str | None = None) -> None:
        """A request of somebody who does not come through the gateway."""
        signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request, Signature=x"}
        signed["Content-Type"] = "text/plain"
        data = None if text is None else text.encode()
        asked = urllib.request.Request(f"{self.origin}{self.base}{name}", data, signed, method=method)
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
            answer.read()


class Agent:
    """One agent with one run."""

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.fields = [("x-agent-id", name), ("x-run-id", f"run-{name}")]

    def ask(self, method: str, name: str, text: str | None = None, query: str = "") -> Message:
        target = f"/{self.store.tool}{self.store.base}{name}{query}"
        fields = [*self.fields, ("content-type", "text/plain")] if text is not None else self.fields
        return call(self.store.gateway, method, target, fields, (text or "").encode())

    def read(self, name: str) -> str:
        answer = self.ask("GET", name)
        assert answer.status == 200, answer.body
        return answer.body.decode()

    def write(self, name: str, text: str) -> Message:
        return self.ask("PUT", name, text)


@pytest.fixture(scope="module", params=["dav", "s3"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    needs_servers()
    folder = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("S3_KEY", "k")
        patch.setenv("S3_SECRET", "s")
        if request.param == "dav":
            (folder / "files").mkdir()
            command = [str(HERE / "wsgidav_server.py"), str(folder / "files"), "--port"]
        else:
            command = ["-m", "moto.server", "-H", "127.0.0.1", "-p"]
        with (
            python_server(*command) as origin,
            gateway_before(folder, request.param, origin, CURRENT, revalidate=True) as gateway,
        ):
            made = Store(gateway, request.param, origin, "/" if request.param == "dav" else "/notes/")
            if request.param == "s3":
                made.past("PUT", "")
            yield made


@pytest.fixture
def agents(store: Store, request: pytest.FixtureRequest) -> tuple[Agent, Agent]:
    case = request.node.originalname[5:30]
    return Agent(store, f"ann-{case}"), Agent(store, f"bob-{case}")


def succeeded(answer: Message) -> None:
    assert 200 <= answer.status < 300, (answer.status, answer.body)


def test_a_lost_update_is_refused_with_the_difference(agents: tuple[Agent, Agent], store: Store) -> None:
    ann, bob = agents
    store.past("PUT", "plan.txt", "milk\nbread\n")
    assert ann.read("plan.txt") == bob.read("plan.txt") == "milk\nbread\n"
    succeeded(bob.write("plan.txt", "milk\nbread\ntwelve eggs\n"))
    assert bob.read("plan.txt") == "milk\nbread\ntwelve eggs\n"
    problem = problem_of(ann.write("plan.txt", "oat milk\nbread\n"), "memory_stale", 412)
    assert "changed by bob" in problem["detail"]
    assert "+twelve eggs" in problem["changes"][0]["difference"]
    assert ann.read("plan.txt") == "milk\nbread\ntwelve eggs\n"
    succeeded(ann.write("plan.txt", "oat milk\nbread\ntwelve eggs\n"))


def test_what_was_changed_past_the_gateway_is_refused_by_the_store_itself(
    agents: tuple[Agent, Agent], store: Store
) -> None:
    ann, _ = agents
    store.past("PUT", "past.txt", "one")
    ann.read("past.txt")
    store.past("PUT", "past.txt", "changed past it")
    refused = ann.write("past.txt", "two")
    assert refused.status == 412
    assert b"memory_stale" not in refused.body, "these are the store's own words"
    problem_of(ann.write("past.txt", "two"), "memory_stale", 412)
    assert ann.read("past.txt") == "changed past it"
    succeeded(ann.write("past.txt", "two"))


def test_what_nobody_has_read_is_only_created(agents: tuple[Agent, Agent], store: Store) -> None:
    ann, bob = agents
    store.past("PUT", "there.txt", "old")
    assert ann.write("there.txt", "new").status == 412
    assert bob.ask("GET", "fresh.txt").status == 404
    succeeded(ann.write("fresh.txt", "anns"))
    problem_of(bob.write("fresh.txt", "bobs"), "memory_stale", 412)
    assert bob.read("fresh.txt") == "anns"


def test_what_has_changed_is_not_deleted(agents: tuple[Agent, Agent], store: Store) -> None:
    ann, bob = agents
    store.past("PUT", "gone.txt", "one")
    problem_of(ann.ask("DELETE", "gone.txt"), "memory_unread", 428)
    for agent in agents:
        agent.read("gone.txt")
    succeeded(bob.write("gone.txt", "longer"))
    problem_of(ann.ask("DELETE", "gone.txt"), "memory_stale", 412)
    ann.read("gone.txt")
    succeeded(ann.ask("DELETE", "gone.txt"))
    problem_of(bob.write("gone.txt", "again"), "memory_stale", 412)
    assert bob.ask("GET", "gone.txt").status == 404
    succeeded(bob.write("gone.txt", "again"))


def test_agents_that_count_at_once_come_to_the_right_sum(store: Store) -> None:
    store.past("PUT", "counter.txt", "0")
    failed: list[BaseException] = []

    def count(name: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", store.gateway.port, timeout=PATIENCE)
        fields = {"x-agent-id": name, "x-run-id": name, "content-type": "text/plain"}
        target = f"/{store.tool}{store.base}counter.txt"

        def ask(method: str, body: str | None = None) -> tuple[int, str]:
            connection.request(method, target, body, fields)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

        try:
            for _ in range(5):
                while not 200 <= (answered := ask("PUT", str(int(ask("GET")[1]) + 1)))[0] < 300:
                    assert answered[0] == 412, answered
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=count, args=(f"counts-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
    assert Agent(store, "reader").read("counter.txt") == "20"


def test_a_change_past_the_gateway_is_found_before_a_run_acts(agents: tuple[Agent, Agent], store: Store) -> None:
    ann, bob = agents
    store.past("PUT", "fact.txt", "100")
    store.past("PUT", "other.txt", "100")
    ann.read("fact.txt")
    bob.read("other.txt")
    time.sleep(1.1)  # what was read just now is not asked for again
    store.past("PUT", "fact.txt", "7")
    assert ann.ask("HEAD", "other.txt").status == 403
    assert bob.ask("HEAD", "other.txt").status == 200
    assert ann.read("fact.txt") == "7"
    assert ann.ask("HEAD", "other.txt").status == 200


def test_what_would_write_another_key_is_not_let_through(agents: tuple[Agent, Agent], store: Store) -> None:
    ann, _ = agents
    if store.tool == "dav":
        assert ann.ask("MOVE", "plan.txt").status == 403
        assert ann.ask("DELETE", "folder/").status == 403
    else:
        assert ann.ask("PUT", "plan.txt", "x", "?tagging").status == 403
        assert ann.ask("GET", "plan.txt", query="?versionId=1").status == 403
