"""A process of the pod cannot reach anybody around the gateway, and reaches tools by their own URLs through it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.e2e.harness.net import eventually

from .conftest import PORT, TRANSPARENT, Pod
from .programs import CLOSE, GET, LAST_ACK, PING, RAW, SECURE, SERVE, TCP, UDP
from .space import AGENT, GATEWAY, OUTSIDE


def reached(pod: Pod, **expected: object) -> list[dict[str, object]]:
    """What has reached anybody outside, of this kind."""
    return [one for one in pod.outside() if all(one.get(key) == expected[key] for key in expected)]


@pytest.mark.parametrize("address", OUTSIDE)
def test_without_rules_everything_is_reached(bare: Pod, address: str) -> None:
    """So that the tests below tell of the rules, and not of a wire that is broken."""
    remains = bare.space.redirect("remove")
    assert remains.stdout == "connections are not redirected\n"
    assert bare.agent(TCP, address, "5432") == "welcome\n"
    assert bare.agent(UDP, address, "443", "before") == "before"


class TestThrough:
    """Tools, by the URLs that agents know."""

    def test_http_is_decided_and_gets_the_credential(self, pod: Pod) -> None:
        status, body, call = pod.agent(GET, "http://tool.example/hello")
        assert (status, body) == (200, "80 answers")
        record = pod.trace(call=call)
        assert (record["agent"], record["tool"], record["decision"]) == ("pod", "tool", "allow")
        assert reached(pod, path="/hello") == [
            {"kind": "http", "port": 80, "host": "tool.example", "path": "/hello", "token": "Bearer s3cret"}
        ]

    def test_a_rule_refuses(self, pod: Pod) -> None:
        status, body, _ = pod.agent(GET, "http://tool.example/wipe")
        assert (status, json.loads(body)["reason"]) == (403, "policy_denied")
        assert reached(pod, path="/wipe") == []

    def test_ipv6_and_another_port(self, pod: Pod) -> None:
        status, body, call = pod.agent(GET, "http://six.example:8080/six")
        assert (status, body, pod.trace(call=call)["tool"]) == (200, "8080 answers", "six")

    def test_an_https_tool_by_http_is_seen_and_spoken_with_over_tls(self, pod: Pod) -> None:
        status, body, call = pod.agent(GET, "http://safe.example/upgraded")
        assert (status, body) == (200, "443 answers")
        assert pod.trace(call=call)["path"] == "/upgraded"

    def test_the_name_that_an_agent_gives_is_believed_as_on_the_loopback(self, pod: Pod) -> None:
        _, _, call = pod.agent(GET, "http://tool.example/named", '{"x-agent-id": "named"}')
        assert pod.trace(call=call)["agent"] == "named"

    @pytest.mark.parametrize("address", OUTSIDE)
    def test_tls_is_spoken_with_the_tool_itself(self, pod: Pod, address: str) -> None:
        shown, answer = pod.agent(SECURE, address, "safe.example", "443", str(pod.authority))
        assert shown == "safe.example", answer
        assert answer.startswith("HTTP/1.1 200") and answer.endswith("443 answers")
        assert pod.trace(tool="safe")["decision"] == "allow"


class TestAround:
    """Whatever else is tried."""

    @pytest.mark.parametrize("address", OUTSIDE)
    def test_a_host_that_is_no_tool(self, pod: Pod, address: str) -> None:
        at = f"[{address}]" if ":" in address else address
        status, body, _ = pod.agent(GET, f"http://{at}/around", '{"Host": "evil.example"}')
        told = json.loads(body)
        assert (status, told["reason"]) == (403, "unknown_tool")
        assert f"on a connection to {at}:80" in told["detail"]
        assert pod.trace(call=told["call_id"])["decision"] == "refuse"
        assert reached(pod, path="/around") == []

    def test_a_path_that_begins_with_a_tools_name_is_none_of_its(self, pod: Pod) -> None:
        status, body, _ = pod.agent(GET, f"http://{OUTSIDE[0]}/tool/x")
        assert (status, json.loads(body)["reason"]) == (403, "unknown_tool")

    def test_a_tools_host_on_a_port_of_another(self, pod: Pod) -> None:
        status, body, _ = pod.agent(GET, f"http://{OUTSIDE[0]}:5432/", '{"Host": "tool.example"}')
        assert (status, json.loads(body)["reason"]) == (403, "unknown_tool")
        assert reached(pod, kind="tcp", port=5432) == WITHOUT_RULES

    def test_a_tools_host_leads_to_the_tool_wherever_the_agent_connects(self, pod: Pod) -> None:
        status, body, _ = pod.agent(GET, "http://192.0.2.9/elsewhere", '{"Host": "tool.example"}')
        assert (status, body) == (200, "80 answers")
        assert [one["host"] for one in reached(pod, path="/elsewhere")] == ["tool.example"]

    @pytest.mark.parametrize("name", ["evil.example", "tool.example", ""])
    def test_tls_for_another_host(self, pod: Pod, name: str) -> None:
        shown, error = pod.agent(SECURE, OUTSIDE[0], name, "443", str(pod.authority))
        assert (shown, "access denied" in error) == (None, True), error

    def test_tls_that_a_rule_refuses(self, pod: Pod) -> None:
        shown, error = pod.agent(SECURE, OUTSIDE[0], "other.example", "443", str(pod.authority))
        assert (shown, "access denied" in error) == (None, True), error
        assert pod.trace(tool="shut")["rule"] == "tunnels/shut"

    @pytest.mark.parametrize("address", OUTSIDE)
    def test_what_is_neither_http_nor_tls(self, pod: Pod, address: str) -> None:
        assert pod.agent(TCP, address, "5432") == ""  # it waits to be greeted, and is not
        assert pod.agent(TCP, address, "5432", "SSH-2.0-agent\r\n").startswith("HTTP/1.1 400 ")
        assert reached(pod, kind="tcp", port=5432) == WITHOUT_RULES
        assert pod.trace(reason="request_timeout")["decision"] == "refuse"

    @pytest.mark.parametrize("address", OUTSIDE)
    @pytest.mark.parametrize("port", ["443", "5353"])
    def test_udp_such_as_quic(self, pod: Pod, address: str, port: str) -> None:
        assert pod.agent(UDP, address, port, "quic").startswith("failed: ")
        assert reached(pod, data="quic") == []

    @pytest.mark.parametrize("address", OUTSIDE)
    def test_ping(self, pod: Pod, address: str) -> None:
        assert pod.agent(PING, address).startswith("failed: ")

    def test_the_rules_are_not_the_agents_to_change(self, pod: Pod) -> None:
        flush = ["nft", "flush", "ruleset"]
        for command in (flush, ["unshare", "--user", "--map-root-user", *flush], ["ip", "link", "set", "eth0", "down"]):
            done = subprocess.run(pod.space.argv(pod.space.pod, AGENT, command), capture_output=True, text=True)
            assert done.returncode != 0
            assert "not permitted" in done.stderr
        status, _, _ = pod.agent(GET, f"http://{OUTSIDE[0]}/still")
        assert status == 403

    def test_the_port_itself_is_no_way_in(self, pod: Pod) -> None:
        asked = "GET /tool/x HTTP/1.1\r\nHost: tool.example\r\n\r\n"
        assert pod.agent(TCP, "127.0.0.1", str(TRANSPARENT), asked).startswith("HTTP/1.1 403 ")
        shown, error = pod.agent(SECURE, "::1", "safe.example", str(TRANSPARENT), str(pod.authority))
        assert (shown, "access denied" in error) == (None, True), error


class TestBeside:
    """What goes on as before."""

    @pytest.mark.parametrize("address", OUTSIDE)
    def test_the_gateways_user_gets_out(self, pod: Pod, address: str) -> None:
        before = len(reached(pod, data="from the gateway"))
        assert pod.agent(UDP, address, "443", "from the gateway", uid=GATEWAY) == "from the gateway"
        assert len(reached(pod, data="from the gateway")) == before + 1

    def test_connections_that_the_gateway_has_closed_end_at_the_tool_too(self, pod: Pod) -> None:
        """The kernel ends them, when no process has them any more whose user a rule could look at."""
        assert pod.agent(CLOSE, OUTSIDE[0], "8080", uid=GATEWAY) == "closed"
        eventually(
            lambda: pod.space.python(pod.space.outside, AGENT, LAST_ACK) == "0", 5, "no end waits for its answer"
        )

    @pytest.mark.parametrize("address", OUTSIDE)
    def test_names_are_asked_for(self, pod: Pod, address: str) -> None:
        assert pod.agent(UDP, address, "53", "a name") == "a name"

    def test_the_loopback_is_not_touched(self, pod: Pod) -> None:
        status, body, _ = pod.agent(GET, f"http://127.0.0.1:{PORT}/tool/plain")
        assert (status, body) == (200, "80 answers")

    def test_who_connects_from_outside_is_answered(self, pod: Pod) -> None:
        """Probes of the agent's container, for one."""
        serving = subprocess.Popen(
            pod.space.argv(pod.space.pod, AGENT, [sys.executable, "-I", "-c", SERVE]),
            stdout=subprocess.PIPE,
            text=True,
        )
        with serving:
            assert serving.stdout is not None
            assert serving.stdout.readline() == "ready\n"
            program = TCP.replace("json.dumps(told", "str(told")
            assert pod.space.python(pod.space.outside, AGENT, program, "10.213.7.1", "7070") == "alive"
        assert serving.returncode == 0


