"""Agents that connect over TLS, and are known by their certificates: real sockets, OpenSSL's client, and curl."""

from __future__ import annotations

import datetime
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .harness import http1
from .harness.authority import Authority
from .harness.gateway import Gateway, problem_of
from .harness.net import Ended, Peer, eventually
from .harness.upstream import Upstream

PAYER = "spiffe://example.org/ns/finance/sa/payer"
POLICIES = """
apiVersion: toolgate/v1
kind: Grant
metadata: {name: finance}
spec: {agents: ["finance/*", "robot-*", "here"], tools: ["*"]}
---
apiVersion: toolgate/v1
kind: Policy
metadata: {name: treasury}
spec:
  rules:
    - name: payers
      when: request.path == "/pay" && (!has(agent.claims.sa) || agent.claims.sa != "payer")
      then: deny
"""


class Guarded:
    """A gateway that asks for certificates."""

    def __init__(self, folder: Path, upstream: Upstream, **tls: Any) -> None:
        self.folder = folder
        self.house, self.agents = Authority(folder, "house"), Authority(folder, "agents")
        self.house.sign("gateway", address="127.0.0.1")
        shutil.copy(self.agents.file, folder / "clients.pem")
        self.gateway = Gateway(
            folder,
            {"raw": {"url": f"http://127.0.0.1:{upstream.port}"}},
            POLICIES,
            identify=[
                {"certificate": {"spiffe": "spiffe://example.org/ns/{ns}/sa/{sa}", "agent": "{ns}/{sa}"}},
                {"certificate": {"dns": "{name}.agents.test", "agent": "robot-{name}", "roles": ["robot"]}},
                {"header": "x-agent-id"},
            ],
            listen_tls={
                "cert_file": "gateway.crt", "key_file": "gateway.key", "client_ca_file": "clients.pem", **tls
            },
        ).start()  # fmt: skip

    def connect(self, shown: tuple[str, str] | None = None, **settings: Any) -> Peer:
        context = ssl.create_default_context(cafile=str(self.house.file))
        if shown is not None:
            context.load_cert_chain(*shown)
        for name, value in settings.items():
            setattr(context, name, value)
        raw = socket.create_connection(("127.0.0.1", self.gateway.port), timeout=10)
        return Peer(context.wrap_socket(raw, server_hostname="127.0.0.1"))

    def call(
        self, shown: tuple[str, str] | None = None, path: str = "/raw/x", fields: list[tuple[str, str]] | None = None
    ) -> http1.Message:
        with self.connect(shown) as peer:
            return ask(peer, path, fields)

    def agent(self, answer: http1.Message) -> tuple[str, list[str]]:
        record = self.gateway.trace(answer.get("x-toolgate-call"))
        return record["agent"], record["roles"]


def ask(peer: Peer, path: str = "/raw/x", fields: list[tuple[str, str]] | None = None) -> http1.Message:
    peer.send(http1.request("GET", path, fields or []))
    return http1.read_response(peer)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Guarded]:
    started = Guarded(tmp_path_factory.mktemp("tls"), upstream, require=False)
    yield started
    started.gateway.stop()
    assert "Traceback" not in started.gateway.output, started.gateway.output
    assert "has no effect when using ssl" not in started.gateway.output


def test_an_agent_is_who_its_certificate_says(guarded: Guarded, upstream: Upstream) -> None:
    payer = guarded.agents.sign("payer", uris=[PAYER])
    with upstream.recording() as seen:
        answer = guarded.call(payer, fields=[("X-Forwarded-Client-Cert", f"URI={PAYER}")])
        assert answer.status == 200
        assert guarded.agent(answer) == ("finance/payer", [])
        assert guarded.call(payer, "/raw/pay").status == 200
        assert guarded.agent(guarded.call(guarded.agents.sign("seven", dns=["Seven.agents.test"]))) == (
            "robot-seven",
            ["robot"],
        )
    (request, *_) = seen.requests
    assert request.all("x-forwarded-proto") == [b"https"]
    assert not request.all("x-forwarded-client-cert"), "no word of an agent on what TLS has shown"


