"""Whatever a pod looks like: it keeps all that it has, in its order, and is injected once."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from . import pods
from .pods import UID, injected, patched

GIVEN = pods.settings()
NAMES = st.sampled_from(["agent", "helper", "fetch", "toolgate", "toolgate-redirect", "a" * 63])
VARIABLES = st.sampled_from(["TOOLGATE_URL", "OPENAI_BASE_URL", "HTTPS_PROXY", "PATH", "A"])
USERS = st.sampled_from([0, 1000, UID])
VOLUMES = st.sampled_from(["data", "toolgate-state", "toolgate", "tmp"])


def maybe(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Maps that have some of these members; of those that they have, some are null."""
    return st.fixed_dictionaries({}, optional={key: st.none() | value for key, value in members.items()})


def both(first: st.SearchStrategy[Any], second: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda one, two: one | two, first, second)


ENV = st.lists(
    both(
        st.fixed_dictionaries({"name": VARIABLES}), st.fixed_dictionaries({}, optional={"value": st.text(max_size=3)})
    ),
    max_size=3,
)
CONTAINERS = st.lists(
    both(
        st.fixed_dictionaries({"name": NAMES, "image": st.just("i:1")}),
        maybe(
            env=ENV,
            args=st.lists(st.text(max_size=2), max_size=2),
            restartPolicy=st.just("Always"),
            securityContext=maybe(runAsUser=USERS, privileged=st.booleans()),
            volumeMounts=st.lists(st.fixed_dictionaries({"name": VOLUMES, "mountPath": st.just("/x")}), max_size=2),
            later=st.integers(),
        ),
    ),
    max_size=4,
    unique_by=lambda one: one["name"],
)
SPECS = both(
    st.fixed_dictionaries({"containers": CONTAINERS}),
    maybe(
        initContainers=CONTAINERS,
        volumes=st.lists(st.fixed_dictionaries({"name": VOLUMES, "emptyDir": st.just({})}), max_size=3),
        securityContext=maybe(runAsUser=USERS),
        hostNetwork=st.booleans(),
        hostPID=st.booleans(),
        os=st.fixed_dictionaries({"name": st.sampled_from(["linux", "windows"])}),
        nodeSelector=st.dictionaries(st.sampled_from(["kubernetes.io/os", "zone"]), st.just("linux"), max_size=2),
        later=st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    ),
)
ANNOTATIONS = maybe(a=st.just("b")).flatmap(
    lambda some: st.fixed_dictionaries(
        {key: st.just(value) for key, value in some.items() if value},
        optional={
            "toolgate.dev/profile": st.sampled_from(["default", "open", "open", "other"]),
            "toolgate.dev/inject": st.sampled_from(["true", "false"]),
        },
    )
)
PODS = st.builds(
    lambda metadata, spec: {"apiVersion": "v1", "kind": "Pod", **metadata, "spec": spec},
    maybe(
        metadata=maybe(
            generateName=st.just("a-"),
            annotations=ANNOTATIONS,
            labels=st.dictionaries(st.sampled_from(["app", "toolgate.dev/injected"]), st.just("x"), max_size=2),
        )
    ),
    SPECS,
)


@given(PODS)
@settings(max_examples=150, deadline=None)
def test_a_pod_keeps_all_that_it_has_and_is_injected_once(thing: dict[str, Any]) -> None:
    before = copy.deepcopy(thing)
    made = injected(thing)
    assert thing == before, "it is only looked at"
    assert not (made.denied and made.patch)
    assert all(operation["op"] == "add" for operation in made.patch)
    result = patched(thing, made)
    assert kept(without_nulls(before), without_nulls(result))
    if made.patch:
        again = injected(result)
        assert (again.denied, again.patch) == ("", ())
        led(before, result)


def led(before: dict[str, Any], result: dict[str, Any]) -> None:
    """The gateway is first, and every other container is told of it, once, by what it does not set itself."""
    name = ((before.get("metadata") or {}).get("annotations") or {}).get("toolgate.dev/profile", "default")
    profile = GIVEN.profiles[name]
    own, inits = (2 if profile.redirect else 1), result["spec"]["initContainers"]
    assert [one["name"] for one in inits[:own]] == ["toolgate-redirect", "toolgate"][-own:]
    others = [*result["spec"]["containers"], *inits[own:]]
    for was, one in zip(everyone(before), others, strict=True):
        there = [variable["name"] for variable in was.get("env") or ()]
        added = [variable.name for variable in profile.agent_env if variable.name not in there]
        assert [variable["name"] for variable in one.get("env") or ()] == there + added


def everyone(thing: dict[str, Any]) -> list[dict[str, Any]]:
    return [*thing["spec"]["containers"], *(thing["spec"].get("initContainers") or ())]


def kept(before: Any, after: Any) -> bool:
    """Whether all that was there is there, in its order; lists may have grown."""
    if isinstance(before, dict):
        return isinstance(after, dict) and all(
            key == "toolgate.dev/injected" or (key in after and kept(value, after[key]))
            for key, value in before.items()
        )
    if isinstance(before, list):
        left = iter(after)
        return all(any(kept(one, other) for other in left) for one in before)
    return bool(before == after)


def without_nulls(thing: Any) -> Any:
    """As the API server reads it: a member that is null is none."""
    if isinstance(thing, dict):
        return {key: without_nulls(value) for key, value in thing.items() if value is not None}
    return [without_nulls(one) for one in thing] if isinstance(thing, list) else thing
