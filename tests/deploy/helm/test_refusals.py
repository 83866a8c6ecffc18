"""What cannot work, or would not hold, does not render; it is said where and what to write instead."""

from __future__ import annotations

import pytest

from tests.deploy.tools.fetch import Tools

from .chart import VALUES, settings, template

TOOLS = 'config.tools={"a": {"url": "http://a.svc"}}'
SIDECAR = 'mode="sidecar"'
REFUSED = {
    "no tools": ([], r"config\.tools: name the tools"),
    "no tools of a profile": (
        [TOOLS, SIDECAR, 'sidecar.profiles={"x": {}}', 'sidecar.namespaces=["a"]'],
        r"sidecar\.profiles\.x\.config\.tools",
    ),
    "the chart's listen": ([TOOLS, 'config.listen=":80"'], r"config\.listen is set by the chart; give ports\.gateway"),
    "the chart's policies": ([TOOLS, 'config.policies="p"'], r"give policies, or existingPoliciesConfigMap"),
    "the chart's probes": ([TOOLS, 'config.admin={"probes": ":1"}'], r"admin\.probes is set by the chart"),
    "the chart's drain": ([TOOLS, 'config.wire={"drain": "1h"}'], r"give shutdown\.drainSeconds"),
    "admin as text": ([TOOLS, 'config.admin="0.0.0.0:9090"'], r"write it as a mapping"),
    "replicas without a state": ([TOOLS, "replicas=2"], r"share it by redis://"),
    "scaling without a state": ([TOOLS, "autoscaling.enabled=true"], r"share it by redis://"),
    "replicas on one file": (
        [TOOLS, "replicas=2", 'config.state="sqlite:////var/lib/toolgate/s.db"'],
        r"share it by redis://",
    ),
    "replicas on one volume": (
        [TOOLS, "replicas=2", 'config.state="redis://r"', "persistence.enabled=true"],
        r"a volume is for one replica",
    ),
    "state where nothing can be written": (
        [TOOLS, 'config.state="sqlite:///state.db"'],
        r"write sqlite:////var/lib/toolgate/state\.db",
    ),
    "a console that listens to nobody": (
        [TOOLS, "adminService.enabled=true"],
        r"config\.admin\.listen must be on all addresses",
    ),
    "a volume of sidecars": (
        [TOOLS, SIDECAR, "persistence.enabled=true"],
        r"persistence\.enabled: it is for mode: gateway",
    ),
    "a profile twice": ([TOOLS, SIDECAR, 'sidecar.profiles={"default": {}}'], r"write it there"),
    "a guard beside opting out": ([TOOLS, SIDECAR, "injector.allowOptOut=true"], r"switch one of them off"),
    "a secret without its authority": (
        [TOOLS, SIDECAR, 'injector.tls={"from": "secret", "secretName": "a"}'],
        r"give secretName .* and caBundle",
    ),
    "an unknown key": ([TOOLS, "replica=2"], r"replica"),
    "an unknown key of the gateway": ([TOOLS, 'config.wire={"keepalive": "1s"}'], r"keepalive"),
    "a digest that is none": ([TOOLS, 'image.digest="sha256:12"'], r"digest"),
    "a policy that is no file": ([TOOLS, 'policies={"a.txt": "x"}'], r"a\.txt"),
    "a profile whose name is too long": (
        [TOOLS, SIDECAR, f'sidecar.profiles={{"{"p" * 40}": {{}}}}'],
        r"/sidecar/profiles.*ppp",
    ),
    "a label by which pods are selected": ([TOOLS, 'podLabels={"app.kubernetes.io/name": "x"}'], r"podLabels"),
    "one of all objects": ([TOOLS, 'commonLabels={"app.kubernetes.io/instance": "x"}'], r"commonLabels"),
    "a port that needs rights": ([TOOLS, "ports.gateway=80"], r"gateway"),
}
NEEDS = {
    "the guard": (
        ["guard.enabled=true", 'injector.kind="webhook"'],
        "1.29.4",
        r"guard\.enabled: it needs Kubernetes 1\.30",
    ),
    "the policy": (["guard.enabled=false", 'injector.kind="policy"'], "1.33.0", r"injector\.kind: policy needs"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_refused_with_the_place_and_the_fix(case: str, tooling: Tools) -> None:
    given, why = REFUSED[case]
    with pytest.raises(ValueError, match=why):
        template(tooling.helm4, *settings(given))


@pytest.mark.parametrize("case", NEEDS)
def test_what_a_cluster_is_too_old_for_is_refused(case: str, tooling: Tools) -> None:
    given, version, why = NEEDS[case]
    with pytest.raises(ValueError, match=why):
        template(tooling.helm4, *settings([TOOLS, SIDECAR, *given]), "--kube-version", version)


def test_what_differs_in_one_thing_is_not_refused(tooling: Tools) -> None:
    assert template(tooling.helm4, *settings([TOOLS]))
    assert template(tooling.helm4, *settings([TOOLS, "replicas=2", 'config.state="redis://r"']))
    assert template(tooling.helm4, *settings([TOOLS, SIDECAR, "guard.enabled=false", "injector.allowOptOut=true"]))
    assert template(tooling.helm4, "--values", VALUES["sidecar-policy"], "--kube-version", "1.34.2")
