"""What must be true of whatever values: valid objects, restricted pods, ports and names that fit each other."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.deploy.pss import violations
from tests.deploy.schemas import Schemas
from tests.deploy.tools.fetch import Tools

from .chart import NAMESPACE, ROOT, VALUES, Rendered, objects, render, template


def test_there_are_enough_values_to_tell() -> None:
    assert len(VALUES) >= 10


def test_objects_are_what_the_newest_kubernetes_knows(rendered: Rendered, schemas: Schemas) -> None:
    newest = schemas.versions()[-1]
    faults = {
        f"{rendered.name} {one['kind']}: {fault}" for one in rendered.objects for fault in schemas.faults(one, newest)
    }
    assert faults == set()


def test_every_pod_is_restricted(rendered: Rendered) -> None:
    faults = {f"{rendered.name} {whose}: {fault}" for whose, spec in rendered.pods() for fault in violations(spec)}
    assert faults == set()


def test_every_container_writes_nowhere_but_in_its_volumes_and_has_bounds(rendered: Rendered) -> None:
    for whose, spec in rendered.pods():
        for container in spec["containers"]:
            about = f"{rendered.name} {whose} {container['name']}"
            assert container["securityContext"]["readOnlyRootFilesystem"] is True, about
            assert container["securityContext"]["runAsUser"] == 10001, about
            assert {"requests", "limits"} <= set(container["resources"]), about
            assert not any("subPath" in mount for mount in container.get("volumeMounts", [])), about


def test_every_mount_has_its_volume_and_every_volume_a_mount(rendered: Rendered) -> None:
    for whose, spec in rendered.pods():
        volumes = [volume["name"] for volume in spec.get("volumes", [])]
        mounts = {mount["name"] for container in spec["containers"] for mount in container.get("volumeMounts", [])}
        assert len(volumes) == len(set(volumes)), f"{rendered.name} {whose}: a volume twice"
        assert set(volumes) == mounts, f"{rendered.name} {whose}"


def test_names_are_once_and_short_enough(rendered: Rendered) -> None:
    names = [(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]) for one in rendered.objects]
    assert len(names) == len(set(names)), rendered.name
    assert all(len(name) <= 63 for _, _, name in names), rendered.name


def test_every_object_is_labelled_as_the_releases(rendered: Rendered) -> None:
    for one in rendered.objects:
        if "helm.sh/hook" in one["metadata"].get("annotations", {}):
            continue
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "prod", (rendered.name, one["kind"])
        assert labels["app.kubernetes.io/managed-by"] == "Helm", (rendered.name, one["kind"])
        assert labels.items() >= rendered.values.get("commonLabels", {}).items(), (rendered.name, one["kind"])


def test_selectors_find_the_pods_they_are_for(rendered: Rendered) -> None:
    for deployment in rendered.of("Deployment"):
        labels = deployment["spec"]["template"]["metadata"]["labels"].items()
        selectors = [deployment["spec"]["selector"]["matchLabels"]]
        selectors += [service["spec"]["selector"] for service in rendered.of("Service")]
        selectors += [one["spec"]["selector"]["matchLabels"] for one in rendered.of("PodDisruptionBudget")]
        selectors += [one["spec"]["podSelector"]["matchLabels"] for one in rendered.of("NetworkPolicy")]
        for selector in selectors:
            assert selector.items() <= labels, rendered.name


def test_services_lead_to_ports_that_the_container_names(rendered: Rendered) -> None:
    for service in rendered.of("Service"):
        (deployment,) = rendered.of("Deployment")
        named = {port["name"] for one in deployment["spec"]["template"]["spec"]["containers"] for port in one["ports"]}
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in named or isinstance(port["targetPort"], int), rendered.name


def test_probes_ask_the_listener_that_has_nothing_else(rendered: Rendered) -> None:
    for deployment in rendered.of("Deployment"):
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        asked = {kind: container[kind]["httpGet"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")}
        assert {probe["port"] for probe in asked.values()} == {"probes"}, rendered.name
        assert asked["readinessProbe"]["path"] != asked["livenessProbe"]["path"], rendered.name


def test_a_pod_has_the_time_to_wait_and_to_drain(rendered: Rendered) -> None:
    if rendered.sidecar:
        return
    pod = rendered.one("Deployment")["spec"]["template"]["spec"]
    stop = pod["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    drain = 30
    if config := _config(rendered):
        drain = int(config["wire"]["drain"].removesuffix("s"))
    assert pod["terminationGracePeriodSeconds"] > stop + drain, rendered.name


def test_no_token_of_an_account_is_mounted_where_nothing_is_asked(rendered: Rendered) -> None:
    for whose, spec in rendered.pods():
        assert spec["automountServiceAccountToken"] is False, f"{rendered.name} {whose}"
    if rendered.sidecar:
        return
    config = _config(rendered)
    ways = (
        [way["kubernetes"] for way in [*config["identify"], config["admin"]] if "kubernetes" in way] if config else [{}]
    )
    wanted = [] if rendered.values.get("tokenReview") is False else ways
    volumes = {volume["name"] for volume in rendered.one("Deployment")["spec"]["template"]["spec"]["volumes"]}
    assert ("api" in volumes) is bool(wanted), rendered.name
    assert bool(rendered.of("ClusterRoleBinding")) is any("issuer" not in way for way in wanted), rendered.name


def test_a_budget_for_disruptions_is_there_where_it_can_help(rendered: Rendered) -> None:
    if rendered.sidecar:
        return
    several = rendered.values.get("replicas", 1) > 1 or "autoscaling" in rendered.values
    wanted = several and rendered.values.get("podDisruptionBudget", {}).get("enabled", True)
    assert bool(rendered.of("PodDisruptionBudget")) is wanted, rendered.name
    assert ("replicas" in rendered.one("Deployment")["spec"]) is ("autoscaling" not in rendered.values), rendered.name


def test_the_oldest_kubernetes_knows_what_is_rendered_for_it(tooling: Tools, schemas: Schemas) -> None:
    old = render(tooling.helm4, "minimal", "--kube-version", "1.29.0")
    assert [fault for one in old.objects for fault in schemas.faults(one, "1.29")] == []
    (container,) = old.one("Deployment")["spec"]["template"]["spec"]["containers"]
    assert list(container["lifecycle"]["preStop"]) == ["exec"]  # sleep came with 1.30


def test_a_kubernetes_without_native_sidecars_is_refused(tooling: Tools) -> None:
    with pytest.raises(ValueError, match=r"incompatible with Kubernetes v1\.28"):
        template(tooling.helm4, "--values", VALUES["minimal"], "--kube-version", "1.28.0")


def test_both_versions_of_helm_render_the_same(tooling: Tools, everything: dict[str, Rendered]) -> None:
    for name in ("protocols", "monitoring"):
        assert _sorted(render(tooling.helm3, name).objects) == _sorted(everything[name].objects)


@pytest.mark.parametrize("name", ["sidecar", "persistent"])
def test_rendering_twice_gives_the_same(name: str, tooling: Tools, everything: dict[str, Rendered]) -> None:
    """Nothing is made up while rendering, such as certificates: tools of GitOps would see a change each time."""
    assert everything[name].objects == render(tooling.helm4, name).objects


def test_a_policy_takes_no_new_pods_and_another_state_does(tooling: Tools) -> None:
    def pods(*options: str) -> dict[str, Any]:
        text = template(tooling.helm4, "--values", VALUES["redis"], *options)
        (deployment,) = [one for one in objects(text) if one["kind"] == "Deployment"]
        found: dict[str, Any] = deployment["spec"]["template"]
        return found

    before = pods()
    assert pods("--set-json", 'policies={"other.yaml": "kind: Grant"}', "--set", "config.wire.keep_alive=5s") == before
    assert pods("--set", "config.state=redis://other.data.svc:6379/0") != before
    assert pods("--set", "config.log.level=debug") != before


def test_alerts_and_dashboard_are_those_of_the_docs(everything: dict[str, Rendered]) -> None:
    monitoring = everything["monitoring"]
    told = {rule.get("alert") or rule["record"]: rule for rule in _rules(monitoring.one("PrometheusRule")["spec"])}
    docs = [yaml.safe_load(file.read_text()) for file in ROOT.glob("docs/prometheus/*s.yaml")]
    docs += [yaml.safe_load((ROOT / "docs/prometheus/recording.yaml").read_text())]
    written = {rule.get("alert") or rule["record"]: rule for one in docs for rule in _rules(one)}
    left_out = monitoring.values["metrics"]["prometheusRule"]["without"]
    assert told == {name: rule for name, rule in written.items() if name not in left_out}
    assert set(left_out) < set(written)


def test_alerts_have_the_address_of_their_section_of_the_runbook(everything: dict[str, Rendered]) -> None:
    titles = set(re.findall(r"^## (Toolgate\w+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE))
    rules = _rules(everything["sidecar-redirect"].one("PrometheusRule")["spec"])
    alerts = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in rules if "alert" in rule}
    assert titles == set(alerts)
    for name, address in alerts.items():
        assert address == f"https://wiki.example.org/toolgate/runbook#{name.lower()}"


def test_sidecars_and_their_injector_are_scraped(everything: dict[str, Rendered]) -> None:
    webhook, policy = everything["sidecar-redirect"], everything["sidecar-policy"]
    assert len(webhook.of("PodMonitor")) == 2
    monitor, pod = (
        webhook.one("PodMonitor", "-injector")["spec"],
        webhook.one("Deployment", "-injector")["spec"]["template"],
    )
    assert monitor["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    ports = {port["name"] for container in pod["spec"]["containers"] for port in container["ports"]}
    assert {end["port"] for end in monitor["podMetricsEndpoints"]} <= ports
    assert "namespaceSelector" not in monitor, "that of the release, where injectors are"
    (sidecars,) = policy.of("PodMonitor")
    assert sidecars["spec"]["namespaceSelector"] == {"any": True}
    (end,) = sidecars["spec"]["podMetricsEndpoints"]
    assert [rule["targetLabel"] for rule in end["relabelings"]] == ["profile"], "versions of profiles may differ"


def test_only_labelled_pods_may_call(everything: dict[str, Rendered]) -> None:
    policy = everything["minimal"].one("NetworkPolicy")["spec"]
    calls, operators = policy["ingress"]
    assert calls["ports"] == [{"port": "gateway"}]
    assert all("podSelector" in peer for peer in calls["from"])
    assert {port["port"] for port in operators["ports"]} == {"probes"}
    assert policy["policyTypes"] == ["Ingress"]
    strict = everything["network"].one("NetworkPolicy")["spec"]
    assert strict["policyTypes"] == ["Ingress", "Egress"]
    assert [port["port"] for port in strict["egress"][0]["ports"]] == [53, 53]


def test_all_of_it_is_in_the_namespace_of_the_release_but_for_agents(rendered: Rendered) -> None:
    own = {NAMESPACE, None, *rendered.values.get("sidecar", {}).get("namespaces", [])}
    assert {one["metadata"].get("namespace") for one in rendered.objects} <= own, rendered.name


def _rules(spec: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for group in spec["groups"] for rule in group["rules"]]


def _config(rendered: Rendered) -> dict[str, Any]:
    if rendered.values.get("existingConfigMap"):
        return {}
    found: dict[str, Any] = yaml.safe_load(rendered.one("ConfigMap", "-config")["data"]["config.yaml"])
    return found


def _sorted(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=lambda one: (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]))
