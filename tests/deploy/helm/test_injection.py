"""Pods after injection by the policy: as they were, with a gateway that can use its files, and let in by the guard."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import jsonpatch
import pytest

from gateway.config.load import attempt
from gateway.inject.patch import injection
from gateway.inject.settings import InjectSettings, read_settings
from tests.deploy.pss import violations
from tests.deploy.schemas import Schemas
from tests.deploy.tools.fetch import Tools

from .admission import denied, mutated
from .chart import VALUES, Rendered, render
from .mounted import config_in

SIDECARS = [name for name in VALUES if name.startswith("sidecar")]
PLAIN: dict[str, Any] = {
    "apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "agent-"},
    "spec": {"containers": [{"name": "agent", "image": "agent:1"}]},
}  # fmt: skip
SAFE = {
    "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True, "runAsUser": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip
FULL: dict[str, Any] = {
    "apiVersion": "v1", "kind": "Pod",
    "metadata": {"name": "agent-1", "labels": {"app": "agent"}, "annotations": {"a": "b"}},
    "spec": {
        "initContainers": [{"name": "fetch", "image": "fetch:1", "securityContext": SAFE}],
        "containers": [
            {"name": "agent", "image": "agent:1", "securityContext": SAFE, "env": [{"name": "HTTP_PROXY", "value": "http://mine:1"}]},
            {"name": "helper", "image": "helper:1", "securityContext": SAFE},
        ],
        "volumes": [{"name": "data", "emptyDir": {}}],
    },
}  # fmt: skip


def of_profile(pod: dict[str, Any], profile: str) -> dict[str, Any]:
    chosen = copy.deepcopy(pod)
    chosen["metadata"].setdefault("annotations", {})["toolgate.dev/profile"] = profile
    return chosen


@pytest.fixture(scope="session")
def policies(tooling: Tools) -> dict[str, Rendered]:
    """Each values file of sidecars, with the policy instead of the webhook."""
    return {name: render(tooling.helm4, name, "--set", "injector.kind=policy") for name in SIDECARS}


@pytest.fixture(scope="session")
def webhooks(tooling: Tools, tmp_path_factory: pytest.TempPathFactory) -> dict[str, InjectSettings]:
    """What the injector is told by each values file."""
    found = {}
    for name in SIDECARS:
        rendered = render(tooling.helm4, name, "--set", "injector.kind=webhook")
        file = tmp_path_factory.mktemp(name) / "inject.yaml"
        file.write_text(rendered.one("ConfigMap", "-inject")["data"]["inject.yaml"])
        found[name] = read_settings(file)
    return found


@pytest.fixture(params=SIDECARS)
def injecting(request: pytest.FixtureRequest, policies: dict[str, Rendered]) -> Rendered:
    return policies[request.param]


def inject(rendered: Rendered, pod: dict[str, Any]) -> dict[str, Any]:
    return mutated(rendered.of("MutatingAdmissionPolicy"), pod)


def profiles_of(rendered: Rendered) -> list[str]:
    return ["default", *rendered.values.get("sidecar", {}).get("profiles", {})]


def test_a_pod_keeps_all_that_it_has(injecting: Rendered) -> None:
    for profile in profiles_of(injecting):
        pod = of_profile(FULL, profile)
        spec = inject(injecting, pod)["spec"]
        names = [container["name"] for container in spec["initContainers"]]
        own = len(names) - 1
        assert names[own - 1 :] == ["toolgate", "fetch"], (injecting.name, profile)
        assert names[: own - 1] in ([], ["toolgate-redirect"]), (injecting.name, profile)
        assert spec["volumes"][0] == pod["spec"]["volumes"][0]
        theirs = [*pod["spec"]["containers"], *pod["spec"]["initContainers"]]
        for before, after in zip(theirs, [*spec["containers"], *spec["initContainers"][own:]], strict=True):
            env = before.get("env", [])
            assert after["env"][: len(env)] == env, "what the pod sets itself stays"
            assert {**after, "env": env} == {**before, "env": env}
            assert len({variable["name"] for variable in after["env"]}) == len(after["env"])


def test_the_webhook_makes_the_same_of_a_pod(injecting: Rendered, webhooks: dict[str, InjectSettings]) -> None:
    for profile in profiles_of(injecting):
        for pod in (PLAIN, FULL):
            chosen = of_profile(pod, profile)
            made = injection(chosen, "agents", webhooks[injecting.name])
            assert made.denied == "", (injecting.name, profile)
            patched = jsonpatch.apply_patch(copy.deepcopy(chosen), list(made.patch))
            assert patched == inject(injecting, chosen), (injecting.name, profile)


def test_the_smallest_pod_is_injected_once(injecting: Rendered) -> None:
    made = inject(injecting, PLAIN)
    assert made["metadata"]["labels"] == {"toolgate.dev/injected": "true"}, injecting.name
    assert inject(injecting, made) == made, injecting.name


def test_what_is_injected_is_valid_and_restricted(injecting: Rendered, schemas: Schemas) -> None:
    for profile in profiles_of(injecting):
        made = inject(injecting, of_profile(FULL, profile))
        assert list(schemas.faults(made, "1.37")) == [], (injecting.name, profile)
        faults = [fault for fault in violations(made["spec"]) if not fault.startswith("toolgate-redirect: ")]
        assert faults == [], (injecting.name, profile)


def test_the_guard_lets_through_what_was_injected(injecting: Rendered) -> None:
    for guard in injecting.of("ValidatingAdmissionPolicy"):
        for profile in profiles_of(injecting):
            assert denied(guard, inject(injecting, of_profile(FULL, profile))) == [], (injecting.name, profile)
            assert denied(guard, of_profile(FULL, profile)) != [], (injecting.name, profile)


def test_a_sidecar_can_use_its_configuration(
    injecting: Rendered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = {one["metadata"]["name"] for one in injecting.of("ConfigMap")}
    for profile in profiles_of(injecting):
        spec = inject(injecting, of_profile(PLAIN, profile))["spec"]
        names = {volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume}
        if not names <= written:
            continue  # somebody else's
        (sidecar,) = [container for container in spec["initContainers"] if container["name"] == "toolgate"]
        for variable in sidecar["env"]:
            monkeypatch.setenv(variable["name"], "agents")
        path, text = config_in(injecting, spec, sidecar, tmp_path / profile)
        made = attempt(path)
        assert [str(problem) for problem in made.errors] == [], f"{injecting.name}, {profile}:\n{text}"
        assert made.loaded is not None
        config = made.loaded.config
        assert config.listen.host == "127.0.0.1", "nobody outside of the pod may call"
        assert config.admin.asks, "agents share the loopback, and could lift what stops them"
        redirected = any(container["name"] == "toolgate-redirect" for container in spec["initContainers"])
        assert (config.listen_transparent is not None) is redirected, (injecting.name, profile)


def test_the_agent_is_whom_the_pod_says_and_not_what_it_says(
    policies: dict[str, Rendered], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = inject(policies["sidecar"], PLAIN)["spec"]
    (sidecar,) = spec["initContainers"]
    told = {variable["name"]: variable["valueFrom"]["fieldRef"]["fieldPath"] for variable in sidecar["env"]}
    assert told == {
        "TOOLGATE_POD_NAMESPACE": "metadata.namespace",
        "TOOLGATE_SERVICE_ACCOUNT": "spec.serviceAccountName",
    }
    monkeypatch.setenv("TOOLGATE_POD_NAMESPACE", "agents")
    monkeypatch.setenv("TOOLGATE_SERVICE_ACCOUNT", "reporter")
    made = attempt(config_in(policies["sidecar"], spec, sidecar, tmp_path)[0])
    assert made.loaded is not None
    (way,) = made.loaded.config.identify
    assert way.anonymous == "system:serviceaccount:agents:reporter"


def test_sdks_are_led_to_the_gateway(policies: dict[str, Rendered]) -> None:
    def env(name: str, profile: str) -> dict[str, str]:
        (container,) = inject(policies[name], of_profile(PLAIN, profile))["spec"]["containers"]
        return {variable["name"]: variable["value"] for variable in container["env"]}

    assert env("sidecar", "default") == {
        "TOOLGATE_URL": "http://127.0.0.1:8080",
        "OPENAI_BASE_URL": "http://127.0.0.1:8080/openai",
    }
    models = env("sidecar-policy", "models")
    assert models["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:8080/anthropic"
    assert models["OPENAI_BASE_URL"] == "http://127.0.0.1:8080/local"
    assert models["HTTPS_PROXY"] == models["https_proxy"] == "http://127.0.0.1:8080"


def test_only_who_may_opt_out_can(policies: dict[str, Rendered]) -> None:
    pod = copy.deepcopy(PLAIN)
    pod["metadata"]["annotations"] = {"toolgate.dev/inject": "false"}
    assert inject(policies["sidecar-optout"], pod) == pod
    assert inject(policies["sidecar"], pod) != pod


@pytest.mark.parametrize("spec", [{"os": {"name": "windows"}}, {"nodeSelector": {"kubernetes.io/os": "windows"}}])
def test_windows_is_left_alone(policies: dict[str, Rendered], spec: dict[str, Any]) -> None:
    pod = copy.deepcopy(PLAIN)
    pod["spec"] |= spec
    assert inject(policies["sidecar"], pod) == pod


def test_linux_by_name_is_not(policies: dict[str, Rendered]) -> None:
    pod = copy.deepcopy(PLAIN)
    pod["spec"] |= {"os": {"name": "linux"}, "nodeSelector": {"kubernetes.io/os": "linux", "disk": "ssd"}}
    assert inject(policies["sidecar"], pod)["spec"]["initContainers"][0]["name"] == "toolgate"
