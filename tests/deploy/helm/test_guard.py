"""The guard refuses each way past the sidecar that a pod can be written with, and leaves what it is not about."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy.tools.fetch import Tools

from .admission import denied
from .chart import Rendered, render
from .test_injection import FULL, SAFE, inject, of_profile

Pod = dict[str, Any]
UID = 20001


@pytest.fixture(scope="module")
def guarding(tooling: Tools) -> Rendered:
    return render(tooling.helm4, "sidecar-policy")


@pytest.fixture(scope="module")
def good(guarding: Rendered) -> Pod:
    return inject(guarding, of_profile(FULL, "default"))


def sidecar(pod: Pod) -> Pod:
    found: Pod = pod["spec"]["initContainers"][1]
    assert found["name"] == "toolgate"
    return found


def agent(pod: Pod) -> Pod:
    found: Pod = pod["spec"]["containers"][0]
    return found


def _variable(name: str, value: str) -> Callable[[Pod], object]:
    def change(pod: Pod) -> None:
        sidecar(pod)["env"] = [one for one in sidecar(pod)["env"] if one["name"] != name]
        sidecar(pod)["env"].append({"name": name, "value": value})

    return change


def _later(pod: Pod) -> None:
    own = pod["spec"]["initContainers"]
    own.insert(0, own.pop())  # the author's container begins before the rules are there


def _volume(name: str, source: Pod) -> Callable[[Pod], object]:
    def change(pod: Pod) -> None:
        pod["spec"]["volumes"] = [one for one in pod["spec"]["volumes"] if one["name"] != name]
        pod["spec"]["volumes"].append({"name": name, **source})

    return change


def _as(user: int) -> Pod:
    return {"name": "debug", "image": "busybox", "securityContext": {**SAFE, "runAsUser": user}}


WAYS: dict[str, tuple[Callable[[Pod], object], str]] = {
    "no sidecar": (lambda pod: pod["spec"]["initContainers"].pop(1), "no gateway"),
    "an ordinary init container": (lambda pod: sidecar(pod).pop("restartPolicy"), "no gateway"),
    "not first": (_later, "no gateway"),
    "another profile": (
        lambda pod: pod["metadata"]["annotations"].update({"toolgate.dev/profile": "x"}),
        "no such profile",
    ),
    "another image": (lambda pod: sidecar(pod).update(image="mine:1"), "not as it was injected"),
    "another image of the rules": (
        lambda pod: pod["spec"]["initContainers"][0].update(image="a"),
        "not as it was injected",
    ),
    "another command": (lambda pod: sidecar(pod).update(command=["sleep"]), "not as it was injected"),
    "other arguments": (lambda pod: sidecar(pod).update(args=["run", "-c", "/tmp/c"]), "not as it was injected"),
    "a hook": (lambda pod: sidecar(pod).update(lifecycle={"postStart": {}}), "not as it was injected"),
    "a probe that runs": (lambda pod: sidecar(pod).update(livenessProbe={"exec": {}}), "not as it was injected"),
    "another user": (lambda pod: sidecar(pod)["securityContext"].update(runAsUser=1), "not as it was injected"),
    "another configuration": (_volume("toolgate-config", {"configMap": {"name": "mine"}}), "other files"),
    "a configuration that can be written": (_volume("toolgate-config", {"emptyDir": {}}), "other files"),
    "other policies": (_volume("toolgate-policies", {"configMap": {"name": "mine"}}), "other files"),
    "code over its own": (
        lambda pod: sidecar(pod)["volumeMounts"].append({"name": "toolgate-tmp", "mountPath": "/opt/toolgate"}),
        "other files",
    ),
    "part of a volume": (lambda pod: sidecar(pod)["volumeMounts"][0].update(subPath="x"), "other files"),
    "another name": (_variable("TOOLGATE_SERVICE_ACCOUNT", "admin"), "another"),
    "another namespace": (_variable("TOOLGATE_POD_NAMESPACE", "prod"), "another"),
    "a library": (_variable("LD_PRELOAD", "/tmp/x.so"), "another"),
    "code by the environment": (_variable("PYTHONPATH", "/tmp"), "another"),
    "the node's network": (lambda pod: pod["spec"].update(hostNetwork=True), "node's network"),
    "the node's processes": (lambda pod: pod["spec"].update(hostPID=True), "node's network"),
    "shared processes": (lambda pod: pod["spec"].update(shareProcessNamespace=True), "node's network"),
    "its processes later": (
        lambda pod: pod["spec"].update(ephemeralContainers=[{**_as(1000), "targetContainerName": "toolgate"}]),
        "share no processes",
    ),
    "its user": (lambda pod: agent(pod)["securityContext"].update(runAsUser=UID), "runs as user"),
    "its user at first": (
        lambda pod: pod["spec"]["initContainers"][2].update(securityContext=_as(UID)["securityContext"]),
        "runs as user",
    ),
    "its user later": (lambda pod: pod["spec"].update(ephemeralContainers=[_as(UID)]), "runs as user"),
    "its user from the pod": (
        lambda pod: (
            pod["spec"].update(securityContext={"runAsUser": UID}),
            agent(pod)["securityContext"].pop("runAsUser"),
        ),
        "runs as user",
    ),
    "its Secrets": (
        lambda pod: agent(pod).update(volumeMounts=[{"name": "toolgate-state", "mountPath": "/x"}]),
        "mounted by nobody else",
    ),
    "no rules": (lambda pod: pod["spec"]["initContainers"].pop(0), "no init container toolgate-redirect"),
    "rules for another user": (
        lambda pod: pod["spec"]["initContainers"][0].update(
            args=["redirect", "apply", "--uid", "1000", "--port", "15001"]
        ),
        "no init container toolgate-redirect",
    ),
    "the right to change rules": (
        lambda pod: agent(pod)["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
        "drop ALL",
    ),
    "privileges": (lambda pod: agent(pod)["securityContext"].update(privileged=True), "drop ALL"),
    "the capabilities of the runtime": (lambda pod: agent(pod)["securityContext"].pop("capabilities"), "drop ALL"),
    "a user that only the image says": (lambda pod: agent(pod)["securityContext"].pop("runAsUser"), "drop ALL"),
    "the node's files": (_volume("root", {"hostPath": {"path": "/"}}), "nothing of its node"),
    "the node's memory": (lambda pod: pod["spec"].update(hostIPC=True), "nothing of its node"),
    "a port of the node": (
        lambda pod: agent(pod).update(ports=[{"containerPort": 1, "hostPort": 1}]),
        "nothing of its node",
    ),
    "the kernel's files": (
        lambda pod: agent(pod)["securityContext"].update(procMount="Unmasked"),
        "nothing of its node",
    ),
    "the kernel's settings": (
        lambda pod: pod["spec"].update(securityContext={"sysctls": [{"name": "net.ipv4.ip_forward", "value": "1"}]}),
        "nothing of its node",
    ),
    "nothing said": (lambda pod: agent(pod).pop("securityContext"), "drop ALL"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_way_past_the_sidecar_is_refused(way: str, guarding: Rendered, good: Pod) -> None:
    change, why = WAYS[way]
    pod = copy.deepcopy(good)
    change(pod)
    assert any(why in message for message in denied(guarding.one("ValidatingAdmissionPolicy"), pod))


def test_containers_that_are_put_in_later_are_looked_at(guarding: Rendered, good: Pod) -> None:
    """By kubectl debug: it changes pods/ephemeralcontainers, which the guard names."""
    guard = guarding.one("ValidatingAdmissionPolicy")
    (rule,) = guard["spec"]["matchConstraints"]["resourceRules"]
    assert set(rule["resources"]) == {"pods", "pods/ephemeralcontainers"}
    assert set(rule["operations"]) == {"CREATE", "UPDATE"}
    with_user = {**good, "spec": {**good["spec"], "ephemeralContainers": [_as(UID)]}}
    without = {**good, "spec": {**good["spec"], "ephemeralContainers": [_as(1000)]}}
    assert denied(guard, with_user, good) != []
    assert denied(guard, without, good) == []


def test_what_was_there_before_can_be_labelled_and_deleted(guarding: Rendered) -> None:
    """Controllers take finalizers from pods; a guard that is installed later must not hold those up."""
    old = {**FULL, "metadata": {**FULL["metadata"], "finalizers": ["batch.kubernetes.io/job-tracking"]}}
    assert denied(guarding.one("ValidatingAdmissionPolicy"), FULL, old) == []


def test_pods_of_the_release_before_keep_their_image(guarding: Rendered, good: Pod) -> None:
    guard = guarding.one("ValidatingAdmissionPolicy")
    old = copy.deepcopy(good)
    for container in old["spec"]["initContainers"][:2]:
        container["image"] = "toolgate:0.0.9"
    changed = copy.deepcopy(old)
    agent(changed)["image"] = "agent:2"
    assert denied(guard, changed, old) == []
    sidecar(changed)["image"] = "mine:1"
    assert denied(guard, changed, old) != []