def test_rules_read_the_names_in_a_certificate(guarded: Guarded, upstream: Upstream) -> None:
    clerk = guarded.agents.sign("clerk", uris=["spiffe://example.org/ns/finance/sa/clerk"])
    with upstream.recording():
        problem_of(guarded.call(clerk, "/raw/pay"), "policy_denied", 403)
        assert guarded.call(clerk).status == 200


@pytest.mark.parametrize(
    ("uris", "dns"),
    [
        ([], []),
        (["spiffe://example.org/ns/finance/sa/payer/more"], []),
        (["spiffe://evil.test/ns/finance/sa/payer"], []),
        ([PAYER, "spiffe://example.org/ns/other/sa/x"], []),
        (["spiffe://example.org/ns/../sa/payer"], []),
        (["spiffe://example.org:443/ns/finance/sa/payer"], []),
        (["spiffe://example.org/ns/fin%61nce/sa/payer"], []),
        ([], ["*.agents.test"]),
        ([], ["a.b.agents.test"]),
        ([], ["one.agents.test", "two.agents.test"]),
        ([PAYER], [PAYER]),
    ],
)
def test_other_names_are_nobodys(guarded: Guarded, uris: list[str], dns: list[str]) -> None:
    problem_of(guarded.call(guarded.agents.sign("other", uris=uris, dns=dns)), "unauthenticated", 401)


def test_a_certificate_of_another_authority_gets_no_word_in(guarded: Guarded, tmp_path: Path) -> None:
    other = Authority(tmp_path, "agents")
    expired = guarded.agents.sign("expired", uris=[PAYER], lasts=-datetime.timedelta(minutes=1))
    server = guarded.house.sign("server", uris=[PAYER], address="127.0.0.1")
    for shown in (other.sign("forged", uris=[PAYER]), expired, server):
        with pytest.raises((ssl.SSLError, Ended, ConnectionError)):
            guarded.call(shown)


def test_a_header_cannot_speak_for_a_certificate(guarded: Guarded, upstream: Upstream) -> None:
    """Where a certificate is not required, agents on this machine may still say who they are, but not in its words."""
    fields = [("X-Forwarded-Client-Cert", f'By=x;URI="{PAYER}"'), ("X-Client-Cert", PAYER)]
    problem_of(guarded.call(fields=fields), "unauthenticated", 401)
    with upstream.recording():
        assert guarded.agent(guarded.call(fields=[*fields, ("x-agent-id", "here")]))[0] == "here"
        payer = guarded.agents.sign("payer", uris=[PAYER])
        assert guarded.agent(guarded.call(payer, fields=[("x-agent-id", "here")]))[0] == "finance/payer"


def test_plain_http_and_old_tls_are_not_spoken(guarded: Guarded) -> None:
    with guarded.gateway.connect() as peer:
        peer.send(http1.request("GET", "/raw/x", [("x-agent-id", "here")]))
        assert b"HTTP/1.1" not in peer.read_to_end()
    with pytest.raises(ssl.SSLError):
        guarded.connect(maximum_version=ssl.TLSVersion.TLSv1_2)


def test_curl_and_openssl_get_through(guarded: Guarded, upstream: Upstream) -> None:
    certificate, key = guarded.agents.sign("payer", uris=[PAYER])
    url = f"https://127.0.0.1:{guarded.gateway.port}/raw/x"
    shown = ["--cacert", str(guarded.house.file), "--cert", certificate, "--key", key]
    with upstream.recording():
        for version in ("--http1.1", "--http2"):
            done = subprocess.run(
                ["curl", "-sS", "-w", "%{http_code}", version, *shown, url, url],
                capture_output=True, text=True, timeout=20, check=True,
            )  # fmt: skip
            assert done.stdout == "ok200ok200"
    told = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{guarded.gateway.port}", "-brief"],
        input=b"", capture_output=True, timeout=20, check=False,
    )  # fmt: skip
    assert b"TLSv1.3" in told.stderr


