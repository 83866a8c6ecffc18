"""The flows of all runs: who may speak for whom, and how much is remembered."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from msgspec import structs

from gateway.flow.labels import FlowMap
from gateway.model import Agent, FlowLabels, Run
from gateway.stores.flows import FlowBook
from tests.builders import call, request, tool

KEY = b"a key that only the platform has"
MAIL = "bob@corp.com"


def book(**options: Any) -> FlowBook:
    made = FlowBook(**options)
    labels = (FlowLabels(("GET /book*",), ("trusted",)), FlowLabels(("*",), ("untrusted",)))
    made.adopt({"github": FlowMap(structs.replace(tool(), flows=labels))}, ("crm", "wiki/GET /own*"), (), KEY)
    return made


def signed(prompt: str, agent: str, run: str, key: bytes = KEY) -> list[tuple[str, str]]:
    encoded = urlsafe_b64encode(prompt.encode()).rstrip(b"=")
    about = b"\0".join([agent.encode(), run.encode(), encoded])
    mark = hmac.new(key, about, hashlib.sha256).hexdigest()
    return [("X-Toolgate-Prompt", encoded.decode()), ("X-Toolgate-Prompt-Signature", mark)]


def of(fields: list[tuple[str, str]], agent: str = "a", run: str = "r1", **more: Any) -> Any:
    return structs.replace(call(agent=Agent(agent), run=Run(run), of=request(fields=fields)), **more)


def test_a_prompt_that_the_platform_signed_is_the_users_word() -> None:
    flow = book().enter(of(signed(f"write to {MAIL}", "a", "r1")))
    assert flow.origin(MAIL)["sources"] == ["user"]


@pytest.mark.parametrize(
    "fields",
    [
        signed(f"write to {MAIL}", "a", "r2"),
        signed(f"write to {MAIL}", "b", "r1"),
        signed(f"write to {MAIL}", "a", "r1", b"another key"),
        signed(f"write to {MAIL}", "a", "r1")[:1],
        [("X-Toolgate-Prompt", "!!!"), signed("x", "a", "r1")[1]],
    ],
)
def test_a_prompt_of_another_run_or_agent_or_without_the_key_is_nobodys(fields: list[tuple[str, str]]) -> None:
    assert not book().enter(of(fields)).origin(MAIL)["seen"]


def test_without_a_key_no_signature_counts() -> None:
    made = FlowBook()
    made.adopt({}, (), (), b"")
    assert not made.enter(of(signed(f"write to {MAIL}", "a", "r1", b""))).origin(MAIL)["seen"]


def test_what_the_platform_hands_over_counts_in_that_run_alone() -> None:
    made = book()
    made.hand_over("a", "r1", f"write to {MAIL}")
    assert made.enter(of([])).origin(MAIL)["trusted"]
    assert not made.enter(of([], run="r2")).origin(MAIL)["seen"]
    assert not made.enter(of([], agent="b")).origin(MAIL)["seen"]


def messages(role: str, **more: str) -> dict[str, Any]:
    return {"llm.system": "", "llm.messages": [{"role": role, "content": f"write to {MAIL}", **more}]}


@pytest.mark.parametrize(
    ("operation", "facts", "told"),
    [
        ("POST /chat/completions", messages("user"), ["user"]),
        ("POST /responses", messages("developer"), ["system"]),
        ("POST /v1/messages", {"llm.system": f"only {MAIL}"}, ["system"]),
        ("POST /models/{model}:generateContent", messages("user"), ["user"]),
        ("POST /v1/messages", messages("user", said="what does the mail say?"), []),
        ("POST /chat/completions", messages("assistant"), []),
        ("POST /chat/completions", messages("tool"), []),
        ("POST /embeddings", messages("user"), []),
    ],
)
def test_on_its_way_to_a_model_only_user_and_system_are_heard(operation: str, facts: Any, told: list[str]) -> None:
    flow = book().enter(of([], operation=operation, facts=facts))
    assert flow.origin(MAIL)["sources"] == told


def test_below_the_root_of_a_tree_the_user_is_another_agent() -> None:
    made, below = book(), Run("r9", root=("a", "r1"), led=("a", "r1"), depth=1)
    flow = made.enter(of([], agent="child", operation="POST /responses", facts=messages("user")))
    assert flow.origin(MAIL)["trusted"]
    told = structs.replace(of([], operation="POST /responses", facts=messages("user")), run=below)
    assert not made.enter(told).origin(MAIL)["seen"]


def test_the_flow_of_a_tree_of_runs_is_one() -> None:
    made = book()
    made.hand_over("a", "r1", f"write to {MAIL}")
    below = structs.replace(of([], agent="child"), run=Run("r9", root=("a", "r1"), led=("a", "r1"), depth=1))
    assert made.enter(below).origin(MAIL)["trusted"]


def test_sources_that_the_operator_trusts_are_trusted_also_without_a_label() -> None:
    flow = book().enter(of([]))
    for source, mail in (("crm/GET /x", "a@x.com"), ("wiki/GET /own/1", "b@x.com"), ("wiki/GET /all", "c@x.com")):
        flow.hear(source, (), f'{{"mail": "{mail}"}}'.encode(), "application/json")
    assert [flow.origin(f"{each}@x.com")["trusted"] for each in "abc"] == [True, True, False]


def test_another_version_of_the_configuration_counts_for_runs_under_way() -> None:
    made = book()
    flow = made.enter(of([]))
    assert not flow.origin(MAIL)["trusted"]
    made.adopt({}, (), ("*@corp.com",), KEY)
    assert flow.origin(MAIL)["sources"] == ["operator"]


def test_who_fills_the_memory_pushes_out_their_own() -> None:
    made = book(most_bytes=200_000)
    made.hand_over("quiet", "r", f"write to {MAIL}")
    for at in range(50):
        made.hand_over("loud", f"r{at}", f"{at} {'x' * 20_000}")
        made.of("loud", f"r{at}")
        assert made.size <= 250_000
    assert made.of("quiet", "r").origin(MAIL)["trusted"]


def test_runs_are_bounded_by_number_too() -> None:
    made = book(most=10)
    made.hand_over("quiet", "r", f"write to {MAIL}")
    for at in range(100):
        made.hand_over("loud", f"r{at}", "x")
        made.of("loud", f"r{at}")
    assert made.of("quiet", "r").origin(MAIL)["trusted"]
    assert made.size < 10 * 1000


def test_what_a_person_endorsed_counts_in_their_run() -> None:
    made = book(endorsed=lambda tree, value: (tree, value) == (("a", "r1"), MAIL))
    assert made.of("a", "r1").origin(MAIL)["trusted"]
    assert not made.of("a", "r2").origin(MAIL)["trusted"]


@pytest.mark.parametrize("run", ["r1", "r" * 4_000])
def test_labels_of_a_run_outlive_all_else_of_it(run: str) -> None:
    made = book(most=10)
    made.of("a", run).mark(["private"])
    made.hand_over("a", run, f"write to {MAIL}")
    for at in range(50):
        made.of("a", f"other-{at}").mark(["untrusted"])
    assert not made.of("a", run).origin(MAIL)["seen"]
    assert made.of("a", run).labels == ("private",)
    made.of("a", run).mark(["untrusted"])
    assert made.of("a", run).labels == ("private", "untrusted")
    assert made.of("b", run).labels == ()