class TestNot:
    """What the rules do not stop, as the page on enforcement says."""

    def test_packets_that_a_process_makes_itself_need_a_capability(self, pod: Pod) -> None:
        """CAP_NET_RAW, which many runtimes give by default, and restricted Pod Security takes away."""
        space, raw = pod.space, (RAW, OUTSIDE[0], "5353", "made by hand")
        assert "not permitted" in space.python(space.pod, AGENT, *raw)
        assert reached(pod, data="made by hand") == []
        assert space.python(space.pod, AGENT, *raw, also=("net_raw",)) == '"sent"'
        eventually(lambda: reached(pod, data="made by hand"), what="the packet has got around")


WITHOUT_RULES = [{"kind": "tcp", "port": 5432}] * len(OUTSIDE)
"""What ``test_without_rules_everything_is_reached`` did, and nobody after it."""


def test_rules_that_forget_the_gateway_make_no_loop(pod: Pod) -> None:
    """Its own connections come back to it, and are refused at once."""
    resolvers = [word for address in OUTSIDE for word in ("--dns", address)]
    before = len(pod.traces())
    pod.space.redirect("apply", "--uid", "10099", *resolvers)
    try:
        status, body, _ = pod.agent(GET, "http://tool.example:8080/loop")
        assert (status, "redirected to itself" in body) == (403, True)
        shown, _ = pod.agent(SECURE, OUTSIDE[0], "safe.example", "443", str(pod.authority))
        assert shown is None
    finally:
        pod.space.redirect("apply", "--uid", str(GATEWAY), *resolvers)
    assert len(pod.traces()) - before == 4  # the agent's two, and what came back of each
    assert reached(pod, path="/loop") == []
