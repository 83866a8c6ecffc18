"""Reviews as a real API server sends them, and whatever else may come."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inject.patch import PROFILE
from gateway.inject.review import NoReviewError, answer
from tests.deploy.pss import violations
from tests.deploy.schemas import Schemas
from tests.deploy.tools.fetch import NoTools, tools

from .pods import RECORDED, patch_in, pod, recorded, review, settings

SETTINGS = settings(uid=65532)
"""The recorded pods run as 10001 and 10002."""


def answered(body: Any) -> Any:
    return answer(json.dumps(body).encode(), SETTINGS)


@pytest.fixture(scope="module")
def schemas() -> Schemas:
    try:
        return Schemas(tools().schemas)
    except NoTools as reason:
        pytest.skip(str(reason))


def made_of(name: str) -> dict[str, Any]:
    """The pod that the API server makes of the answer."""
    sent = recorded(name)
    said = answered(sent).review
    assert said["response"]["uid"] == sent["request"]["uid"]
    assert said["response"]["allowed"] is True
    found: dict[str, Any] = jsonpatch.apply_patch(copy.deepcopy(sent["request"]["object"]), patch_in(said))
    return found


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_pods_get_a_gateway_and_stay_what_they_were(name: str) -> None:
    before, made = recorded(name)["request"]["object"], made_of(name)
    first, *others = made["spec"]["initContainers"]
    assert first["name"] == "toolgate"
    assert [one["name"] for one in others] == [one["name"] for one in before["spec"].get("initContainers", [])]
    assert made["metadata"].pop("labels") == {"toolgate.dev/injected": "true"}
    assert made["metadata"] == before["metadata"]
    assert {**made["spec"], "initContainers": 0, "containers": 0, "volumes": 0} == {
        **before["spec"], "initContainers": 0, "containers": 0, "volumes": 0,
    }  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_pods_are_still_restricted(name: str) -> None:
    assert violations(recorded(name)["request"]["object"]["spec"]) == []
    assert violations(made_of(name)["spec"]) == []


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_pods_are_valid_by_the_schemas_of_kubernetes(name: str, schemas: Schemas) -> None:
    for version in ("1.29", schemas.versions()[-1]):
        assert list(schemas.faults(made_of(name), version)) == [], version


@pytest.mark.parametrize("name", RECORDED)
def test_asked_again_nothing_is_added(name: str) -> None:
    again = recorded(name)
    again["request"]["object"] = made_of(name)
    said = answered(again)
    assert (patch_in(said.review), said.outcome) == ([], "left")


def test_a_pod_of_a_controller_has_no_name_and_is_known_by_how_it_begins() -> None:
    sent = recorded("generated-name")
    assert "name" not in sent["request"]
    said = answered(sent)
    assert said.about == {"namespace": "agents", "pod": "fx-", "uid": sent["request"]["uid"]}
    assert said.outcome == "injected"


def test_a_denial_says_why_and_has_no_patch() -> None:
    said = answer(json.dumps(recorded("plain")).encode(), settings(uid=10001))
    response = said.review["response"]
    assert (response["allowed"], response["status"]["code"], said.outcome) == (False, 403, "denied")
    assert "'agent' runs as user 10001, which is the gateway's" in response["status"]["message"]
    assert patch_in(said.review) == []


def test_warnings_are_as_many_and_as_long_as_an_api_server_passes_on() -> None:
    many = [
        {"name": "c" * 63 + str(number), "image": "c", "env": [{"name": "TOOLGATE_URL", "value": "x"}]}
        for number in range(100)
    ]
    warnings = answered(review(pod({"containers": many}))).review["response"]["warnings"]
    assert sum(map(len, warnings)) <= 4096
    assert max(map(len, warnings)) <= 256


@pytest.mark.parametrize(
    "request_",
    [
        {"operation": "UPDATE"},
        {"operation": "DELETE", "object": None},
        {"operation": "CONNECT"},
        {"subResource": "ephemeralcontainers", "operation": "UPDATE"},
        {"subResource": "binding"},
        {"kind": {"group": "", "version": "v1", "kind": "Service"}},
        {"kind": {"group": "metrics.k8s.io", "version": "v1", "kind": "Pod"}},
    ],
)
def test_what_is_no_new_pod_is_let_pass(request_: dict[str, Any]) -> None:
    said = answered(review(**{"thing": pod(), **request_}) if "object" not in request_ else review(None, **request_))
    assert said.review["response"] == {"uid": recorded("plain")["request"]["uid"], "allowed": True}


@pytest.mark.parametrize(
    "thing",
    [
        None, [], "pod", {}, {"spec": [1]}, {"spec": ""}, {"metadata": [], "spec": {}}, {"spec": {"containers": [1]}},
        {"metadata": {"annotations": ["x"]}, "spec": {}}, {"metadata": {"annotations": {PROFILE: {}}}, "spec": {}},
        {"spec": {"containers": {"a": 1}}}, {"spec": {"initContainers": [None]}}, {"spec": {"volumes": [7]}},
        {"spec": {"containers": [{"env": ["x"]}]}}, {"spec": {"securityContext": "root"}},
    ],
)  # fmt: skip
def test_a_pod_that_cannot_be_read_is_denied_and_not_let_pass_without_a_gateway(thing: object) -> None:
    said = answered(review(thing))
    assert said.review["response"]["allowed"] is False
    assert patch_in(said.review) == []


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"[]", b"{}", b'{"request": 1}', b'{"request": {}}', b'{"request": {"uid": ""}}',
        b'{"request": {"uid": 7}}', b'{"apiVersion": "v1", "request": {"uid": "a"}}', b"\xff\xfe", b"[" * 100_000,
        json.dumps({**recorded("plain"), "apiVersion": "admission.k8s.io/v1beta1"}).encode(),
    ],
)  # fmt: skip
def test_what_is_no_review_is_said_so(body: bytes) -> None:
    with pytest.raises(NoReviewError):
        answer(body, SETTINGS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 70_000) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)


@given(st.sampled_from(RECORDED), st.data())
def test_reviews_that_are_broken_anywhere_are_answered_or_told(name: str, data: st.DataObject) -> None:
    """Any member of a recorded review is another value; what comes is an answer to its uid, or no review."""
    sent = recorded(name)
    at: Any = sent
    while isinstance(at, dict | list) and at:
        keys = sorted(at) if isinstance(at, dict) else range(len(at))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
            at[key] = data.draw(JSON)
            break
        at = at[key]
    try:
        said = answered(sent)
    except NoReviewError:
        return
    assert said.review["response"]["uid"] == sent["request"]["uid"]
    operations = patch_in(said.review)
    assert not (operations and not said.review["response"]["allowed"])
    if operations:
        jsonpatch.apply_patch(copy.deepcopy(sent["request"]["object"]), operations)