def test_large_bodies_and_pipelined_calls_pass(guarded: Guarded, upstream: Upstream) -> None:
    payer, body = guarded.agents.sign("payer", uris=[PAYER]), b"x" * 3_000_000
    with upstream.recording(http1.response("200 OK", body=body)), guarded.connect(payer) as peer:
        peer.send(http1.request("POST", "/raw/x", [], body) + http1.request("GET", "/raw/y", []))
        assert [http1.read_response(peer).body == body for _ in range(2)] == [True, True]


@pytest.mark.parametrize("first", ["agent", "tool"])
def test_upgraded_connections_pass_bytes_and_end_with_either_side(
    guarded: Guarded, upstream: Upstream, first: str
) -> None:
    def script(peer: Peer) -> None:
        http1.read_request(peer)
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        peer.send(peer.read_exactly(5).upper())
        if first == "agent":
            ended.append(peer.at_end())
        peer.close()

    ended: list[bool] = []
    payer = guarded.agents.sign("payer", uris=[PAYER])
    with upstream.playing(script), guarded.connect(payer) as peer:
        peer.send(http1.request("GET", "/raw/x", [("Connection", "Upgrade"), ("Upgrade", "echo")]))
        assert b" 101 " in peer.read_until(b"\r\n\r\n")
        peer.send(b"hello")
        assert peer.read_exactly(5) == b"HELLO"
        if first == "tool":
            assert peer.at_end()
    if first == "agent":
        assert eventually(lambda: ended, what="the tool sees the end") == [True]


def test_certificates_and_authorities_change_while_calls_go_on(tmp_path: Path, upstream: Upstream) -> None:
    guarded = Guarded(tmp_path, upstream)
    old = guarded.agents.sign("old", uris=[PAYER])
    successor = Authority(tmp_path, "successor")
    new = successor.sign("new", uris=[PAYER])
    try:
        with pytest.raises((ssl.SSLError, Ended, ConnectionError)):
            guarded.call()
        with upstream.recording(), guarded.connect(old) as kept:
            assert ask(kept).status == 200
            before = kept.sock.getpeercert(True)  # type: ignore[attr-defined]
            guarded.house.sign("gateway", address="127.0.0.1")

            def shown() -> bytes:
                with guarded.connect(old) as peer:
                    return bytes(peer.sock.getpeercert(True))  # type: ignore[attr-defined]

            eventually(lambda: shown() != before, 15, "the new certificate is shown")
            assert ask(kept).status == 200, "what is open stays open"

            shutil.copy(successor.file, tmp_path / "clients.pem")

            def lets_in(pair: tuple[str, str]) -> bool:
                try:
                    return guarded.call(pair).status == 200
                except (ssl.SSLError, Ended, ConnectionError):
                    return False

            eventually(lambda: lets_in(new), 15, "certificates of the new authority are good")
            assert not lets_in(old), "those of the old one are not"
            assert kept.at_end(), "nor on connections that are open"

            (tmp_path / "clients.pem").write_text("nonsense")
            eventually(lambda: guarded.gateway.metric('toolgate_policy_reloads_total{result="failure"}'), 15, "told")
            assert lets_in(new)
    finally:
        guarded.gateway.stop()
    assert "Traceback" not in guarded.gateway.output, guarded.gateway.output


def test_a_connection_does_not_outlive_its_certificate(guarded: Guarded, upstream: Upstream) -> None:
    brief = guarded.agents.sign("brief", uris=[PAYER], lasts=datetime.timedelta(seconds=2))
    with upstream.recording(), guarded.connect(brief) as peer:
        assert ask(peer).status == 200
        assert peer.at_end()


def test_connections_end_with_the_gateway(tmp_path: Path, upstream: Upstream) -> None:
    guarded = Guarded(tmp_path, upstream)
    payer = guarded.agents.sign("payer", uris=[PAYER])
    try:
        with upstream.recording(), guarded.connect(payer) as peer:
            assert ask(peer).status == 200
            guarded.gateway.running.terminate()
            assert peer.at_end()
        assert guarded.gateway.wait() == 0
    finally:
        guarded.gateway.stop()
