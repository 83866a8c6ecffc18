"""The NetworkPolicies to start from: what they let out, to whom, and that none lets everything pass."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.model.egress import Egress

FOLDER = Path(__file__).parents[2] / "deploy" / "networkpolicy"
FILES = sorted(FOLDER.glob("*.yaml"))
INSIDE = ("169.254.169.254", "10.96.0.1", "192.168.1.1", "100.64.0.1", "172.20.0.1", "fd00:ec2::254", "fe80::1")
DNS = {"kubernetes.io/metadata.name": "kube-system"}


def spec_of(file: Path) -> dict[str, Any]:
    document = yaml.safe_load(file.read_text())
    assert (document["apiVersion"], document["kind"]) == ("networking.k8s.io/v1", "NetworkPolicy")
    spec: dict[str, Any] = document["spec"]
    return spec


def places(rules: list[dict[str, Any]], side: str) -> list[tuple[dict[str, Any], frozenset[int]]]:
    """Who may be reached (or may connect) and on which ports."""
    return [(place, frozenset(port["port"] for port in rule["ports"])) for rule in rules for place in rule[side]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_both_ways_are_closed_but_for_what_is_named(file: Path) -> None:
    """A rule without places or without ports would be for all of them; a way that is not named is open."""
    spec = spec_of(file)
    assert sorted(spec["policyTypes"]) == ["Egress", "Ingress"]
    for rules, side in ((spec["ingress"], "from"), (spec["egress"], "to")):
        for place, ports in places(rules, side):
            assert place
            assert ports


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize("address", INSIDE)
def test_nothing_inside_is_reached_by_its_address(file: Path, address: str) -> None:
    """What the gateway's own egress would refuse for a public name, the policy refuses too."""
    assert Egress().refusal("api.example.com", address)
    found = ip_address(address)
    for place, _ in places(spec_of(file)["egress"], "to"):
        block = place.get("ipBlock")
        if block is not None and found in ip_network(block["cidr"]):
            assert any(found in ip_network(one) for one in block["except"])


def test_agents_reach_the_gateway_and_names_only() -> None:
    spec = spec_of(FOLDER / "agents.yaml")
    assert (spec["podSelector"], spec["ingress"]) == ({}, [])
    (gateway, on), (dns, asked) = places(spec["egress"], "to")
    assert gateway["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": "toolgate"}
    assert gateway["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "toolgate"}
    assert dns["namespaceSelector"]["matchLabels"] == DNS
    assert (on, asked) == ({8080}, {53})
    accepted = places(spec_of(FOLDER / "gateway.yaml")["ingress"], "from")
    assert [ports for place, ports in accepted if "toolgate.dev/agents" in str(place)] == [on]
