"""What becomes of pods, the usual ones and the unusual."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from gateway.inject.patch import Injection
from gateway.inject.sidecar import ARGS, redirect, sidecar, volumes
from tests.deploy.pss import violations

from .pods import IMAGE, UID, URL, injected, patched, pod, settings

SAFE = {
    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True, "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip
LED = [{"name": "TOOLGATE_URL", "value": URL}, {"name": "OPENAI_BASE_URL", "value": f"{URL}/openai"}]


def after(thing: dict[str, Any], **more: Any) -> dict[str, Any]:
    made = injected(thing, settings(**more))
    assert made.denied == ""
    assert made.patch
    return patched(thing, made)


def test_the_smallest_pod_gets_a_gateway_before_all_else() -> None:
    thing = pod()
    made = after(thing)
    profile = settings().profiles["default"]
    assert made["spec"] == {
        "containers": [{"name": "agent", "image": "agent:1", "env": LED}],
        "initContainers": [sidecar(settings(), profile)],
        "volumes": volumes(settings(), profile),
    }
    assert made["metadata"] == {"generateName": "agent-", "labels": {"toolgate.dev/injected": "true"}}


@pytest.mark.parametrize("gone", ["labels", "annotations"])
@pytest.mark.parametrize("empty", [None, {}])
def test_a_pod_with_empty_members_is_like_one_without(gone: str, empty: object) -> None:
    thing = pod({"initContainers": empty and [], "volumes": empty and []})
    thing["metadata"][gone] = empty
    thing["spec"]["containers"][0]["env"] = None
    assert after(thing)["spec"] == after(pod())["spec"]


def test_a_pod_without_metadata_is_injected() -> None:
    thing = pod()
    del thing["metadata"]
    assert after(thing)["metadata"] == {"labels": {"toolgate.dev/injected": "true"}}


def test_the_gateway_is_a_native_sidecar_and_restricted() -> None:
    made = after(pod({"containers": [{"name": "agent", "image": "agent:1", "securityContext": SAFE}]}))
    assert violations(made["spec"]) == []
    (one,) = made["spec"]["initContainers"]
    assert (one["restartPolicy"], one["image"], one["args"]) == ("Always", IMAGE, ARGS)
    assert one["startupProbe"]["httpGet"]["path"] == "/readyz", "the agent begins when calls are taken"
    assert "lifecycle" not in one, "Kubernetes ends it after the agent by itself"


def test_a_profile_is_chosen_by_annotation() -> None:
    made = after(pod({"initContainers": [{"name": "fetch", "image": "fetch:1"}]}, profile="open"))
    given, profile = settings(), settings().profiles["open"]
    first, second, third = made["spec"]["initContainers"]
    assert (first, second) == (redirect(given), sidecar(given, profile))
    assert third == {"name": "fetch", "image": "fetch:1", "env": [{"name": "HTTPS_PROXY", "value": URL}]}
    mounted = {one["mountPath"] for one in second["volumeMounts"]}
    assert {"/var/run/secrets/toolgate/github", "/var/run/secrets/toolgate/mail.example.org"} <= mounted
    assert {"/var/run/secrets/tokens", "/var/run/secrets/kubernetes.io/serviceaccount"} <= mounted
    names = [one["name"] for one in made["spec"]["volumes"]]
    assert len(set(names)) == len(names)
    assert {one["name"] for one in second["volumeMounts"]} == set(names)


def test_the_redirect_is_the_only_container_with_a_capability() -> None:
    made = after(pod({"containers": [{"name": "agent", "image": "agent:1", "securityContext": SAFE}]}, profile="open"))
    faults = violations(made["spec"])
    assert faults
    assert {fault.partition(":")[0] for fault in faults} <= {"toolgate-redirect", "runAsUser 0"}


def test_what_a_container_sets_itself_stays_and_is_told() -> None:
    env = [
        {"name": "OPENAI_BASE_URL", "value": "https://elsewhere.example"},
        {"name": "A", "value": "$(OPENAI_BASE_URL)"},
    ]
    thing = pod({"containers": [{"name": "agent", "image": "agent:1", "env": env}, {"name": "other", "image": "o:1"}]})
    made = injected(thing)
    first, second = patched(thing, made)["spec"]["containers"]
    assert (first["env"], second["env"]) == ([*env, LED[0]], LED)
    (warning,) = made.warnings
    assert "'agent' sets OPENAI_BASE_URL itself" in warning


def test_a_variable_that_says_the_same_is_no_reason_to_warn() -> None:
    assert injected(pod({"containers": [{"name": "agent", "image": "agent:1", "env": LED}]})).warnings == ()


def test_many_containers_are_all_led() -> None:
    many = [{"name": f"c{number}", "image": "c:1"} for number in range(300)]
    made = after(pod({"containers": many, "initContainers": [{**one, "name": f"i{one['name']}"} for one in many]}))
    spec = made["spec"]
    assert [one["name"] for one in spec["containers"]] == [one["name"] for one in many]
    assert all(one["env"] == LED for one in [*spec["containers"], *spec["initContainers"][1:]])


def test_members_that_nobody_here_knows_stay() -> None:
    thing = pod({"resourceClaims": [{"name": "gpu"}], "futureThing": {"a": [1, {"b": None}]}})
    thing["spec"]["containers"][0]["futureToo"] = 1.5
    made = after(thing)
    assert made["spec"]["futureThing"] == {"a": [1, {"b": None}]}
    assert made["spec"]["containers"][0]["futureToo"] == 1.5


@pytest.mark.parametrize("profile", ["", "open"])
def test_a_pod_that_has_its_gateway_stays_as_it_is(profile: str) -> None:
    made = after(pod({"initContainers": [{"name": "fetch", "image": "fetch:1"}]}, profile=profile))
    assert injected(made) == Injection()
    # What servers and other webhooks add is no reason to refuse it.
    made["spec"]["initContainers"].insert(0, {"name": "before", "image": "b:1"})
    sidecars = [one for one in made["spec"]["initContainers"] if one["name"] == "toolgate"]
    sidecars[0] |= {"terminationMessagePath": "/dev/termination-log", "env": [*sidecars[0]["env"], {"name": "X"}]}
    for volume in made["spec"]["volumes"]:
        if "configMap" in volume:
            volume["configMap"]["defaultMode"] = 420
    assert injected(made) == Injection()


LEFT = {
    "excluded": (pod(), {}, "kube-system"),
    "mirror of a static pod": (
        {**pod(), "metadata": {"annotations": {"kubernetes.io/config.mirror": "1"}}}, {}, "agents",
    ),
    "opted out": (pod(inject="false"), {"allow_opt_out": True}, "agents"),
}  # fmt: skip


@pytest.mark.parametrize("case", LEFT)
def test_pods_that_are_left_as_they_are(case: str) -> None:
    thing, more, namespace = LEFT[case]
    assert injected(thing, settings(**more), namespace) == Injection()


@pytest.mark.parametrize("spec", [{"os": {"name": "windows"}}, {"nodeSelector": {"kubernetes.io/os": "windows"}}])
def test_windows_is_left_and_told(spec: dict[str, Any]) -> None:
    made = injected(pod(spec))
    assert (made.patch, made.denied) == ((), "")
    assert "do not run Linux" in made.warnings[0]


@pytest.mark.parametrize("spec", [{"os": {"name": "linux"}}, {"nodeSelector": {"kubernetes.io/os": "linux", "a": "b"}}])
def test_linux_by_name_is_injected(spec: dict[str, Any]) -> None:
    assert injected(pod(spec)).patch


def test_where_nobody_may_opt_out_who_tries_gets_a_gateway_and_a_warning() -> None:
    made = injected(pod(inject="False"))
    assert made.patch
    assert "not allowed here" in made.warnings[0]


def own(name: str = "agent", **more: Any) -> dict[str, Any]:
    return {"name": name, "image": "agent:1", **more}


DENIED = {
    "the node's network": (pod({"hostNetwork": True}), "node's network"),
    "the gateway's user": (pod({"containers": [own(securityContext={"runAsUser": UID})]}), f"user {UID}"),
    "the gateway's user by the pod": (pod({"securityContext": {"runAsUser": UID}}), f"user {UID}"),
    "the gateway's user in an init container": (
        pod({"initContainers": [own("first", securityContext={"runAsUser": UID})]}), "'first' runs as user",
    ),
    "an unknown profile": (pod(profile="nope"), "says 'nope'; profiles are: default, open"),
    "a volume of our names": (pod({"volumes": [{"name": "toolgate-state", "emptyDir": {}}]}), "'toolgate-state'"),
    "a mount of our names": (
        pod({"containers": [own(volumeMounts=[{"name": "toolgate-secret-a", "mountPath": "/a"}])]}), "mounts a volume",
    ),
    "a container of our name": (pod({"containers": [own("toolgate")]}), "cannot be called 'toolgate'"),
    "another container of our name": (pod({"containers": [own("toolgate-redirect")]}), "cannot be called"),
    "an own toolgate": (pod({"initContainers": [own("toolgate")]}), "not the one that is injected"),
    "an own redirect": (pod({"initContainers": [own("toolgate-redirect")]}), "not the one that is injected"),
}  # fmt: skip


@pytest.mark.parametrize("case", DENIED)
def test_pods_that_cannot_have_a_gateway_are_denied_and_told_why(case: str) -> None:
    thing, why = DENIED[case]
    made = injected(thing)
    assert made.patch == ()
    assert why in made.denied


def forged(change: dict[str, Any]) -> dict[str, Any]:
    made = copy.deepcopy(patched(pod(), injected(pod())))
    made["spec"]["initContainers"][0] |= change
    return made


@pytest.mark.parametrize(
    "change",
    [
        {"image": "evil:1"}, {"restartPolicy": "Never"}, {"command": ["sh"]}, {"args": ["run", "-c", "/tmp/mine.yaml"]},
        {"securityContext": {"runAsUser": 1000}}, {"securityContext": None},
    ],
)  # fmt: skip
def test_what_looks_like_our_gateway_and_is_none_is_denied(change: dict[str, Any]) -> None:
    assert "not the one that is injected" in injected(forged(change)).denied


def test_a_gateway_with_files_of_the_pods_own_is_denied() -> None:
    made = forged({})
    volume = next(one for one in made["spec"]["volumes"] if one["name"] == "toolgate-config")
    volume["configMap"]["name"] = "mine"
    assert "not the one that is injected" in injected(made).denied
    made["spec"]["volumes"].remove(volume)
    assert "not the one that is injected" in injected(made).denied


@pytest.mark.parametrize("change", [{"image": "evil:1"}, {"command": ["sh"]}, {"args": ["redirect", "remove"]}])
def test_a_redirect_that_leads_elsewhere_is_denied(change: dict[str, Any]) -> None:
    made = after(pod(profile="open"))
    made["spec"]["initContainers"][0] |= change
    assert "not the one that is injected" in injected(made).denied
    made["spec"]["initContainers"].pop(0)
    assert "not the one that is injected" in injected(made).denied, "there must be one"


def test_two_gateways_are_one_too_many() -> None:
    made = forged({})
    made["spec"]["initContainers"] *= 2
    assert "not the one that is injected" in injected(made).denied


def test_where_there_is_no_default_profile_pods_must_choose() -> None:
    only = {"a": settings().model_dump(mode="json", by_alias=True, exclude_none=True)["profiles"]["default"]}
    assert "is not there, and there is no profile default" in injected(pod(), settings(profiles=only)).denied
    assert injected(pod(profile="a"), settings(profiles=only)).patch


@pytest.mark.parametrize("field", ["hostPID", "shareProcessNamespace"])
def test_shared_processes_are_told(field: str) -> None:
    made = injected(pod({field: True}))
    assert made.patch
    assert "each other's processes" in made.warnings[0]


@pytest.mark.parametrize("number", [8080, 9091, 15001])
def test_a_port_that_the_gateway_has_is_told(number: int) -> None:
    ports = [{"containerPort": number}, {"containerPort": 3000}]
    made = injected(pod({"containers": [{"name": "agent", "image": "agent:1", "ports": ports}]}))
    assert made.patch
    (warning,) = [one for one in made.warnings if "listens on" in one]
    assert f"'agent' listens on {number}" in warning
